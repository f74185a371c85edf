// Engine: finds a container engine on this machine, or installs and starts a private one for this home.
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { findStaticBusybox } from './base-image.ts'
import type { Home } from './home.ts'
import { dockerAnswers } from './runtimes/docker.ts'

const run = promisify(execFile)

/** There is no engine and none could be had; the message tells the provider what to do. */
export class NoEngine extends Error {}

const packages: [string, () => boolean][] = [
  ['docker.io', () => has('dockerd')],
  ['tini', () => has('tini')],
  ['e2fsprogs', () => has('mkfs.ext4')],
  ['busybox-static', () => findStaticBusybox() !== null],
]

/** The address of a working engine: the one named, the one this home runs, one of the machine, or a private one that is started now. */
export async function ensureEngine(home: Home, say: (line: string) => void, named?: string): Promise<string> {
  const wanted = named ?? process.env.DOCKER_HOST
  if (wanted) {
    const address = wanted.replace(/^unix:\/\//, '')
    if (await dockerAnswers(address)) return address
    throw new NoEngine(`No container engine answers at ${wanted}.`)
  }
  const { socket } = enginePaths(home)
  if (existsSync(socket) && (await dockerAnswers(socket))) return socket
  const privateBefore = existsSync(join(enginePaths(home).data, 'image'))
  const shared = privateBefore ? null : await sharedEngine()
  if (shared) {
    await installMissing(say, ['docker.io', 'tini'])
    return shared
  }
  await installMissing(say, [])
  // the package may have started the machine's own engine
  const started = privateBefore ? null : await sharedEngine()
  return started ?? startEngine(home, say)
}

async function sharedEngine(): Promise<string | null> {
  for (const socket of ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')]) {
    if (existsSync(socket) && (await dockerAnswers(socket))) return socket
  }
  return null
}

/** Installs what is missing with apt as root on Debian or Ubuntu; otherwise says what is needed. */
async function installMissing(say: (line: string) => void, except: string[]): Promise<void> {
  const missing = packages.filter(([name, present]) => !except.includes(name) && !present()).map(([name]) => name)
  if (missing.length === 0) return
  if (process.platform !== 'linux' || process.getuid?.() !== 0 || !has('apt-get')) {
    throw new NoEngine(
      `Missing on this machine: ${missing.join(', ')}.\n` +
        'Install Docker Engine (https://docs.docker.com/engine/install/) and a static busybox, start Docker, and run this again;\n' +
        'on Debian or Ubuntu run this program as root and it installs them itself.',
    )
  }
  say(`installing ${missing.join(', ')} with apt-get`)
  const install = () =>
    run('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      maxBuffer: 64e6,
    })
  await install().catch(async () => {
    say('refreshing the package lists')
    await run('apt-get', ['update'], { maxBuffer: 64e6 })
    await install()
  })
  const still = packages.filter(([name, present]) => missing.includes(name) && !present()).map(([name]) => name)
  if (still.length > 0) throw new NoEngine(`apt-get installed them, but these are still missing: ${still.join(', ')}.`)
}

/** Where the private engine of a home keeps things. Paths of unix sockets end at 107 bytes, so a deep home uses /run. */
export function enginePaths(home: Home): { dir: string; socket: string; data: string; exec: string; pidFile: string; log: string } {
  const inside = home.path('engine')
  const longest = join(inside, 'exec/containerd/containerd.sock.ttrpc')
  const dir = longest.length < 100 ? inside : `/run/flow402-${home.id}`
  return {
    dir,
    socket: join(dir, 'docker.sock'),
    data: home.path('engine', 'root'),
    exec: join(dir, 'exec'),
    pidFile: join(dir, 'docker.pid'),
    log: home.path('logs', 'engine.log'),
  }
}

/** Starts the private engine, detached so that it and its containers outlive this program; running already is fine. */
export async function startEngine(home: Home, say: (line: string) => void): Promise<string> {
  const paths = enginePaths(home)
  if (existsSync(paths.socket) && (await dockerAnswers(paths.socket))) return paths.socket
  if (process.getuid?.() !== 0)
    throw new NoEngine('A private container engine needs root. Start Docker on this machine, or run this as root.')
  mkdirSync(paths.dir, { recursive: true, mode: 0o700 })
  if (enginePid(home) === null) {
    // left by an engine that was killed: it would keep the next one from starting
    for (const file of ['containerd.pid', 'containerd.sock', 'containerd.sock.ttrpc', 'containerd-debug.sock']) {
      rmSync(join(paths.exec, 'containerd', file), { force: true })
    }
    rmSync(paths.pidFile, { force: true })
    say('starting a private container engine')
    const log = openSync(paths.log, 'a', 0o600)
    const flags = ['-H', `unix://${paths.socket}`, '--data-root', paths.data, '--exec-root', paths.exec, '-p', paths.pidFile]
    // no bridge and no rules of its own: several homes on one machine must not fight for docker0; network.ts sets what is needed
    const quiet = ['--bridge=none', '--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false', '--live-restore']
    const child = spawn('tini', ['-s', '--', 'dockerd', ...flags, ...quiet], { detached: true, stdio: ['ignore', log, log], cwd: '/' })
    child.on('error', () => undefined)
    child.unref()
  }
  for (let waitedMs = 0; waitedMs < 30_000; waitedMs += 50) {
    if (existsSync(paths.socket) && (await dockerAnswers(paths.socket))) return paths.socket
    await delay(50)
  }
  throw new NoEngine(`The private container engine did not start; its log is ${paths.log}\n${lastLines(paths.log)}`)
}

/** Stops the private engine and waits for its end; its containers go on unless they were ended before. */
export async function stopEngine(home: Home): Promise<boolean> {
  const pid = enginePid(home)
  if (pid === null) return false
  process.kill(pid, 'SIGTERM')
  for (let waitedMs = 0; waitedMs < 20_000 && enginePid(home) !== null; waitedMs += 50) await delay(50)
  return true
}

/** The process of the private engine, or null; a reused pid is not taken for it. */
export function enginePid(home: Home): number | null {
  const { pidFile, socket } = enginePaths(home)
  if (!existsSync(pidFile)) return null
  const pid = Number(readFileSync(pidFile, 'utf8'))
  const commandLine = `/proc/${pid}/cmdline`
  return pid > 1 && existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(socket) ? pid : null
}

function has(program: string): boolean {
  const folders = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`.split(':')
  return folders.some((folder) => folder && existsSync(join(folder, program)))
}

function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-5).join('\n') : ''
}
