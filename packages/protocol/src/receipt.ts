// Receipts: everything a settled rental was, with the statement of its usage, the transactions that prove it and a digest over all of it.
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

const Hash = z.string().regex(/^[0-9a-f]{64}$/)

/** What every receipt says, whichever version: the frozen terms, the course, the money, and the movements of it. */
const settled = {
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
  prepaidAtoms: Atoms,
  chargedAtoms: Atoms,
  payoutAtoms: Atoms,
  feeAtoms: Atoms,
  refundAtoms: Atoms,
  transfers: z.array(ReceiptTransfer),
  digest: Hash,
}

/**
 * Where the rental's root is on the chain: the memo of the payout is its transfer's id, a space and `root` (hex). With `size` 1 that is the
 * rental's own root. Otherwise it is the Merkle tree hash (RFC 6962) of the roots of `size` rentals, each root a leaf of 32 bytes, in the order
 * of the rentals' ids, and `proof` leads from this rental's root, leaf `index`, to it. `transaction` is null until it is on a finalized block.
 */
export const ReceiptAnchor = z.strictObject({
  transaction: z.string().nullable(),
  root: Hash,
  size: z.int().min(1),
  index: z.int().min(0),
  proof: z.array(Hash),
})
export type ReceiptAnchor = z.infer<typeof ReceiptAnchor>

/**
 * A receipt of version 2. `digest` is SHA-256 (hex) of the canonical JSON (keys sorted, no spaces) of everything but `digest`, `statement` and
 * `anchor`. `usage.root` is the root of the usage statement (docs/statement.md), `usage.head` the leaf hash of its last record.
 */
export const AnchoredReceipt = z.strictObject({
  version: z.literal(2),
  ...settled,
  usage: z.strictObject({
    records: z.int().min(0),
    epoch: z.int().min(0),
    head: Hash.nullable(),
    root: Hash,
    meteredSeconds: z.int().min(0),
    billedSeconds: z.int().min(0),
  }),
  /** The statement's bytes in standard base64, made from the machine's records when it is asked for; absent when it is not. */
  statement: z
    .string()
    .regex(/^[A-Za-z0-9+/]+={0,2}$/)
    .optional(),
  /** Null while no payout was made for it, and when nothing was earned. */
  anchor: ReceiptAnchor.nullable(),
})
export type AnchoredReceipt = z.infer<typeof AnchoredReceipt>

/**
 * A receipt of version 1: of a rental that ran before there were statements. Its usage was signed in another form and is in no statement, so
 * that its sums and transactions can be checked, and its seconds cannot. `digest` is that of everything but `digest`.
 */
export const EarlyReceipt = z.strictObject({
  version: z.literal(1),
  ...settled,
  usage: z.strictObject({ records: z.int(), head: z.string().nullable(), meteredSeconds: z.int(), billedSeconds: z.int() }),
})
export type EarlyReceipt = z.infer<typeof EarlyReceipt>

export const Receipt = z.discriminatedUnion('version', [AnchoredReceipt, EarlyReceipt])
export type Receipt = z.infer<typeof Receipt>

/** Query of GET /api/rentals/{id}/receipt; the statement may be megabytes. */
export const ReceiptQuery = z.strictObject({ statement: z.enum(['true', 'false']).optional() })
export type ReceiptQuery = z.infer<typeof ReceiptQuery>

/** Query of GET /api/nodes/{id}/receipts: settled from `from` on and before `to`. */
export const ReceiptsQuery = z.strictObject({ from: z.iso.datetime().optional(), to: z.iso.datetime().optional() })
export type ReceiptsQuery = z.infer<typeof ReceiptsQuery>

/** What `digest` is taken of. */
export function digestedPart(receipt: Receipt): Record<string, unknown> {
  const { digest: _digest, ...rest } = receipt
  if (rest.version === 1) return rest
  const { statement: _statement, anchor: _anchor, ...digested } = rest
  return digested
}

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
