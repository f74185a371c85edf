// Claiming a payment: the units, the rental and the payment become ours at once, before anything is broadcast.
import type { Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import { canRental, type ExtendRequest, type RentalRequest, RentalState } from '@flow402/protocol/rental'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findOffer } from '../offers/store.ts'
import { findRental } from '../rentals/store.ts'
import type { PaymentProof } from './payment-rail.ts'
import type { NewPayment, PaymentRecord } from './store.ts'
import { claimForExtension, claimForRental } from './store-claim.ts'

/** How long a claim is in one worker's hand before the reconciler may take it, in ms. Short, because two hands do no harm: the token guards the broadcast. */
export const claimMs = 8_000

const extendable = RentalState.options.filter((state) => canRental(state, 'extend'))

/**
 * Claims a payment, and with it the units and the rental that it opens, in the hand of `token`. Nothing has been broadcast yet.
 * Problems: sold_out, offer_not_found; for an extension rental_not_found, rental_cannot. What was claimed before breaks a unique constraint.
 */
export async function claimPayment(
  deps: { db: Db; now: Now },
  quote: Quote,
  request: RentalRequest | ExtendRequest,
  proof: PaymentProof,
  lastValidBlockHeight: bigint,
  token: string,
): Promise<PaymentRecord> {
  const nowMs = deps.now()
  const payment: NewPayment = {
    id: quote.paymentId,
    rentalId: quote.rentalId,
    kind: quote.kind,
    minutes: quote.minutes,
    amountAtoms: BigInt(quote.amountAtoms),
    currency: quote.currency,
    network: quote.network,
    asset: quote.asset,
    payTo: quote.payTo,
    payer: proof.payer,
    messageHash: proof.messageHash,
    payload: proof.payload,
    identifier: proof.identifier ?? null,
    lastValidBlockHeight,
    createdAtMs: nowMs,
    workToken: token,
    workUntilMs: nowMs + claimMs,
  }
  if (quote.kind === 'rent') await claimRent(deps, quote, request as RentalRequest, payment)
  else await claimExtend(deps, payment)
  return { ...payment, status: 'claimed', signature: null, lastError: null, counted: true, isFinal: false }
}

async function claimRent(deps: { db: Db; now: Now }, quote: Quote, request: RentalRequest, payment: NewPayment): Promise<void> {
  const { offerId, units, feeBps } = quote
  const { image = null, command = null, env = {}, sshPublicKey = null } = request
  const terms = { offerId, units, feeBps, priceAtomsPerHour: BigInt(quote.priceAtomsPerHour) }
  if (await claimForRental(deps.db, { ...terms, image, command, env, sshPublicKey }, payment)) return
  throw new Problem((await findOffer(deps.db, offerId, deps.now())) ? 'sold_out' : 'offer_not_found')
}

async function claimExtend(deps: { db: Db }, payment: NewPayment): Promise<void> {
  if (await claimForExtension(deps.db, extendable, payment)) return
  const rental = await findRental(deps.db, payment.rentalId)
  if (!rental) throw new Problem('rental_not_found')
  throw new Problem('rental_cannot', { id: rental.id, state: rental.status, action: 'extend' })
}
