// Listing offers: one page at a time, cheapest first, by keyset.
import { suspectAfterMs } from '@flow402/protocol/lease'
import type { OfferPage, OfferQuery } from '@flow402/protocol/offer'
import { Problem } from '@flow402/protocol/problem'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { countOnlineOffers, findOffers } from './store.ts'

const defaultLimit = 50

/** A page of listed offers. A cursor that we did not make is Problem invalid_request. */
export async function listOffers(deps: { db: Db; now: Now }, query: OfferQuery): Promise<OfferPage> {
  const nowMs = deps.now()
  const limit = query.limit ?? defaultLimit
  const found = await findOffers(
    deps.db,
    {
      kind: query.kind,
      region: query.region,
      seenSinceMs: query.online === 'true' ? nowMs - suspectAfterMs : undefined,
      after: query.cursor === undefined ? undefined : decodeCursor(query.cursor),
      limit: limit + 1,
    },
    nowMs,
  )
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: found.length > limit && last ? encodeCursor(last.priceAtomsPerHour, last.id) : null }
}

/** Whether at least one offer can be rented right now. */
export async function hasOnlineOffer(deps: { db: Db; now: Now }): Promise<boolean> {
  return (await countOnlineOffers(deps.db, deps.now() - suspectAfterMs)) > 0
}

function encodeCursor(price: string, id: string): string {
  return Buffer.from(`${price}:${id}`).toString('base64url')
}

function decodeCursor(cursor: string): { price: bigint; id: string } {
  const match = /^(\d{1,18}):(ofr_[0-9a-f]{32})$/.exec(Buffer.from(cursor, 'base64url').toString())
  if (!match?.[1] || !match[2]) throw new Problem('invalid_request', { detail: 'cursor is not one that this market gave' })
  return { price: BigInt(match[1]), id: match[2] }
}
