// Clock: this host's monotonic time since boot, which outlives the agent and ignores changes of the wall clock.
import { existsSync, readFileSync } from 'node:fs'
import { uptime } from 'node:os'
import type { LeaseRow } from './journal.ts'

/** Seconds since boot, with fractions; the same clock for every process of this host. */
export const hostUptime = (): number => uptime()

const bootFile = '/proc/sys/kernel/random/boot_id'

/** Names this boot of the host, so that an uptime of another one is never compared. */
export function bootId(): string {
  return existsSync(bootFile) ? readFileSync(bootFile, 'utf8').trim() : `since-${Math.round((Date.now() / 1000 - uptime()) / 60)}`
}

/** Seconds since the lease was ready; null before, or when the host was rebooted since. */
export function elapsedSeconds(row: LeaseRow, boot: string): number | null {
  return row.ready && row.ready.bootId === boot ? Math.max(0, hostUptime() - row.ready.uptime) : null
}
