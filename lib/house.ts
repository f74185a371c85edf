// The house as pages see it: reading verbs, already bound. Kept on globalThis, because the bundler gives pages their own copies of modules.
import type { NetworkView } from '@flow402/protocol/network'
import type { Offer, OfferPage, OfferQuery } from '@flow402/protocol/offer'
import type { Reserves } from '@flow402/protocol/reserve'

/** What a page may read. */
export type PageHouse = {
  listOffers(query: OfferQuery): Promise<OfferPage>
  /** Throws Problem offer_not_found. */
  getOffer(id: string): Promise<Offer>
  network(): NetworkView
  reserves(): Promise<Reserves>
}

const key = Symbol.for('flow402.house')

/** Called once by the server before it renders anything. */
export function showHouse(house: PageHouse): void {
  ;(globalThis as Record<symbol, unknown>)[key] = house
}

/** The house; throws when no server opened it, which is a bug. */
export function house(): PageHouse {
  const found = (globalThis as Record<symbol, unknown>)[key] as PageHouse | undefined
  if (!found) throw new Error('no server opened the house')
  return found
}
