// The mock payment: what a payer writes into PAYMENT-SIGNATURE where a market runs the mock rail (development and tests, no money).
import { z } from 'zod'

/**
 * What a payer may ask to go wrong with its payment, as with the test cards of card processors.
 * refused: judged well, then refused. unsent: the facilitator fails before it sends, `times` times. answer_lost: it lands, no answer.
 * answer_late: it lands, the answer comes after the market stopped waiting. false_success: said to have landed, nothing did.
 * duplicate_settlement: it lands, and is said to be a copy. rpc_lags: it lands, the node that is asked does not know it `times` times.
 * dropped_after_confirmed: it lands, and a fork drops it before it is final. lands_late: it lands at the last height at which it can,
 * after the quote expired. never_lands: said to be sent, and never was.
 */
export const MockFault = z.enum([
  'refused',
  'unsent',
  'answer_lost',
  'answer_late',
  'false_success',
  'duplicate_settlement',
  'rpc_lags',
  'dropped_after_confirmed',
  'lands_late',
  'never_lands',
])
export type MockFault = z.infer<typeof MockFault>

/** One entry of `accepts` in a 402 of the mock rail; it is echoed as `accepted`. `lastValidHeight`: past this block height it cannot land. */
export const MockRequirements = z.looseObject({
  scheme: z.literal('mock'),
  network: z.string(),
  amount: z.string().regex(/^[1-9]\d{0,17}$/),
  asset: z.string(),
  payTo: z.string(),
  extra: z.looseObject({ memo: z.string(), lastValidHeight: z.string().regex(/^\d{1,18}$/), quote: z.string() }),
})
export type MockRequirements = z.infer<typeof MockRequirements>

/** The `payload` of a mock payment: `digest` is SHA-256 (hex) of `mockPaymentBytes`, and stands where a signature would. */
export const MockPayload = z.strictObject({
  payer: z.string().min(1).max(64),
  nonce: z.string().min(1).max(64),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
  fault: MockFault.optional(),
  times: z.int().min(1).max(100).optional(),
})
export type MockPayload = z.infer<typeof MockPayload>

/** What is signed: the terms, who pays, and a nonce. What is to go wrong is no part of it, as no wrapping is. */
export type MockTerms = {
  network: string
  amount: string
  asset: string
  payTo: string
  memo: string
  lastValidHeight: string
  payer: string
  nonce: string
}

/** The exact bytes that are hashed: the terms in this order, joined by newlines, UTF-8. */
export function mockPaymentBytes(terms: MockTerms): Uint8Array<ArrayBuffer> {
  const { network, amount, asset, payTo, memo, lastValidHeight, payer, nonce } = terms
  return new TextEncoder().encode(['flow402-mock-payment-1', network, amount, asset, payTo, memo, lastValidHeight, payer, nonce].join('\n'))
}
