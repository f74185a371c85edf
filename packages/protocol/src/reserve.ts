// Reserves: what the market has on chain beside what it owes, and the Merkle sum tree by which each creditor finds itself in the sum.
import { z } from 'zod'
import { Atoms } from './money.ts'

const Hash = z.string().regex(/^[0-9a-f]{64}$/, 'a SHA-256 in 64 hex digits')
const Instant = z.iso.datetime()
/** A difference: atoms that may be below zero. */
const SignedAtoms = z.string().regex(/^(0|-?[1-9]\d{0,17})$/, 'a whole number of atoms, perhaps below zero')

/** The accounts of what is owed, as the ledger names them. */
export const LiabilityAccount = z.enum(['held', 'provider', 'disputed', 'refund', 'fee', 'unmatched'])
export type LiabilityAccount = z.infer<typeof LiabilityAccount>

/**
 * The newest snapshot: everything owed at one finalized slot, under one root. `leaves` and `root` name the tree that proofs lead to.
 * `waitingAtoms` had been received but not been booked yet when the chain was read.
 */
export const ReserveSnapshot = z.strictObject({
  id: z.string().regex(/^\d{1,18}$/),
  slot: z.string().regex(/^\d{1,20}$/),
  at: Instant,
  onChainAtoms: Atoms,
  liabilitiesAtoms: Atoms,
  capitalAtoms: Atoms,
  waitingAtoms: SignedAtoms,
  breakdown: z.record(LiabilityAccount, Atoms),
  root: Hash,
  leaves: z.int().min(0),
})
export type ReserveSnapshot = z.infer<typeof ReserveSnapshot>

/**
 * Answer of GET /api/reserves. `snapshot` is null until the first clean check. `differenceAtoms` is chain minus books of the newest check;
 * when it is not zero `frozen` is true: nothing is paid out, and `snapshot` stays the last one that was right.
 */
export const Reserves = z.strictObject({
  network: z.string(),
  asset: z.string(),
  escrow: z.string(),
  escrowAccount: z.string().nullable(),
  snapshot: ReserveSnapshot.nullable(),
  checkedAt: Instant.nullable(),
  checkedSlot: z
    .string()
    .regex(/^\d{1,20}$/)
    .nullable(),
  differenceAtoms: SignedAtoms.nullable(),
  frozen: z.boolean(),
})
export type Reserves = z.infer<typeof Reserves>

/** One comparison of the chain with the books, as the admin sees it. `detail` says which of the two is wrong, when that is known. */
export const ReserveCheck = z.strictObject({
  slot: z.string().regex(/^\d{1,20}$/),
  at: Instant,
  chainAtoms: Atoms,
  ledgerAtoms: SignedAtoms,
  waitingAtoms: SignedAtoms,
  differenceAtoms: SignedAtoms,
  detail: z.string().nullable(),
})
export type ReserveCheck = z.infer<typeof ReserveCheck>

/** Answer of GET /api/admin/reserve-checks, newest first. */
export const ReserveChecks = z.strictObject({ items: z.array(ReserveCheck) })
export type ReserveChecks = z.infer<typeof ReserveChecks>

/** A transfer that has not been seen on a finalized block yet, with why. */
export const DebtTransfer = z.strictObject({
  id: z.string(),
  kind: z.enum(['payout', 'fee', 'refund']),
  rentalId: z.string().nullable(),
  /** What it answers: a rental, a payment, a dispute, a bundle of earnings, or the signature of a stray receipt. */
  externalId: z.string(),
  destination: z.string(),
  amountAtoms: Atoms,
  status: z.enum(['owed', 'signed']),
  signature: z.string().nullable(),
  attempts: z.int(),
  lastError: z.string().nullable(),
  createdAt: Instant,
  ageSeconds: z.int(),
})
export type DebtTransfer = z.infer<typeof DebtTransfer>

/** Money that came for nothing that was ever asked for. waiting: may still be claimed by its payment. dust: too small to give back. */
export const StrayReceipt = z.strictObject({
  signature: z.string(),
  fate: z.enum(['unmatched', 'waiting', 'dust']),
  amountAtoms: Atoms,
  from: z.string().nullable(),
  memo: z.string().nullable(),
  landedAt: Instant.nullable(),
  /** The transfer that gives it back, if there is one. */
  transferId: z.string().nullable(),
  transferStatus: z.enum(['owed', 'signed', 'confirmed']).nullable(),
})
export type StrayReceipt = z.infer<typeof StrayReceipt>

/** Answer of GET /api/admin/debts: the oldest first, at most `limit` of each; the sums are over all of them. */
export const Debts = z.strictObject({
  transfers: z.array(DebtTransfer),
  transferCount: z.int(),
  transferAtoms: Atoms,
  receipts: z.array(StrayReceipt),
  receiptCount: z.int(),
  receiptAtoms: Atoms,
})
export type Debts = z.infer<typeof Debts>

/** How many of a list. */
export const LimitQuery = z.strictObject({ limit: z.coerce.number().int().min(1).max(500).optional() })
export type LimitQuery = z.infer<typeof LimitQuery>

/** One step up the tree: the neighbour, on which side it stands, and the sum below it. */
export const ReserveStep = z.strictObject({ side: z.enum(['left', 'right']), hash: Hash, sumAtoms: Atoms })
export type ReserveStep = z.infer<typeof ReserveStep>

/** Answer of GET /api/rentals/{id}/reserve-proof: the rental's leaf and the way from it to the root, the lowest step first. */
export const ReserveProof = z.strictObject({
  snapshotId: z.string().regex(/^\d{1,18}$/),
  root: Hash,
  liabilitiesAtoms: Atoms,
  leaf: z.strictObject({ subject: z.string().min(1).max(128), amountAtoms: Atoms }),
  path: z.array(ReserveStep).max(64),
})
export type ReserveProof = z.infer<typeof ReserveProof>

const leafTag = new TextEncoder().encode('flow402-reserve-leaf-1')
const nodeTag = new TextEncoder().encode('flow402-reserve-node-1')
const tagBytes = leafTag.length
const hashBytes = 32
const sumBytes = 16
const tooMuch = 1n << 128n
/** The root of a tree without leaves: nothing is owed. */
export const emptyRoot = '0'.repeat(64)

/** A node of the tree: the hash of everything below it and the sum of it, in atoms. */
export type SumNode = { hash: Uint8Array; sumAtoms: bigint }

/**
 * What a leaf's SHA-256 is taken over: the 22 bytes "flow402-reserve-leaf-1", the length of the subject in bytes (4, big-endian), the subject
 * in UTF-8, and the amount (16 bytes, big-endian, unsigned). Throws a RangeError for an amount that does not fit.
 */
export function leafBytes(subject: string, amountAtoms: bigint): Uint8Array<ArrayBuffer> {
  const name = new TextEncoder().encode(subject)
  const bytes = new Uint8Array(tagBytes + 4 + name.length + sumBytes)
  const view = new DataView(bytes.buffer)
  bytes.set(leafTag)
  view.setUint32(tagBytes, name.length)
  bytes.set(name, tagBytes + 4)
  setSum(view, tagBytes + 4 + name.length, amountAtoms)
  return bytes
}

/**
 * What an inner node's SHA-256 is taken over: the 22 bytes "flow402-reserve-node-1", then the left hash (32 bytes), the left sum (16),
 * the right hash (32) and the right sum (16). Its own sum is left + right. Throws a RangeError when that does not fit into 16 bytes.
 */
export function nodeBytes(left: SumNode, right: SumNode): Uint8Array<ArrayBuffer> {
  if (left.sumAtoms + right.sumAtoms >= tooMuch) throw new RangeError('a sum must be below 2^128')
  const bytes = new Uint8Array(tagBytes + 2 * (hashBytes + sumBytes))
  const view = new DataView(bytes.buffer)
  bytes.set(nodeTag)
  bytes.set(left.hash, tagBytes)
  setSum(view, tagBytes + hashBytes, left.sumAtoms)
  bytes.set(right.hash, tagBytes + hashBytes + sumBytes)
  setSum(view, tagBytes + 2 * hashBytes + sumBytes, right.sumAtoms)
  return bytes
}

/** Writes an unsigned sum of 16 bytes, big-endian. */
function setSum(view: DataView, at: number, value: bigint): void {
  if (value < 0n || value >= tooMuch) throw new RangeError('a sum must be between 0 and 2^128')
  view.setBigUint64(at, value >> 64n)
  view.setBigUint64(at + 8, BigInt.asUintN(64, value))
}
