// Reading a payment: the proof that a client sent, the quote inside of it, and what is claimed already; nothing is asked of the chain.
import type { Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import type { ExtendRequest, RentalRequest } from '@flow402/protocol/rental'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { readQuote, requestDigest } from '../rentals/quote-token.ts'
import { type Charge, chargeOf, type PaymentProof, type PaymentRail } from './payment-rail.ts'
import { findClaims, type PaymentRecord } from './store.ts'

export type ReadDeps = { db: Db; now: Now; keys: Pick<MarketKeys, 'verifying'>; rail: Pick<PaymentRail, 'readProof' | 'checkProof'> }
/** What is to be bought. */
export type Wanted = { kind: 'rent'; request: RentalRequest } | { kind: 'extend'; rentalId: string; request: ExtendRequest }
/** A payment that may be claimed, or, with `claimed`, one that was: this very one. */
export type ReadPayment = { proof: PaymentProof; quote: Quote; charge: Charge; claimed: PaymentRecord | undefined }

/**
 * Reads a payment for what is wanted. Problems: payment_invalid, quote_invalid, quote_mismatch, quote_expired, payment_already_used,
 * payment_identifier_reused.
 */
export async function readPayment(deps: ReadDeps, wanted: Wanted, header: string): Promise<ReadPayment> {
  const proof = deps.rail.readProof(header)
  const quote = await readQuote(deps.keys, proof.quoteToken)
  const isWanted = quote.kind === wanted.kind && quote.requestDigest === requestDigest(wanted.request)
  if (!isWanted || (wanted.kind === 'extend' && quote.rentalId !== wanted.rentalId)) throw new Problem('quote_mismatch')
  const charge = chargeOf(quote)

  const { paymentId: id } = quote
  const { messageHash, identifier = null } = proof
  const { sameQuote, sameMessage, sameIdentifier } = await findClaims(deps.db, { id, messageHash, identifier })
  if (sameQuote) {
    if (sameQuote.messageHash !== messageHash) throw new Problem('payment_already_used', { paymentId: sameQuote.id })
    return { proof, quote, charge, claimed: sameQuote }
  }
  if (sameMessage) throw new Problem('payment_already_used', { paymentId: sameMessage.id })
  if (sameIdentifier) throw new Problem('payment_identifier_reused', { paymentId: sameIdentifier.id })

  deps.rail.checkProof(proof, charge)
  if (quote.exp * 1000 < deps.now()) throw new Problem('quote_expired', { expiredAt: new Date(quote.exp * 1000).toISOString() })
  return { proof, quote, charge, claimed: undefined }
}
