// Docker: the Runtime on Docker's API over a unix socket; the only file that knows dockerode.
import { existsSync, readFileSync } from 'node:fs'
import { type Duplex, PassThrough, type Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import Docker from 'dockerode'
import { Demux } from './demux.ts'
import type { ContainerEvent, ContainerSpec, Runtime, SeenContainer, Started, StartedTerminal } from './runtime.ts'

const mb = 1024 * 1024

/** Where an engine listens: a unix socket path, or `tcp://host:port`. */
export function dockerRuntime(address: string): Runtime {
  const docker = connect(address)
  let cpus: number | null = null
  const engine = async () => {
    const [version, info] = await Promise.all([docker.version(), docker.info()])
    cpus = info.NCPU
    return {
      name: `Docker ${version.Version} (${info.Driver}, cgroup v${info.CgroupVersion ?? '1'})`,
      cpus: info.NCPU,
      ramMb: Math.floor(info.MemTotal / mb),
    }
  }

  return {
    engine,
    async hasImage(ref) {
      return (await orNull(docker.getImage(ref).inspect())) !== null
    },
    async pullImage(ref, progress, signal) {
      const stream = await docker.pull(ref, { abortSignal: signal })
      await new Promise<void>((resolve, reject) => {
        docker.modem.followProgress(
          stream,
          (error) => (error ? reject(error) : resolve()),
          (line: { id?: string; status?: string; progress?: string }) =>
            progress([line.id, line.status, line.progress].filter(Boolean).join(' ')),
        )
      })
    },
    async importImage(tar, ref, changes) {
      const [repo, tag] = splitRef(ref)
      const stream = await docker.importImage(tar, { repo, tag, changes } as object)
      await new Promise<void>((resolve, reject) =>
        docker.modem.followProgress(stream as never, (error) => (error ? reject(error) : resolve())),
      )
    },
    async create(spec) {
      cpus ??= (await docker.info()).NCPU as number
      try {
        return (await docker.createContainer(createOptions(spec, cpus))).id
      } catch (error) {
        if (statusOf(error) !== 409) throw error
        return (await docker.getContainer(spec.name).inspect()).Id
      }
    },
    async start(id) {
      await docker.getContainer(id).start().catch(unless(304))
    },
    async inspect(nameOrId) {
      const seen = await orNull(docker.getContainer(nameOrId).inspect())
      return seen && seenFromInspect(seen)
    },
    async list(label) {
      const rows = await docker.listContainers({ all: true, filters: { label: [label] } })
      const seen = await Promise.all(rows.map((row) => orNull(docker.getContainer(row.Id).inspect())))
      return seen.filter((one) => one !== null).map(seenFromInspect)
    },
    async signal(id, signal) {
      await docker.getContainer(id).kill({ signal }).catch(unless(404, 409))
    },
    async remove(nameOrId) {
      for (let tries = 0; ; tries++) {
        try {
          return void (await docker.getContainer(nameOrId).remove({ force: true, v: true }))
        } catch (error) {
          if (statusOf(error) === 404) return
          // 409: a removal is already under way, or the engine has not yet let go of the processes
          if (tries >= 20) throw error
          await delay(100)
        }
      }
    },
    async exec(id, argv, options = {}) {
      const exec = await docker.getContainer(id).exec({
        Cmd: argv,
        AttachStdin: options.stdin === true,
        AttachStdout: true,
        AttachStderr: true,
      })
      const stdin: Duplex = await exec.start({ hijack: true, stdin: true })
      const stdout = new PassThrough()
      const stderr = new PassThrough()
      const demux = new Demux((kind, chunk) => void (kind === 2 ? stderr : stdout).write(chunk))
      const finish = () => {
        stdout.end()
        stderr.end()
      }
      stdin.on('close', finish).on('error', finish)
      demux.on('end', finish).resume()
      stdin.pipe(demux)
      if (!options.stdin) stdin.end()
      return { stdin, stdout, stderr, exitCode: () => exitCodeOf(exec), kill: () => killExec(exec) } satisfies Started
    },
    async terminal(id, argv, size) {
      const exec = await docker.getContainer(id).exec({
        Cmd: argv,
        Env: ['TERM=xterm-256color'],
        AttachStdin: true,
        AttachStdout: true,
        AttachStderr: true,
        Tty: true,
      })
      const io: Duplex = await exec.start({ hijack: true, stdin: true, Tty: true })
      const resize = async (cols: number, rows: number) => void (await exec.resize({ w: cols, h: rows }))
      await resize(size.cols, size.rows).catch(() => undefined)
      return { io, resize, kill: () => killExec(exec) } satisfies StartedTerminal
    },
    async logs(id, options) {
      const tail = options.tail === null ? {} : { tail: options.tail }
      const container = docker.getContainer(id)
      if (!options.follow) {
        const whole = (await container.logs({ stdout: true, stderr: true, ...tail, follow: false })) as unknown as Buffer
        const demux = merged()
        demux.end(whole)
        return demux
      }
      const stream = (await container.logs({ stdout: true, stderr: true, ...tail, follow: true })) as Readable
      const demux = merged()
      stream.on('error', () => demux.end())
      demux.on('close', () => stream.destroy())
      return stream.pipe(demux)
    },
    onEvent: (listener) => followEvents(docker, listener),
  }
}

function connect(address: string): Docker {
  const tcp = /^(?:tcp|http):\/\/([^:/]+):(\d+)/.exec(address)
  return tcp ? new Docker({ protocol: 'http', host: String(tcp[1]), port: Number(tcp[2]) }) : new Docker({ socketPath: address })
}

/** Whether a Docker API answers there within two seconds. */
export async function dockerAnswers(address: string): Promise<boolean> {
  const ping = connect(address)
    .ping()
    .then(
      () => true,
      () => false,
    )
  return Promise.race([ping, delay(2000, false, { ref: false })])
}

function createOptions(spec: ContainerSpec, cpus: number): Docker.ContainerCreateOptions {
  const mounts: Docker.MountSettings[] = [{ Type: 'bind', Source: spec.init.source, Target: spec.init.target, ReadOnly: true }]
  // /tmp is memory of the container; half of it at most, so that files alone can never leave nothing to kill
  const tmpfs: Record<string, string> = { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${Math.max(1, Math.floor(spec.ramMb / 2))}m` }
  if (spec.workspace) mounts.push({ Type: 'bind', Source: spec.workspace, Target: '/workspace' })
  else tmpfs['/workspace'] = `rw,exec,nosuid,nodev,mode=755,size=${spec.diskMb}m`
  return {
    name: spec.name,
    Image: spec.image,
    Labels: spec.labels,
    Entrypoint: spec.argv.slice(0, 1),
    Cmd: spec.argv.slice(1),
    Env: Object.entries(spec.env).map(([name, value]) => `${name}=${value}`),
    User: '0:0',
    WorkingDir: '/workspace',
    Hostname: spec.hostname,
    StopSignal: 'SIGTERM',
    Healthcheck: { Test: ['NONE'] },
    NetworkDisabled: spec.network === 'none',
    HostConfig: {
      Memory: spec.ramMb * mb,
      MemorySwap: spec.ramMb * mb,
      NanoCpus: cpuLimit(spec.cpuMillis, cpus) * 1e6,
      PidsLimit: spec.pidsMax,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      Init: false,
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '10m', 'max-file': '2' } },
      Ulimits: [{ Name: 'core', Soft: 0, Hard: 0 }],
      ShmSize: Math.min(64, Math.max(1, Math.floor(spec.ramMb / 8))) * mb,
      Tmpfs: tmpfs,
      Mounts: mounts,
      NetworkMode: spec.network,
    },
  }
}

/** A limit above what the machine has is no limit, and the engine refuses it: the machine's own number is the limit then. */
function cpuLimit(cpuMillis: number, cpus: number): number {
  return Math.min(cpuMillis, cpus * 1000)
}

function seenFromInspect(seen: Docker.ContainerInspectInfo): SeenContainer {
  const { State: state, HostConfig: host } = seen
  const ended = state.Status === 'exited' || state.Status === 'dead' || state.Status === 'removing'
  const finishedAtMs = Date.parse(state.FinishedAt)
  return {
    id: seen.Id,
    name: seen.Name.replace(/^\//, ''),
    labels: seen.Config.Labels,
    state: state.Running ? 'running' : ended ? 'ended' : 'created',
    exitCode: ended ? state.ExitCode : null,
    oomKilled: state.OOMKilled,
    finishedAtMs: ended && finishedAtMs > 0 ? finishedAtMs : null,
    pid: state.Pid,
    limits: {
      ramMb: Math.round((host.Memory ?? 0) / mb),
      swapMb: Math.round((host.MemorySwap ?? 0) / mb),
      cpuMillis: Math.round((host.NanoCpus ?? 0) / 1e6),
      pidsMax: host.PidsLimit ?? 0,
      readOnly: host.ReadonlyRootfs === true,
      network: host.NetworkMode ?? '',
    },
  }
}

async function exitCodeOf(exec: Docker.Exec): Promise<number> {
  // The output may end a moment before the engine has noted the exit.
  for (let waitMs = 2; ; waitMs = Math.min(waitMs * 2, 100)) {
    const seen = await exec.inspect()
    if (!seen.Running && seen.ExitCode !== null) return seen.ExitCode
    await delay(waitMs)
  }
}

/** Kills the group of an exec'd process (it leads its own session) when it is a process of that container on this host. */
async function killExec(exec: Docker.Exec): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const seen = await exec.inspect()
    if (!seen.Running) return
    if (
      seen.Pid > 1 &&
      existsSync(`/proc/${seen.Pid}/cgroup`) &&
      readFileSync(`/proc/${seen.Pid}/cgroup`, 'utf8').includes(seen.ContainerID)
    ) {
      try {
        process.kill(-seen.Pid, 'SIGKILL')
      } catch {
        // ended meanwhile
      }
    }
    await delay(20)
  }
}

function merged(): Demux {
  return new Demux(function (_kind, chunk) {
    this.push(chunk)
  })
}

function followEvents(docker: Docker, listener: (event: ContainerEvent) => void): () => void {
  const stop = new AbortController()
  const follow = async () => {
    const filters = { type: ['container'], event: ['die', 'destroy'] }
    const stream = (await docker.getEvents({ filters, abortSignal: stop.signal } as object)) as unknown as Readable
    listener({ containerId: '', name: '', action: 'connected' })
    let rest = ''
    for await (const chunk of stream) {
      const lines = (rest + String(chunk)).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (!line) continue
        const event = JSON.parse(line) as { Action: ContainerEvent['action']; Actor: { ID: string; Attributes: { name?: string } } }
        listener({ containerId: event.Actor.ID, name: event.Actor.Attributes.name ?? '', action: event.Action })
      }
    }
  }
  void (async () => {
    while (!stop.signal.aborted) {
      await follow().catch(() => undefined)
      await delay(500, undefined, { signal: stop.signal }).catch(() => undefined)
    }
  })()
  return () => stop.abort()
}

function splitRef(ref: string): [string, string] {
  const at = ref.lastIndexOf(':')
  return [ref.slice(0, at), ref.slice(at + 1)]
}

function statusOf(error: unknown): number | undefined {
  return (error as { statusCode?: number } | null)?.statusCode
}

function unless(...codes: number[]): (error: unknown) => void {
  return (error) => {
    if (!codes.includes(statusOf(error) ?? 0)) throw error
  }
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer
  } catch (error) {
    if (statusOf(error) === 404) return null
    throw error
  }
}
