// State: where this clone keeps what it made, and the note that says what runs right now.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The root of this clone. */
export const cloneDir = fileURLToPath(new URL('..', import.meta.url)).replace(/[/\\]$/, '')

/** A path inside .flow402, which git ignores. FLOW402_STATE_DIR puts it elsewhere: a second market from the same clone. */
export function stateDir(...parts: string[]): string {
  const folder = resolve(process.env.FLOW402_STATE_DIR || join(cloneDir, '.flow402'))
  mkdirSync(folder, { recursive: true })
  return join(folder, ...parts)
}

/** What `npm run up` says about the running house, for the demo and the benchmarks. */
export type RunningHouse = {
  /** Process id of `npm run up`. */
  pid: number
  url: string
  network: string
  databaseUrl: string
  rpcUrl: string
  faucetUrl: string
  usdcMint: string
  escrowAddress: string
  feeAddress: string
  providerAddress: string
  agentHome: string
  /** Where the container engine answers: a path of a unix socket or a url; empty without a local node. */
  engineSocket: string
  hasNode: boolean
}

/** The house that runs from this clone, if one does. */
export function readRunning(): RunningHouse | undefined {
  const file = stateDir('run.json')
  if (!existsSync(file)) return undefined
  const running = JSON.parse(readFileSync(file, 'utf8')) as RunningHouse
  return isOurs(running.pid) ? running : undefined
}

const endingMark = ' ending'

/** Takes this clone for the calling process. Answers the process that has it, if another one does, and whether that one is ending. */
export function lockHouse(): { pid: number; isEnding: boolean } | undefined {
  const file = stateDir('up.pid')
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      return undefined
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const note = existsSync(file) ? readFileSync(file, 'utf8') : ''
    const holder = Number.parseInt(note, 10)
    if (holder !== process.pid && isOurs(holder)) return { pid: holder, isEnding: note.endsWith(endingMark) }
    // Its holder was killed.
    rmSync(file, { force: true })
  }
}

/** Notes that the house of the calling process is about to leave this clone: whoever wants it next waits instead of giving up. */
export function markEnding(): void {
  writeWhole(stateDir('up.pid'), `${process.pid}${endingMark}`)
}

export function unlockHouse(): void {
  rmSync(stateDir('up.pid'), { force: true })
}

/** Notes the running house; readable by its owner only, because the database's url holds a password. */
export function noteRunning(running: RunningHouse): void {
  writeWhole(stateDir('run.json'), JSON.stringify(running, null, 2))
}

export function forgetRunning(): void {
  rmSync(stateDir('run.json'), { force: true })
}

/** Writes a file 0600 so that a reader sees the old content or the new one, never a part. */
export function writeWhole(file: string, content: string): void {
  const next = `${file}.${process.pid}`
  writeFileSync(next, content, { mode: 0o600 })
  renameSync(next, file)
}

/** Whether a process number still is one of this clone's programs, and was not given to another one since. */
export function isOurs(pid: number): boolean {
  if (!isAlive(pid)) return false
  const commandLine = `/proc/${pid}/cmdline`
  return !existsSync('/proc/self') || (existsSync(commandLine) && readFileSync(commandLine, 'utf8').includes(cloneDir))
}

/** Whether a process of this id runs; one that has ended but that nobody has waited for does not. */
export function isAlive(pid: number): boolean {
  if (!(pid > 1)) return false
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  const stat = `/proc/${pid}/stat`
  return !existsSync(stat) || !/^\d+ \(.*\) Z/.test(readFileSync(stat, 'utf8'))
}
