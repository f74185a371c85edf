// One dispute, and the admin's list of them.
import type { Dispute, DisputePage, DisputeQuery } from '@flow402/protocol/dispute'
import { Problem } from '@flow402/protocol/problem'
import type { Db } from '../db/client.ts'
import { disputeView, findDispute, findDisputeOf, findDisputes } from './store.ts'

const usualLimit = 50

/** The dispute of a rental; Problem dispute_not_found. Who may see it was checked at the door. */
export async function getDisputeOf(deps: { db: Db }, rentalId: string): Promise<Dispute> {
  const dispute = await findDisputeOf(deps.db, rentalId)
  if (!dispute) throw new Problem('dispute_not_found')
  return disputeView(dispute)
}

/** The rental that a dispute is about; undefined when there is no such dispute. */
export async function rentalOfDispute(deps: { db: Db }, id: string): Promise<string | undefined> {
  return (await findDispute(deps.db, id))?.rentalId
}

/** Disputes of one status (open unless told otherwise), oldest first, a page at a time. */
export async function listDisputes(deps: { db: Db }, query: DisputeQuery): Promise<DisputePage> {
  const limit = query.limit ?? usualLimit
  const found = await findDisputes(deps.db, { status: query.status ?? 'open', after: query.after, limit: limit + 1 })
  const items = found.slice(0, limit)
  return { items: items.map(disputeView), nextAfter: found.length > limit ? (items.at(-1)?.id ?? null) : null }
}
