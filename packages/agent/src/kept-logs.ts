// Kept logs: the end of what a workload wrote, readable for a day after its container is gone.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { type Home, writeWhole } from './home.ts'
import type { Runtime } from './runtimes/runtime.ts'

const keptBytes = 1024 * 1024
const keptMs = 24 * 3600_000
const mostLines = 10_000

const fileOf = (home: Home, rentalId: string) => home.path('logs', 'leases', `${rentalId}.log`)

/** Keeps the last 1 MiB; a container that wrote nothing keeps an empty file. */
export async function keepLogs(home: Home, runtime: Runtime, rentalId: string, containerId: string): Promise<void> {
  let tail = Buffer.alloc(0)
  for await (const chunk of await runtime.logs(containerId, { follow: false, tail: mostLines })) {
    tail = Buffer.concat([tail, chunk as Buffer]).subarray(-keptBytes)
  }
  mkdirSync(home.path('logs', 'leases'), { recursive: true, mode: 0o700 })
  writeWhole(fileOf(home, rentalId), tail.toString())
}

/** What was kept, or null; `tail` counts lines from the end. */
export function readKeptLogs(home: Home, rentalId: string, tail: number | null): string | null {
  const file = fileOf(home, rentalId)
  if (!existsSync(file)) return null
  const text = readFileSync(file, 'utf8')
  if (tail === null) return text
  if (tail === 0) return ''
  const lines = text.split('\n')
  const open = lines.at(-1) === '' ? 1 : 0
  return lines.slice(-(tail + open)).join('\n')
}

/** Deletes what is older than a day. */
export function dropOldLogs(home: Home): void {
  const folder = home.path('logs', 'leases')
  if (!existsSync(folder)) return
  for (const name of readdirSync(folder)) {
    const file = home.path('logs', 'leases', name)
    if (Date.now() - statSync(file).mtimeMs > keptMs) rmSync(file, { force: true })
  }
}
