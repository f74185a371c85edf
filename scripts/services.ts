// Services: the programs that this clone runs, each in a session of its own with a log file, and how they end.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, createWriteStream, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs'
import { delimiter, dirname } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { cloneDir, isAlive, isOurs, stateDir, writeWhole } from './state.ts'

const stopWithinMs = 15_000

/** How to run one: `isReady` is given what it has printed since it started; `onEnd` hears of an end that nobody asked for. */
export type ServiceOptions = {
  name: string
  args: string[]
  env?: Record<string, string>
  isReady: (printed: string) => boolean
  readyWithinMs?: number
  onEnd?: (how: string) => void
}

/** A running program of ours. */
export type Service = { name: string; pid: number; printed(): string; stop(): Promise<void> }

/** A program ended before it was ready; `exitCode` is null when a signal ended it. */
export class ServiceFailed extends Error {
  readonly exitCode: number | null
  readonly printed: string

  constructor(message: string, exitCode: number | null, printed: string) {
    super(message)
    this.exitCode = exitCode
    this.printed = printed
  }
}

/** Where a program's log is. */
export const logOf = (name: string) => stateDir('logs', `${name}.log`)

/** Starts `node ...args` and waits until it is ready. Throws ServiceFailed with the end of its log when it ends before. */
export async function startService(options: ServiceOptions): Promise<Service> {
  const log = logOf(options.name)
  mkdirSync(dirname(log), { recursive: true })
  const from = existsSync(log) ? statSync(log).size : 0
  const file = openSync(log, 'a', 0o600)
  // Its output is a file, not a pipe: it writes on when this process has been killed.
  const child = start(options.args, options.env, file)
  closeSync(file)
  const pid = noted(options.name, child)
  const printed = () => readFileSync(log).subarray(from).toString()
  const endOfLog = () => `The end of ${log}:\n${lastLines(printed())}`
  let isStopping = false

  for (const deadline = Date.now() + (options.readyWithinMs ?? 60_000); !options.isReady(printed()); await delay(25)) {
    if (hasEnded(child)) {
      forget(options.name)
      throw new ServiceFailed(`${options.name} ended (${howEnded(child)}). ${endOfLog()}`, child.exitCode, printed())
    }
    if (Date.now() > deadline) {
      child.kill('SIGKILL')
      throw new ServiceFailed(`${options.name} was not ready in time. ${endOfLog()}`, null, printed())
    }
  }
  const ended = () => {
    forget(options.name)
    if (!isStopping) options.onEnd?.(`${options.name} ended unexpectedly (${howEnded(child)}). ${endOfLog()}`)
  }
  if (hasEnded(child)) ended()
  else child.once('exit', ended)

  return {
    name: options.name,
    pid,
    printed,
    async stop() {
      isStopping = true
      await endProcess(pid)
    },
  }
}

/** Runs `node ...args` to its end, handing each line to `onLine`; keeps its log. Answers the exit code, -1 for a signal. */
export async function runToEnd(
  name: string,
  args: string[],
  options: { env?: Record<string, string>; onLine?: (line: string) => void } = {},
): Promise<{ exitCode: number; printed: string }> {
  mkdirSync(dirname(logOf(name)), { recursive: true })
  const log = createWriteStream(logOf(name), { flags: 'a', mode: 0o600 })
  const child = start(args, options.env, 'pipe')
  noted(name, child)
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line)
      log.write(`${line}\n`)
      options.onLine?.(line)
    })
  }
  const [exitCode] = (await once(child, 'close')) as [number | null]
  forget(name)
  log.end()
  return { exitCode: exitCode ?? -1, printed: lines.join('\n') }
}

/** Ends programs of ours that still run (all, or those named), also those that a killed run left. Answers their names. */
export async function endAll(only?: string[]): Promise<string[]> {
  const running = Object.entries(remembered()).filter(([name, pid]) => isOurs(pid) && (!only || only.includes(name)))
  await Promise.all(running.map(([, pid]) => endProcess(pid)))
  for (const [name] of running) forget(name)
  return running.map(([name]) => name)
}

async function endProcess(pid: number): Promise<void> {
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    if (!isAlive(pid)) return
    // Their whole session: a build has workers, a setup may be waiting for apt-get.
    process.kill(process.platform === 'win32' ? pid : -pid, signal)
    for (const deadline = Date.now() + stopWithinMs; Date.now() < deadline && isAlive(pid); ) await delay(20)
  }
}

function start(args: string[], env: Record<string, string> | undefined, output: number | 'pipe'): ChildProcess {
  // A session of its own: Ctrl-C in the terminal must end them in order, not all at once.
  return spawn(process.execPath, args, {
    cwd: cloneDir,
    env: { ...outside(), ...env } as NodeJS.ProcessEnv,
    stdio: ['ignore', output, output],
    detached: true,
  })
}

/** What our programs may know of this shell: its settings must not change what a clone is. */
function outside(): Record<string, string> {
  const kept = [
    'HOME',
    'LANG',
    'TERM',
    'TMPDIR',
    'DOCKER_HOST',
    'SystemRoot',
    'FACILITATOR_URL',
    'FEE_PAYER_MIN_LAMPORTS',
    'FEE_PAYER_DAILY_LAMPORTS',
    'FEE_BPS',
    'EXPLORER_URL',
  ]
  const known = Object.fromEntries(kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])))
  // Engines and mounts are in folders that an ordinary PATH leaves out.
  const path = [process.env.PATH, ...(process.platform === 'win32' ? [] : ['/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin'])]
  return { NEXT_TELEMETRY_DISABLED: '1', ...known, PATH: path.filter(Boolean).join(delimiter) }
}

/** The process that a service of this clone is right now; undefined when it does not run. */
export const processOf = (name: string): number | undefined => remembered()[name]

function remembered(): Record<string, number> {
  const file = stateDir('services.json')
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>) : {}
}

function noted(name: string, child: ChildProcess): number {
  child.on('error', () => undefined)
  if (child.pid === undefined) throw new Error(`${name} could not be started`)
  writeWhole(stateDir('services.json'), JSON.stringify({ ...remembered(), [name]: child.pid }))
  return child.pid
}

function forget(name: string): void {
  const { [name]: _, ...others } = remembered()
  writeWhole(stateDir('services.json'), JSON.stringify(others))
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

function howEnded(child: ChildProcess): string {
  return child.signalCode ? `signal ${child.signalCode}` : `exit code ${child.exitCode}`
}

/** The last lines of a text. */
export function lastLines(text: string, count = 12): string {
  return text.trim().split('\n').slice(-count).join('\n')
}
