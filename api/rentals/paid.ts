// The 402 and what follows it, the same for renting and for extending.
import type { PaymentPending, Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import type { Context } from 'hono'
import type { Accepted } from '../../lib/payments/accept-payment.ts'
import type { SignedQuote } from '../../lib/rentals/quote-rental.ts'
import type { House } from '../../lib/wiring.ts'
import { problemResponse } from '../problem-response.ts'

/** The proof of payment that a request carries, if any (x402 v2). */
export function paymentProof(c: Context): string | undefined {
  return c.req.header('payment-signature')
}

/** What a quote says in words for everybody: ids, deadline and price. */
export function termsOf({ rentalId, paymentId, exp, ...quote }: Quote) {
  const { amountAtoms, units, minutes, priceAtomsPerHour, feeBps, currency } = quote
  return {
    rentalId,
    paymentId,
    expiresAt: new Date(exp * 1000).toISOString(),
    price: { prepaidAtoms: amountAtoms, priceAtomsPerHour, units, minutes, feeBps, currency },
  }
}

/** The value of PAYMENT-REQUIRED for a quote; `path` is the address at which it is bought. */
export function challengeFor(c: Context, house: Pick<House, 'rail' | 'env'>, { quote, token }: SignedQuote, path: string): Promise<string> {
  return house.rail.challenge(quote, token, new URL(path, house.env.publicUrl ?? c.req.url).href)
}

/** 402: the exact price, signed, in the header for programs and in the body for everybody. Nothing was written. */
export async function paymentRequired(
  c: Context,
  house: Pick<House, 'rail' | 'env'>,
  signed: SignedQuote,
  path: string,
): Promise<Response> {
  const { amountAtoms, currency } = signed.quote
  const detail = `Pay exactly ${amountAtoms} atoms of ${currency}: repeat this request with PAYMENT-SIGNATURE`
  const response = problemResponse(new Problem('payment_required', { detail, ...termsOf(signed.quote) }), c)
  response.headers.set('PAYMENT-REQUIRED', await challengeFor(c, house, signed, path))
  return response
}

/** 202 while the chain has not told yet, never a new 402; otherwise `done` with the PAYMENT-RESPONSE header. */
export async function answerPaid(
  c: Context,
  house: Pick<House, 'rail' | 'wake'>,
  accepted: Accepted,
  done: () => Promise<Response>,
): Promise<Response> {
  const { quote, charge, state, signature, payer } = accepted
  if (state !== 'settled' || !signature) {
    const pending: PaymentPending = { code: 'payment_pending', paymentId: quote.paymentId, rentalId: quote.rentalId, state }
    return c.json(pending, 202, { 'cache-control': 'no-store', 'retry-after': '2' })
  }
  const response = await done()
  response.headers.set('PAYMENT-RESPONSE', house.rail.receiptHeader(charge, { signature, payer }))
  response.headers.set('cache-control', 'private, no-store')
  return response
}
