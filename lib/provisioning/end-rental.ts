// Ending: a live rental moves to ending with its reason, and a new revision of its order tells the node to let go.
import type { EndReason } from '@flow402/protocol/rental'
import type { Tx } from '../db/client.ts'
import { releaseUnits } from '../offers/store.ts'
import { endEvent, moveRental } from '../rentals/move-rental.ts'
import { dropUnits, type RentalRecord } from '../rentals/store.ts'

/**
 * Ends a rental that is paid, starting or running; false when it is past that.
 * One that never ran has no usage to wait for: its usage is closed at once.
 */
export async function endRental(
  tx: Tx,
  rental: RentalRecord,
  end: { reason: EndReason; detail: string | null; endedAtMs: number; nowMs: number },
): Promise<boolean> {
  const event = endEvent(rental.status, end.reason)
  if (!event) return false
  const hasRun = rental.startedAtMs !== null
  const isAssigned = rental.epoch > 0
  await moveRental(tx, rental, event, {
    end_reason: end.reason,
    end_detail: end.detail,
    ended_at: new Date(Math.max(end.endedAtMs, rental.startedAtMs ?? end.endedAtMs)),
    revision: rental.revision + 1,
    ...(hasRun ? {} : { usage_closed_at: new Date(end.nowMs) }),
    ...(isAssigned ? {} : { lease_removed_at: new Date(end.nowMs) }),
  })
  // Never assigned: no node holds anything of it, so nobody will report that it is gone.
  const units = isAssigned ? undefined : await dropUnits(tx, rental.id)
  if (units) await releaseUnits(tx, units.offerId, units.units)
  return true
}
