// What an engine can do, whichever it is: WebAssembly from Rust, or its twin in TypeScript. Batches of bytes in, verdicts out.

/** Why a statement is refused, in the order in which it is checked (docs/statement.md). */
export const statementFaults = [
  'malformed',
  'terms',
  'node_key',
  'signature',
  'chain',
  'record_malformed',
  'record_foreign',
  'sequence',
  'time',
  'metered',
  'billed',
  'charge',
  'fee',
  'payout',
  'refund',
  'root',
] as const
export type StatementFault = (typeof statementFaults)[number]

/**
 * The verdict on a statement. `root` is the computed Merkle root (32 bytes), `records` how many there are. Refused: `record` is the
 * position (from 1) of the wrong record, 0 when it is the bill that is wrong; `stated` and `computed` are the two figures that differ
 * where there are such (seconds or atoms).
 */
export type StatementVerdict =
  | { ok: true; records: number; root: Uint8Array }
  | { ok: false; fault: StatementFault; record: number; stated?: bigint; computed?: bigint }

export type DigestName = 'sha256' | 'sha3-256'

/** One Ed25519 signature to be checked: 32 bytes of key, the message, 64 bytes of signature. */
export type SignedMessage = { publicKey: Uint8Array; message: Uint8Array; signature: Uint8Array }

/**
 * An engine. Everything is synchronous and pure. Bad input of the caller (a wrong length, a number out of its range) throws a RangeError; bad
 * data is a verdict. Hashes and roots are 32 bytes; many of them are one array of 32 n bytes. Leaves have at least one byte; there are fewer
 * than 2^32.
 */
export type Engine = {
  readonly name: 'wasm-simd' | 'javascript'
  /** Digests of many messages that lie one after the other in `bytes`, `lengths` bytes each; the lengths must add up to all of it. */
  digests: (digest: DigestName, bytes: Uint8Array, lengths: Uint32Array) => Uint8Array
  /** RFC 6962 Merkle tree hash of `count` leaves of `leafBytes` each; of no leaf it is SHA-256 of nothing. */
  merkleRoot: (leaves: Uint8Array, leafBytes: number) => Uint8Array
  /** RFC 6962 inclusion proof of leaf `index`, from 0: the sibling hashes from the leaf up. */
  merkleProof: (leaves: Uint8Array, leafBytes: number, index: number) => Uint8Array
  /** RFC 9162, 2.1.3.2: whether `leaf`, of whatever length, is leaf `index` of a tree of `size` leaves with this root. Any `proof` has a verdict. */
  isIncluded: (leaf: Uint8Array, index: number, size: number, proof: Uint8Array, root: Uint8Array) => boolean
  /** RFC 6962 consistency proof between the tree of the first `size` leaves, from 1 to all, and the tree of all. */
  consistencyProof: (leaves: Uint8Array, leafBytes: number, size: number) => Uint8Array
  /** RFC 9162, 2.1.4.2: whether the tree of `newSize` leaves begins with the tree of `oldSize`; of size 0 nothing is proved. Any `proof` has a verdict. */
  isConsistent: (oldSize: number, oldRoot: Uint8Array, newSize: number, newRoot: Uint8Array, proof: Uint8Array) => boolean
  /** One verdict per signature (1 good, 0 not), by the one rule of docs/statement.md. A batch gives the same verdicts as one by one. */
  verifySignatures: (signed: readonly SignedMessage[]) => Uint8Array
  /** Exact sum over i of floor(quantities[i] x prices[i] / divisor), divisor from 1 to 2^64 - 1; products in 128 bits, the sum must fit in 128 bits. */
  sumPrices: (quantities: BigUint64Array, prices: BigUint64Array, divisor: bigint) => bigint
  /** The whole check of one statement. */
  verifyStatement: (statement: Uint8Array) => StatementVerdict
}
