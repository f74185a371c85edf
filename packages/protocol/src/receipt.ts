// Receipts: everything a settled rental was, with the transactions that prove it and a digest over all of it.
import { z } from 'zod'
import { NodeId, OfferId, PaymentId, RentalId } from './id.ts'
import { Atoms, Currency } from './money.ts'
import { PerUnit } from './node.ts'
import { EndReason } from './rental.ts'

/** One movement of money on chain. A payout may have no transaction yet: it is owed, and goes out when the provider's own schedule says. */
export const ReceiptTransfer = z.strictObject({
  kind: z.enum(['charge', 'payout', 'fee', 'refund']),
  amountAtoms: Atoms,
  from: z.string(),
  to: z.string(),
  transaction: z.string().nullable(),
  paymentId: PaymentId.optional(),
})
export type ReceiptTransfer = z.infer<typeof ReceiptTransfer>

/** The receipt. `digest` is SHA-256 (hex) of the canonical JSON (keys sorted, no spaces) of everything but `digest`. */
export const Receipt = z.strictObject({
  version: z.literal(1),
  rentalId: RentalId,
  network: z.string(),
  asset: z.string(),
  terms: z.strictObject({
    offerId: OfferId,
    nodeId: NodeId,
    nodePublicKey: z.string(),
    units: z.int(),
    perUnit: PerUnit,
    minutes: z.int(),
    priceAtomsPerHour: Atoms,
    currency: Currency,
    feeBps: z.int(),
  }),
  startedAt: z.iso.datetime().nullable(),
  endedAt: z.iso.datetime(),
  endReason: EndReason,
  usage: z.strictObject({ records: z.int(), head: z.string().nullable(), meteredSeconds: z.int(), billedSeconds: z.int() }),
  prepaidAtoms: Atoms,
  chargedAtoms: Atoms,
  payoutAtoms: Atoms,
  feeAtoms: Atoms,
  refundAtoms: Atoms,
  transfers: z.array(ReceiptTransfer),
  digest: z.string().regex(/^[0-9a-f]{64}$/),
})
export type Receipt = z.infer<typeof Receipt>

/** JSON with sorted keys and no spaces: the same bytes for the same value everywhere (strings, integers, booleans, null, arrays, objects). */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined)
    fields.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${fields.map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`).join(',')}}`
  }
  return JSON.stringify(value)
}
