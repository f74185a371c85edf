// Quoting: the exact price of a request, signed; nothing is written and nothing is held.
import { newId } from '@flow402/protocol/id'
import { prepaidAtoms } from '@flow402/protocol/money'
import type { Offer } from '@flow402/protocol/offer'
import type { Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import { canRental, type ExtendRequest, type RentalRequest } from '@flow402/protocol/rental'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { getOffer } from '../offers/get-offer.ts'
import { requestDigest, signQuote } from './quote-token.ts'
import { findRental, type RentalRecord } from './store.ts'

/** How long a quote may be paid, in seconds. */
export const quoteSeconds = 90

const mostDigits = 18

/** Where the money goes, as the payment rail names it. */
export type Payee = { payTo: string; asset: string; network: string }

type Deps = { db: Db; now: Now; keys: MarketKeys; feeBps: number; payee: Payee }
/** Says why nothing new may be sold now: the market could not pay the network's fees to the end. */
type Guarded = { feeGuard: { pausedBecause(): Promise<string | undefined> } }
export type SignedQuote = { quote: Quote; token: string }

/** Prices a new rental. Problems: offer_not_found, offer_offline, sold_out, duration_out_of_range, quotes_paused. */
export async function quoteRental(deps: Deps & Guarded, request: RentalRequest): Promise<SignedQuote> {
  const offer = await getOffer(deps, request.offerId)
  requireRentable(offer, request)
  const pausedBecause = await deps.feeGuard.pausedBecause()
  if (pausedBecause !== undefined) throw new Problem('quotes_paused', { detail: `The market’s fee payer is paused: ${pausedBecause}` })
  const amount = prepaidAtoms(request.units, BigInt(offer.priceAtomsPerHour), request.minutes * 60)
  return sign(deps, {
    kind: 'rent',
    paymentId: newId('payment', deps.now()),
    rentalId: newId('rental', deps.now()),
    offerId: offer.id,
    units: request.units,
    minutes: request.minutes,
    priceAtomsPerHour: offer.priceAtomsPerHour,
    amountAtoms: amount.toString(),
    feeBps: deps.feeBps,
    requestDigest: requestDigest(request),
  })
}

/** Prices more minutes for a running rental, at the rental's own frozen price. Problems: rental_not_found, rental_cannot, duration_out_of_range. */
export async function quoteExtension(deps: Deps, rentalId: string, request: ExtendRequest): Promise<SignedQuote> {
  const rental = await findRental(deps.db, rentalId)
  if (!rental) throw new Problem('rental_not_found')
  requireExtendable(rental, request)
  const amount = prepaidAtoms(rental.units, rental.priceAtomsPerHour, request.minutes * 60)
  return sign(deps, {
    kind: 'extend',
    paymentId: newId('payment', deps.now()),
    rentalId,
    offerId: rental.offerId,
    units: rental.units,
    minutes: request.minutes,
    priceAtomsPerHour: rental.priceAtomsPerHour.toString(),
    amountAtoms: amount.toString(),
    feeBps: rental.feeBps,
    requestDigest: requestDigest(request),
  })
}

async function sign(deps: Deps, terms: Omit<Quote, 'currency' | 'payTo' | 'asset' | 'network' | 'exp'>): Promise<SignedQuote> {
  // PostgreSQL's bigint and the wire's 18 digits are far above any sum that exists; a price beyond them is a joke or an attack.
  if (terms.amountAtoms.length > mostDigits)
    throw new Problem('invalid_request', { detail: 'this would cost more than can be paid at once' })
  const exp = Math.floor(deps.now() / 1000) + quoteSeconds
  const quote: Quote = { ...terms, currency: 'USDC', ...deps.payee, exp }
  return { quote, token: await signQuote(deps.keys, quote) }
}

function requireRentable(offer: Offer, request: RentalRequest): void {
  if (request.minutes < offer.minMinutes || request.minutes > offer.maxMinutes)
    throw new Problem('duration_out_of_range', { minMinutes: offer.minMinutes, maxMinutes: offer.maxMinutes })
  if (!offer.online) throw new Problem('offer_offline')
  if (request.units > offer.unitsAvailable) throw new Problem('sold_out', { unitsAvailable: offer.unitsAvailable })
}

function requireExtendable(rental: RentalRecord, request: ExtendRequest): void {
  if (!canRental(rental.status, 'extend')) throw new Problem('rental_cannot', { id: rental.id, state: rental.status, action: 'extend' })
  const leftMinutes = Math.max(0, rental.maxMinutes - rental.minutes)
  if (request.minutes > leftMinutes) throw new Problem('duration_out_of_range', { minMinutes: 1, maxMinutes: leftMinutes })
}
