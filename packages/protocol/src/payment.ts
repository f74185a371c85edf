// Payments: the states of money coming in, the quote that names its terms, and what anyone may ask about one.
import { z } from 'zod'
import { OfferId, PaymentId, RentalId } from './id.ts'
import { Atoms, Currency } from './money.ts'
import { QuotedPrice, RentalRequest } from './rental.ts'

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

/** The name of x402's extension by which a payer names a payment, so that it is never made twice (specs/extensions/payment_identifier.md). */
export const paymentIdentifierExtension = 'payment-identifier'
/** The payer's own name for one payment, e.g. a UUID. */
export const PaymentIdentifier = z.string().regex(/^[A-Za-z0-9_-]{16,128}$/, '16 to 128 letters, digits, hyphens and underscores')
export type PaymentIdentifier = z.infer<typeof PaymentIdentifier>

/** More minutes for a rental, where the rental is not named by the address. */
export const ExtensionRequest = z.strictObject({ rentalId: RentalId, minutes: z.int().min(1).max(43_200) })
export type ExtensionRequest = z.infer<typeof ExtensionRequest>

/** What a payment may be for. For an extension the bearer token of the rental is needed. */
export const PayableRequest = z.union([RentalRequest, ExtensionRequest])
export type PayableRequest = z.infer<typeof PayableRequest>

/** Answer of POST /api/payments/quote. `paymentRequired` is what the header PAYMENT-REQUIRED holds, decoded; `quote` the terms, signed. */
export const PaymentQuote = z.strictObject({
  paymentRequired: z.looseObject({ x402Version: z.literal(2), accepts: z.array(z.looseObject({})).min(1) }),
  quote: z.string(),
  paymentId: PaymentId,
  rentalId: RentalId,
  expiresAt: z.iso.datetime(),
  price: QuotedPrice,
})
export type PaymentQuote = z.infer<typeof PaymentQuote>

/** Body of authorize and complete: what is bought, and the x402 payment (the object, or its base64) unless PAYMENT-SIGNATURE holds it. */
export const PaidRequest = z.strictObject({
  request: PayableRequest,
  payment: z.union([z.string().min(1), z.looseObject({})]).optional(),
})
export type PaidRequest = z.infer<typeof PaidRequest>

/** Answer of POST /api/payments/authorize: whether this payment would be taken now. Nothing is moved, claimed or held by asking. */
export const Authorization = z.discriminatedUnion('isValid', [
  z.strictObject({ isValid: z.literal(true), payer: z.string(), paymentId: PaymentId }),
  z.strictObject({ isValid: z.literal(false), code: z.string(), reason: z.string() }),
])
export type Authorization = z.infer<typeof Authorization>

/** Body of POST /api/payments/settle. */
export const SettleRequest = z.strictObject({ rentalId: RentalId })
export type SettleRequest = z.infer<typeof SettleRequest>
