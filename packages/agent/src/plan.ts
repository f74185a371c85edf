// Plan: what to do next for one lease, decided from the journal and from what really runs. Pure: no clock, no engine.
import { type LeaseEnd, usageEverySeconds } from '@flow402/protocol/lease'
import { deadlineExitCode } from './init-script.ts'
import type { LeaseRow } from './journal.ts'
import type { SeenContainer } from './runtimes/runtime.ts'

/** The next step. `drain` fixes how the lease ended and its last second; `remove` takes away what is left of it. */
export type Step =
  | { do: 'start' }
  | { do: 'record'; toSecond: number }
  | { do: 'drain'; end: LeaseEnd; toSecond: number; exitCode: number | null; detail: string | null }
  | { do: 'remove' }
  | { do: 'wait'; seconds: number | null }

/** Seconds since ready on the monotonic clock (null: this host was rebooted since), and at which of them the container was seen to die. */
export type LeaseClock = { elapsed: number | null; died: number | null }

/** Decides; the same answer for the same facts, so that a step that was cut off is simply planned again. */
export function planLease(row: LeaseRow, seen: SeenContainer | null, clock: LeaseClock): Step {
  if (row.phase === 'removed') return { do: 'wait', seconds: null }
  if (row.phase === 'draining' || row.phase === 'failed') return { do: 'remove' }
  if (!row.ready) {
    if (row.desired === 'ended') return { do: 'drain', end: 'ordered', toSecond: 0, exitCode: null, detail: null }
    return { do: 'start' }
  }
  if (seen?.state !== 'running') return drainEnded(row, row.ready.atMs, seen, clock)

  // A container cannot outlive its host's boot; should the clock be lost all the same, only recorded time counts.
  const elapsed = clock.elapsed ?? row.usage.toSecond
  if (row.desired === 'ended') return { do: 'drain', end: 'ordered', toSecond: wholeSeconds(row, elapsed), exitCode: null, detail: null }
  if (elapsed >= row.paidSeconds)
    return { do: 'drain', end: 'paid_until', toSecond: wholeSeconds(row, elapsed), exitCode: null, detail: null }
  const recordable = Math.floor(elapsed / usageEverySeconds) * usageEverySeconds
  if (recordable > row.usage.toSecond) return { do: 'record', toSecond: recordable }
  const nextRecord = (Math.floor(elapsed / usageEverySeconds) + 1) * usageEverySeconds
  return { do: 'wait', seconds: Math.min(nextRecord, row.paidSeconds) - elapsed }
}

function drainEnded(row: LeaseRow, readyAtMs: number, seen: SeenContainer | null, clock: LeaseClock): Step {
  const exitCode = seen?.exitCode ?? null
  const finished = seen?.finishedAtMs ? (seen.finishedAtMs - readyAtMs) / 1000 : null
  const known = [clock.died, finished].filter((seconds) => seconds !== null)
  // Gone without a trace, or with its host's boot (the engine notes its own start as the end then): only recorded time is proven.
  const isProven = known.length > 0 && (clock.elapsed !== null || exitCode === deadlineExitCode)
  const ranFor = isProven ? Math.min(...known, clock.elapsed ?? Number.POSITIVE_INFINITY) : row.usage.toSecond
  const toSecond = wholeSeconds(row, ranFor)
  const drain = (end: LeaseEnd, code: number | null, detail: string | null): Step => ({
    do: 'drain',
    end,
    toSecond,
    exitCode: code,
    detail,
  })

  if (row.desired === 'ended') return drain('ordered', null, null)
  if (ranFor >= row.paidSeconds || (exitCode === deadlineExitCode && ranFor >= row.paidSeconds - 1)) {
    return { do: 'drain', end: 'paid_until', toSecond: row.paidSeconds, exitCode: null, detail: null }
  }
  if (!seen || seen.state === 'created') return drain('vanished', null, 'the container is gone')
  // PID 1 cannot be killed from inside; 143 is its answer to TERM, which the renter may send
  const wasKilled = exitCode === 137 && !(seen.oomKilled && row.spec.command)
  const wasEnded = row.spec.command === null && exitCode !== 143
  if (wasKilled || wasEnded) return drain('vanished', exitCode, 'the container was ended from outside')
  return drain('exited', exitCode, exitCode === 137 ? 'the command was killed because it used more memory than ordered' : null)
}

/** Whole seconds, never less than was already recorded and never more than was paid. */
function wholeSeconds(row: LeaseRow, seconds: number): number {
  return Math.max(row.usage.toSecond, Math.min(Math.floor(seconds), row.paidSeconds))
}
