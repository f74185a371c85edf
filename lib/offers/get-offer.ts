// One offer.
import type { Offer } from '@flow402/protocol/offer'
import { Problem } from '@flow402/protocol/problem'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findOffer } from './store.ts'

/** A listed offer; Problem offer_not_found otherwise. */
export async function getOffer(deps: { db: Db; now: Now }, id: string): Promise<Offer> {
  const found = await findOffer(deps.db, id, deps.now())
  if (!found) throw new Problem('offer_not_found')
  return found.offer
}
