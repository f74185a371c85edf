// Doctor: starts real containers and proves that this machine fences them, before it may be listed.
import { randomBytes } from 'node:crypto'
import { readdirSync, statfsSync } from 'node:fs'
import { createServer } from 'node:net'
import { freemem, networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { DoctorCheck, DoctorReport } from '@flow402/protocol/node'
import { type Ground, initFolder, type Plan, pidsMax, proveReady, runInside, startContainer } from './container.ts'
import { agentVersion, type Home } from './home.ts'
import { deadlineExitCode, initBusybox, writeDeadline } from './init-script.ts'
import { removeVolume } from './volume.ts'

const box = initBusybox
const ramMb = 96
const diskMb = 48

/** Runs every check; `say` hears one line per check. A check that throws has failed. `network` is the one that leases get. */
export async function examine(
  home: Home,
  ground: Ground,
  image: string,
  network: DoctorReport['network'],
  say: (line: string) => void,
): Promise<DoctorReport> {
  const engine = await ground.runtime.engine()
  const checks: DoctorCheck[] = []
  const check = async (name: string, proof: () => Promise<string>) => {
    const done = await proof().then(
      (detail) => ({ name, ok: true, detail: detail.slice(0, 500) }),
      (error: unknown) => ({ name, ok: false, detail: String(error instanceof Error ? error.message : error).slice(0, 500) }),
    )
    checks.push(done)
    say(`${done.ok ? 'ok  ' : 'FAIL'} ${name}: ${done.detail}`)
  }
  const room = doctorRoom(home, ground, image, network)

  await check('container engine', async () => engine.name)
  await check('disk quota kind', async () =>
    ground.volumes ? 'ext4 in a file, mounted as a loop device' : 'tmpfs of the ordered size, counted as memory',
  )
  await Promise.all([
    room.within('fence', async (id) => {
      await check('read-only root', () => readOnlyRoot(ground, id))
      await check('no capabilities', () => noCapabilities(ground, id))
      await check('network', () => networkClosed(ground, id))
      await check('disk quota', () => diskQuota(ground, id))
      await check('out-of-memory kill', () => memoryKill(ground, id))
    }),
    room.within('pids', async (id) => check('pids limit', () => pidsLimit(ground, id))),
    room.within('deadline', async (id, plan, uptime) => check('deadline without the agent', () => deadline(ground, id, plan, uptime))),
  ]).catch(async (error: unknown) => check('start a container', () => Promise.reject(error)))

  return {
    ok: checks.every(({ ok }) => ok),
    at: Date.now(),
    agentVersion,
    engine: engine.name.slice(0, 100),
    isolation: 'container',
    network,
    ramMb: Math.min(engine.ramMb, Math.floor(freemem() / 1024 / 1024)),
    cpuMillis: engine.cpus * 1000,
    diskMb: freeDiskMb(home),
    checks,
  }
}

function freeDiskMb(home: Home): number {
  const { bavail, bsize } = statfsSync(home.dir)
  return Math.floor((bavail * bsize) / 1024 / 1024)
}

/** Containers for one examination, made as leases are made and removed whatever happens. */
function doctorRoom(home: Home, ground: Ground, image: string, network: string) {
  const run = randomBytes(3).toString('hex')
  return {
    async within(what: string, proof: (id: string, plan: Plan, uptimeSeconds: number) => Promise<void>): Promise<void> {
      const name = `flow402-doctor-${what}-${run}`
      const plan: Plan = {
        name,
        dir: home.path('volumes', name),
        image,
        labels: { 'flow402.doctor': home.id },
        command: null,
        env: {},
        sshPublicKey: null,
        ramMb,
        cpuMillis: 1000,
        diskMb,
        network,
      }
      try {
        const id = await startContainer(ground, plan)
        const { uptimeSeconds } = await proveReady(ground, plan, id)
        await proof(id, plan, uptimeSeconds)
      } finally {
        await ground.runtime.remove(name)
        await removeVolume(plan.dir)
      }
    },
  }
}

/** Removes what an examination that was killed has left. */
export async function removeDoctorRemains(home: Home, ground: Ground): Promise<void> {
  for (const seen of await ground.runtime.list(`flow402.doctor=${home.id}`)) {
    await ground.runtime.remove(seen.id)
  }
  for (const folder of readdirSync(home.path('volumes'))) {
    if (folder.startsWith('flow402-doctor-')) await removeVolume(home.path('volumes', folder))
  }
}

const shell = (ground: Ground, id: string, script: string) => runInside(ground.runtime, id, [box, 'sh', '-c', script])

function must(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise)
}

async function readOnlyRoot(ground: Ground, id: string): Promise<string> {
  const { exitCode, stderr } = await shell(ground, id, `echo x >/probe && echo x >/etc/probe`)
  must(exitCode !== 0 && /read-only/i.test(stderr), `the root file system can be written: ${stderr}`)
  const guard = await shell(ground, id, `echo 9 >/.flow402/deadline || ${box} dd if=/proc/1/mem of=/dev/null bs=1 count=1 || kill -9 1`)
  must(/read-only/i.test(guard.stderr) && /permission denied/i.test(guard.stderr), `the init can be tampered with: ${guard.stderr}`)
  return 'the root and the init cannot be written'
}

async function noCapabilities(ground: Ground, id: string): Promise<string> {
  const { stdout } = await shell(ground, id, `${box} grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs|Seccomp):' /proc/self/status`)
  const fields = new Map(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/:\s*/) as [string, string]),
  )
  for (const name of ['CapEff', 'CapBnd', 'CapPrm']) must(/^0+$/.test(fields.get(name) ?? ''), `${name} is ${fields.get(name)}`)
  must(fields.get('NoNewPrivs') === '1', 'no-new-privileges is off')
  must(fields.get('Seccomp') === '2', 'no seccomp filter')
  return 'capabilities 0, no-new-privileges, seccomp filter'
}

/** A server of this host must not be reachable from inside, by any address that the host has, nor the metadata service. */
async function networkClosed(ground: Ground, id: string): Promise<string> {
  const server = createServer((socket) => socket.end('reached\n'))
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  try {
    const { port } = server.address() as { port: number }
    const own = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter(({ family }) => family === 'IPv4')
    const addresses = [...new Set([...own.map(({ address }) => address), '169.254.169.254'])]
    const tries = addresses.map(
      (address) =>
        `(${box} nc -w 1 ${address} ${address.startsWith('127.') || own.some((one) => one.address === address) ? port : 80} </dev/null | ${box} grep -q . && echo "reached ${address}") &`,
    )
    const { stdout } = await shell(ground, id, `${tries.join('\n')}\nwait`)
    must(stdout.trim() === '', stdout.trim())
    const seen = await shell(
      ground,
      id,
      `${box} ls /var/run/docker.sock /run/docker.sock /var/run/containerd 2>/dev/null; ${box} ls /sys/class/net`,
    )
    must(!seen.stdout.includes('docker.sock'), 'a container engine socket is inside')
    must(seen.stdout.trim() === 'lo', `there is more than loopback: ${seen.stdout.trim()}`)
    return `none: only loopback exists inside; ${addresses.length} host and metadata addresses are out of reach`
  } finally {
    server.close()
  }
}

async function diskQuota(ground: Ground, id: string): Promise<string> {
  const { exitCode, stderr } = await shell(
    ground,
    id,
    `${box} dd if=/dev/zero of=/workspace/full bs=1M count=${diskMb * 2}; code=$?; ${box} ls -l /workspace/full >&2; ${box} rm /workspace/full; exit $code`,
  )
  must(exitCode !== 0 && /no space/i.test(stderr), `${diskMb * 2} MB fit into ${diskMb} MB: ${stderr}`)
  return `writing ${diskMb * 2} MB into ${diskMb} MB ends with "no space left"`
}

async function memoryKill(ground: Ground, id: string): Promise<string> {
  const eater = await runInside(ground.runtime, id, [box, 'dd', 'if=/dev/zero', 'of=/dev/null', `bs=${ramMb * 2}M`, 'count=1'])
  must(eater.exitCode === 137, `allocating ${ramMb * 2} MB in ${ramMb} MB ended with ${eater.exitCode}: ${eater.stderr.trim()}`)
  const seen = await ground.runtime.inspect(id)
  must(seen?.state === 'running', 'the container died with the process')
  const after = await shell(ground, id, 'echo alive')
  must(after.stdout === 'alive\n', 'the container does not answer after the kill')
  return `allocating ${ramMb * 2} MB in ${ramMb} MB: killed with 137, the container lives on`
}

async function pidsLimit(ground: Ground, id: string): Promise<string> {
  const bomb = await shell(ground, id, `i=0; while [ $i -lt ${pidsMax * 2} ]; do ${box} sleep 20 & i=$((i+1)); done; echo all`)
  must(!bomb.stdout.includes('all') && /fork/i.test(bomb.stderr), `${pidsMax * 2} processes could be started`)
  must((await ground.runtime.inspect(id))?.state === 'running', 'the container died of it')
  return `a fork bomb stops at ${pidsMax} processes`
}

async function deadline(ground: Ground, id: string, plan: Plan, uptimeSeconds: number): Promise<string> {
  writeDeadline(initFolder(plan.dir), Math.ceil(uptimeSeconds) + 1)
  const startedMs = performance.now()
  for (;;) {
    const seen = await ground.runtime.inspect(id)
    const tookMs = Math.round(performance.now() - startedMs)
    if (seen?.state === 'ended') {
      must(seen.exitCode === deadlineExitCode, `it ended with ${seen.exitCode}`)
      return `the container ended by itself after ${tookMs} ms (deadline in 1 to 2 s)`
    }
    must(tookMs < 8000, 'the container went on after its deadline')
    await delay(100)
  }
}
