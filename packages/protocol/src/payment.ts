// Payments: the states of money coming in, the quote that names its terms, and what anyone may ask about one.
import { z } from 'zod'
import { OfferId, PaymentId, RentalId } from './id.ts'
import { Atoms, Currency } from './money.ts'

/** claimed: ours, not yet broadcast; submitted: perhaps on chain; settled: seen on chain; rejected: never broadcast; expired: can never land. */
export const PaymentState = z.enum(['claimed', 'submitted', 'settled', 'rejected', 'expired'])
export type PaymentState = z.infer<typeof PaymentState>

/** Answer of GET /api/payments/:id. */
export const Payment = z.strictObject({
  id: PaymentId,
  rentalId: RentalId,
  state: PaymentState,
  amountAtoms: Atoms,
  transaction: z.string().optional(),
})
export type Payment = z.infer<typeof Payment>

/** The terms that the market signs into a 402 (the claims of a compact JWS, EdDSA, RFC 7515). Nothing else sets a price. */
export const Quote = z.strictObject({
  kind: z.enum(['rent', 'extend']),
  paymentId: PaymentId,
  rentalId: RentalId,
  offerId: OfferId,
  units: z.int(),
  /** Minutes that this payment buys. */
  minutes: z.int(),
  priceAtomsPerHour: Atoms,
  amountAtoms: Atoms,
  currency: Currency,
  feeBps: z.int(),
  payTo: z.string(),
  asset: z.string(),
  network: z.string(),
  /** SHA-256 of the canonical request body, base64url: the payment buys this request and no other. */
  requestDigest: z.string(),
  /** Unix seconds. */
  exp: z.int(),
})
export type Quote = z.infer<typeof Quote>

/** Answer 202 when the outcome is not known yet: ask GET /api/payments/:id, then repeat the same request with the same header. */
export const PaymentPending = z.strictObject({
  code: z.literal('payment_pending'),
  paymentId: PaymentId,
  rentalId: RentalId,
  state: PaymentState,
})
export type PaymentPending = z.infer<typeof PaymentPending>
