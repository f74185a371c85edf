// The shape of vectors.json. Bytes are hex; numbers that may pass 2^53 are decimal texts.
import type { DigestName, StatementFault } from '../js/engine.ts'
import type { UsageFields } from '../js/statement.ts'

export type WrittenVerdict =
  | { ok: true; records: number; root: string }
  | { ok: false; fault: StatementFault; record: number; stated?: string; computed?: string }

export type DigestVector = { digest: DigestName; message: string; hash: string }
export type SignatureVector = { name: string; publicKey: string; message: string; signature: string; isGood: boolean }
/** A tree of `count` leaves of `leafBytes` each: its root, the proof of every leaf, and the consistency proof of every size from 1 to count. */
export type TreeVector = { leafBytes: number; count: number; leaves: string; root: string; inclusion: string[]; consistency: string[] }
export type InclusionVector = { name: string; leaf: string; index: number; size: number; proof: string; root: string; isGood: boolean }
export type ConsistencyVector = {
  name: string
  oldSize: number
  oldRoot: string
  newSize: number
  newRoot: string
  proof: string
  isGood: boolean
}
/** `sum` is null where it does not fit in 128 bits, which is a RangeError. */
export type PriceVector = { quantities: string[]; prices: string[]; divisor: string; sum: string | null }
export type RecordVector = { name: string; fields: UsageFields; bytes: string; leafHash: string }
export type StatementVector = { name: string; statement: string; verdict: WrittenVerdict }
export type PaymentProofVector = {
  paymentId: string
  transaction: string
  amountAtoms: string
  payer: string
  payee: string
  message: string
  hash: string
}
export type AddressVector = { address: string; isAddress: boolean; isOnCurve: boolean }

export type Vectors = {
  about: string
  digests: DigestVector[]
  signatures: SignatureVector[]
  trees: TreeVector[]
  inclusions: InclusionVector[]
  consistencies: ConsistencyVector[]
  prices: PriceVector[]
  records: RecordVector[]
  statements: StatementVector[]
  paymentProofs: PaymentProofVector[]
  addresses: AddressVector[]
}
