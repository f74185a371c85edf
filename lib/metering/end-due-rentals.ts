// Time's work: rentals that never became ready, ran out of paid time or lost their node are ended; usage that never comes is closed.
import { lostAfterMs } from '@flow402/protocol/lease'
import type { EndReason } from '@flow402/protocol/rental'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { releaseUnits } from '../offers/store.ts'
import { oneByOne } from '../one-by-one.ts'
import { endRental } from '../provisioning/end-rental.ts'
import { changeRental, dropUnits, findTimedRentals, lockRental, type RentalRecord } from '../rentals/store.ts'
import { findUsageHead } from './store.ts'
import { clampSeconds } from './take-usage.ts'

/** From payment to ready, in ms; longer and everything is refunded. */
export const startWithinMs = 600_000
/** How long a lost node may take to come back before its rentals settle, in ms. */
export const backWithinMs = 300_000
/** What the node gets to report the end itself before the market acts, in ms. */
const reportGraceMs = 5_000
/** How long a node that is there may take to hand in the last usage of a rental, in ms. */
const lastUsageWithinMs = 60_000
const goneAfterMs = lostAfterMs + backWithinMs
const batch = 200

/** What time asks of a rental now. Pure; `marketUpSinceMs` keeps an outage of ours from losing nodes. */
export function dueEnd(rental: RentalRecord, nowMs: number, marketUpSinceMs: number): EndReason | 'close_usage' | 'free_units' | undefined {
  const unseenMs = nowMs - Math.max(rental.node.lastSeenAtMs ?? 0, marketUpSinceMs)
  const isGone = unseenMs > goneAfterMs
  if (rental.status === 'paid' || rental.status === 'starting')
    return nowMs - (rental.paidAtMs ?? rental.createdAtMs) > startWithinMs ? 'start_timeout' : undefined
  if (rental.status === 'running') {
    if (rental.paidUntilMs !== null && nowMs > rental.paidUntilMs + reportGraceMs) return 'time_up'
    return isGone ? 'node_lost' : undefined
  }
  if (rental.status === 'ending' && rental.usageClosedAtMs === null) {
    const isLate = rental.endedAtMs !== null && nowMs - rental.endedAtMs > lastUsageWithinMs
    if (isGone || (isLate && unseenMs < lostAfterMs)) return 'close_usage'
    return undefined
  }
  // One that never became ready may have been started where nobody hears of it: it ends there by itself when its paid time is over.
  const lastMs = rental.paidUntilMs ?? (rental.endedAtMs === null ? null : rental.endedAtMs + rental.minutes * 60_000)
  const isOver = lastMs !== null && nowMs > lastMs + backWithinMs
  return rental.unitsHeld && isOver ? 'free_units' : undefined
}

/** Applies what is due; returns how many rentals changed. */
export async function endDueRentals(deps: { db: Db; now: Now }, marketUpSinceMs: number): Promise<number> {
  const found = await findTimedRentals(deps.db, { nowMs: deps.now(), startWithinMs, lastUsageWithinMs, goneAfterMs, backWithinMs }, batch)
  const due = found.filter((rental) => dueEnd(rental, deps.now(), marketUpSinceMs))
  return oneByOne(
    'end_not_applied',
    due,
    ({ id }) => id,
    ({ id }) =>
      inTransaction(deps.db, async (tx) => {
        const rental = await lockRental(tx, id)
        const due = rental && dueEnd(rental, deps.now(), marketUpSinceMs)
        return rental && due ? apply(tx, rental, due, deps.now()) : false
      }),
  )
}

async function apply(tx: Tx, rental: RentalRecord, due: NonNullable<ReturnType<typeof dueEnd>>, nowMs: number): Promise<boolean> {
  if (due === 'free_units') {
    const units = await dropUnits(tx, rental.id)
    if (units) await releaseUnits(tx, units.offerId, units.units)
    return units !== undefined
  }
  if (due === 'close_usage') return changeRental(tx, rental.id, ['ending'], { usage_closed_at: new Date(nowMs) })
  if (due === 'time_up') return endRental(tx, rental, { reason: due, detail: null, endedAtMs: rental.paidUntilMs ?? nowMs, nowMs })
  if (due === 'start_timeout')
    return endRental(tx, rental, { reason: due, detail: 'not ready within 10 minutes of payment', endedAtMs: nowMs, nowMs })
  // A lost node bills only what it had acknowledged; nothing more is waited for.
  const head = await findUsageHead(tx, rental.id, rental.epoch)
  const seconds = clampSeconds(rental, head?.toSecond ?? 0, nowMs)
  const ended = await endRental(tx, rental, { reason: due, detail: 'the machine stopped answering', endedAtMs: nowMs, nowMs })
  return ended && changeRental(tx, rental.id, ['ending'], { metered_seconds: seconds, usage_closed_at: new Date(nowMs) })
}
