// Usage: the signed, hash-chained records of how long a lease ran.
import { createHash } from 'node:crypto'
import type { SignedUsage, UsageRecord } from '@flow402/protocol/usage'
import { encodeRecord, firstPrevHash, leafHash } from '@flow402/rust-lib/statement'
import type { Identity } from './home.ts'

/** Where the chain of one lease stands: `hash` is the leaf hash of the last record, `toSecond` its end. */
export type UsageChain = { seq: number; toSecond: number; hash: string; final: boolean }

export const emptyChain: UsageChain = { seq: 0, toSecond: 0, hash: firstPrevHash, final: false }

/** The next record of a chain, from where it stands to `toSecond`, and the chain after it. Nothing follows a final record. */
export function nextUsage(
  node: { nodeId: string; identity: Identity },
  lease: { rentalId: string; epoch: number },
  chain: UsageChain,
  toSecond: number,
  final: boolean,
  at: number,
): { usage: SignedUsage; chain: UsageChain } {
  if (chain.final) throw new Error('the usage chain is closed')
  if (toSecond < chain.toSecond) throw new Error('usage cannot run backwards')
  const record: UsageRecord = {
    rentalId: lease.rentalId,
    nodeId: node.nodeId,
    epoch: lease.epoch,
    seq: chain.seq + 1,
    fromSecond: chain.toSecond,
    toSecond,
    at,
    prevHash: chain.hash,
    final,
  }
  const leaf = leafHash(encodeRecord(record), sha256)
  const hash = Buffer.from(leaf).toString('hex')
  return { usage: { record, hash, signature: node.identity.sign(leaf) }, chain: { seq: record.seq, toSecond, hash, final } }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
