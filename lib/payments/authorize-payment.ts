// Authorizing: whether a payment would be taken now, said without moving, claiming or holding anything.
import type { Authorization, Quote } from '@flow402/protocol/payment'
import { Problem, type ProblemCode } from '@flow402/protocol/problem'
import type { ExtendRequest, RentalRequest } from '@flow402/protocol/rental'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { readQuote, requestDigest } from '../rentals/quote-token.ts'
import { chargeOf, type PaymentRail } from './payment-rail.ts'
import { findClaims } from './store.ts'

type Deps = { db: Db; now: Now; keys: Pick<MarketKeys, 'verifying'>; rail: PaymentRail }
/** What is to be bought. */
export type Wanted = { kind: 'rent'; request: RentalRequest } | { kind: 'extend'; rentalId: string; request: ExtendRequest }

/** What may be said against a payment; everything else is trouble and thrown. */
const judgements = new Set<ProblemCode>([
  'payment_invalid',
  'payment_failed',
  'payment_already_used',
  'payment_identifier_reused',
  'quote_invalid',
  'quote_mismatch',
  'quote_expired',
])

/**
 * Judges a payment as completing it would: by its form, its quote, what is claimed already, and the chain. A payment that was taken
 * already is valid: completing it gives its outcome. Throws Problem chain_unavailable when nobody can tell.
 */
export async function authorizePayment(deps: Deps, wanted: Wanted, header: string): Promise<Authorization> {
  try {
    return await judge(deps, wanted, header)
  } catch (error) {
    if (error instanceof Problem && judgements.has(error.code)) return { isValid: false, code: error.code, reason: error.message }
    throw error
  }
}

async function judge(deps: Deps, wanted: Wanted, header: string): Promise<Authorization> {
  const proof = deps.rail.readProof(header)
  const quote = await readQuote(deps.keys, proof.quoteToken)
  if (!isFor(quote, wanted)) throw new Problem('quote_mismatch')
  const { paymentId } = quote
  const known = await findClaims(deps.db, { id: paymentId, messageHash: proof.messageHash, identifier: proof.identifier ?? null })
  if (known.sameQuote) {
    const { status, messageHash, lastError, payer } = known.sameQuote
    if (messageHash !== proof.messageHash) throw new Problem('payment_already_used')
    if (status === 'rejected' || status === 'expired') throw new Problem('payment_failed', { detail: lastError ?? status })
    return { isValid: true, payer, paymentId }
  }
  if (known.sameMessage) throw new Problem('payment_already_used')
  if (known.sameIdentifier) throw new Problem('payment_identifier_reused')
  const charge = chargeOf(quote)
  deps.rail.checkProof(proof, charge)
  if (quote.exp * 1000 < deps.now()) throw new Problem('quote_expired')
  const refusal = await deps.rail.refusalOf(charge, proof.payload)
  if (refusal !== undefined) throw new Problem('payment_failed', { detail: refusal })
  return { isValid: true, payer: proof.payer, paymentId }
}

function isFor(quote: Quote, wanted: Wanted): boolean {
  if (quote.kind !== wanted.kind || quote.requestDigest !== requestDigest(wanted.request)) return false
  return wanted.kind === 'rent' || quote.rentalId === wanted.rentalId
}
