// One rental, as its holder sees it.
import { Problem } from '@flow402/protocol/problem'
import type { Rental } from '@flow402/protocol/rental'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findRental, rentalView } from './store.ts'

/** A rental; Problem rental_not_found. Who may see it was checked at the door. */
export async function getRental(deps: { db: Db; now: Now }, id: string): Promise<Rental> {
  const rental = await findRental(deps.db, id)
  if (!rental) throw new Problem('rental_not_found')
  return rentalView(rental, deps.now())
}
