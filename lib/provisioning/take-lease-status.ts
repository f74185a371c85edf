// What the node says of a lease: ready starts the clock, an end ends the rental, removed frees the units.
import type { LeaseStatus } from '@flow402/protocol/lease'
import type { EndReason } from '@flow402/protocol/rental'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { releaseUnits } from '../offers/store.ts'
import { moveRental } from '../rentals/move-rental.ts'
import { changeRental, dropUnits, lockRental, type RentalRecord } from '../rentals/store.ts'
import { endRental } from './end-rental.ts'

const everyState = ['requested', 'paid', 'starting', 'running', 'ending', 'settled', 'expired'] as const

/** Takes a status report in. Safe to repeat; reports of another node, an old epoch or an unknown rental change nothing. Says whether anything did. */
export async function takeLeaseStatus(deps: { db: Db; now: Now }, nodeId: string, status: LeaseStatus): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, status.rentalId)
    // Epoch 0 is before any node was given it: nothing that a node could say of it is true.
    if (!rental || rental.nodeId !== nodeId || rental.epoch !== status.epoch || rental.epoch === 0) return false
    const nowMs = deps.now()
    if (status.phase === 'ready') return markReady(tx, rental, status, nowMs)
    const current =
      status.readyAt !== null && rental.status === 'starting' && (await markReady(tx, rental, status, nowMs))
        ? await lockRental(tx, rental.id)
        : rental
    const isOver = status.phase === 'failed' || status.phase === 'draining' || status.phase === 'removed'
    const ended = isOver && current ? await endByNode(tx, current, status, nowMs) : false
    const removed = status.phase === 'removed' && (await markRemoved(tx, rental, nowMs))
    return ended || removed
  })
}

/** The clock starts at the node's ready time, but never before the order was given nor after now: its clock is a hint. */
async function markReady(tx: Tx, rental: RentalRecord, status: LeaseStatus, nowMs: number): Promise<boolean> {
  if (rental.status !== 'starting') return false
  const startedAtMs = Math.min(Math.max(status.readyAt ?? nowMs, rental.assignedAtMs ?? nowMs), nowMs)
  await moveRental(tx, rental, 'ready', {
    started_at: new Date(startedAtMs),
    paid_until: new Date(startedAtMs + rental.minutes * 60_000),
  })
  return true
}

const reasons: Record<NonNullable<LeaseStatus['end']>, EndReason> = {
  ordered: 'stopped',
  paid_until: 'time_up',
  exited: 'exited',
  vanished: 'exited',
  failed: 'start_failed',
  image_unavailable: 'image_unavailable',
}

async function endByNode(tx: Tx, rental: RentalRecord, status: LeaseStatus, nowMs: number): Promise<boolean> {
  const hasRun = rental.status === 'running'
  const told = reasons[status.end ?? 'failed']
  const reason =
    hasRun && (told === 'start_failed' || told === 'image_unavailable') ? 'exited' : !hasRun && told === 'exited' ? 'start_failed' : told
  // PostgreSQL's text holds no NUL, and what a failing program says may.
  const detail = status.detail?.replaceAll('\0', '') ?? (status.exitCode === null ? null : `exit code ${status.exitCode}`)
  return endRental(tx, rental, { reason, detail, endedAtMs: nowMs, nowMs })
}

/** Container, volume and network are gone: nothing more will be reported, and the units can be sold again. */
async function markRemoved(tx: Tx, rental: RentalRecord, nowMs: number): Promise<boolean> {
  if (rental.leaseRemovedAtMs !== null) return false
  const now = new Date(nowMs)
  await changeRental(tx, rental.id, everyState, {
    lease_removed_at: now,
    ...(rental.usageClosedAtMs === null ? { usage_closed_at: now } : {}),
  })
  const units = await dropUnits(tx, rental.id)
  if (units) await releaseUnits(tx, units.offerId, units.units)
  return true
}
