// Taking usage in: a record counts only if the node signed it and it continues the chain without gap or overlap.
import { createHash, verify } from 'node:crypto'
import { firstPrevHash, type SignedUsage, usageBytes } from '@flow402/protocol/usage'
import { publicKeyFromBase64url } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { changeRental, lockRental, type RentalRecord } from '../rentals/store.ts'
import { addUsage, findUsageHead, type UsageHead } from './store.ts'

/** Ten years; also what PostgreSQL's integer holds. */
const mostSeconds = 315_360_000

/** added: new and counted. known: a repeat, nothing changed. late: the usage was closed without it. refused: not genuine, and why. */
export type UsageVerdict = { kind: 'added'; final: boolean } | { kind: 'known' } | { kind: 'late' } | { kind: 'refused'; reason: string }

/** Takes one signed record in. Safe to repeat: the same record again changes nothing. */
export async function takeUsage(deps: { db: Db; now: Now }, nodeId: string, usage: SignedUsage): Promise<UsageVerdict> {
  return inTransaction(deps.db, async (tx) => {
    const { record } = usage
    const rental = await lockRental(tx, record.rentalId)
    if (!rental || rental.nodeId !== nodeId || record.nodeId !== nodeId) return { kind: 'refused', reason: 'not a rental of this node' }
    if (record.epoch !== rental.epoch) return { kind: 'refused', reason: 'another epoch' }
    const head = await findUsageHead(tx, record.rentalId, record.epoch)
    if (head && record.seq <= head.seq) return { kind: 'known' }
    if (rental.usageClosedAtMs !== null) return { kind: 'late' }
    const reason = whyRefused(usage, head, rental)
    if (reason) return { kind: 'refused', reason }
    const nowMs = deps.now()
    await addUsage(tx, usage, nowMs)
    await changeRental(tx, rental.id, ['running', 'ending'], {
      metered_seconds: clampSeconds(rental, record.toSecond, nowMs),
      ...(record.final && rental.status === 'ending' ? { usage_closed_at: new Date(nowMs) } : {}),
    })
    return { kind: 'added', final: record.final }
  })
}

/** What the market itself can vouch for: never more than was paid, nor than passed between start and end by its own clock. */
export function clampSeconds(rental: RentalRecord, toSecond: number, nowMs: number): number {
  if (rental.startedAtMs === null) return 0
  const passed = Math.floor(((rental.endedAtMs ?? nowMs) - rental.startedAtMs) / 1000)
  return Math.max(0, Math.min(toSecond, rental.minutes * 60, passed))
}

function whyRefused({ record, hash, signature }: SignedUsage, head: UsageHead | undefined, rental: RentalRecord): string | undefined {
  if (rental.startedAtMs === null) return 'the rental never started'
  if (head?.final) return 'the chain is final'
  if (record.seq !== (head?.seq ?? 0) + 1) return `sequence ${record.seq} does not follow ${head?.seq ?? 0}`
  if (record.prevHash !== (head?.hash ?? firstPrevHash)) return 'the chain is broken'
  if (record.fromSecond !== (head?.toSecond ?? 0)) return 'the seconds do not continue'
  if (record.toSecond < record.fromSecond) return 'time runs backwards'
  if (record.toSecond > mostSeconds) return 'nothing runs that long'
  const digest = createHash('sha256').update(usageBytes(record)).digest()
  if (digest.toString('hex') !== hash) return 'the hash is not the record’s'
  const isSigned = verify(null, digest, publicKeyFromBase64url(rental.node.publicKey), Buffer.from(signature, 'base64url'))
  return isSigned ? undefined : 'the signature is not the node’s'
}
