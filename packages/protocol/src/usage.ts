// Usage: the node's signed, hash-chained record of how long a rental ran.
import { z } from 'zod'
import { NodeId, RentalId } from './id.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/)

/** One window of running time, in whole seconds since the workload was ready. Windows of one rental touch: fromSecond = the last toSecond. */
export const UsageRecord = z.strictObject({
  rentalId: RentalId,
  nodeId: NodeId,
  epoch: z.int().min(1),
  seq: z.int().min(1),
  fromSecond: z.int().min(0),
  toSecond: z.int().min(0),
  /** The node's clock when it wrote this, Unix ms: a hint, never a price. */
  at: z.int(),
  /** Leaf hash of the record before, 64 zeros for seq 1. */
  prevHash: Hash,
  /** True on the last record of the rental: nothing follows. */
  final: z.boolean(),
})
export type UsageRecord = z.infer<typeof UsageRecord>

/**
 * A record with the leaf hash of its 93 bytes (docs/statement.md; hex) and the node's Ed25519 signature over those 32 bytes (base64url).
 * The bytes are written by `@flow402/rust-lib/statement`.
 */
export const SignedUsage = z.strictObject({ record: UsageRecord, hash: Hash, signature: z.string().max(100) })
export type SignedUsage = z.infer<typeof SignedUsage>
