// Stopping: the renter ends the rental; from this moment nothing more is billed.
import { Problem } from '@flow402/protocol/problem'
import type { Rental } from '@flow402/protocol/rental'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { endRental } from '../provisioning/end-rental.ts'
import { findRental, lockRental, rentalView } from '../rentals/store.ts'

/** Ends a paid rental; one that is ending or settled already is returned as it is. Problems: rental_not_found, rental_cannot (never paid). */
export async function stopRental(deps: { db: Db; now: Now }, id: string): Promise<Rental> {
  await inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, id)
    if (!rental) throw new Problem('rental_not_found')
    if (rental.status === 'requested' || rental.status === 'expired')
      throw new Problem('rental_cannot', { id, state: rental.status, action: 'stop' })
    const nowMs = deps.now()
    await endRental(tx, rental, { reason: 'stopped', detail: null, endedAtMs: nowMs, nowMs })
  })
  const rental = await findRental(deps.db, id)
  if (!rental) throw new Problem('rental_not_found')
  return rentalView(rental, deps.now())
}
