// Taking usage in: a record counts only if the node signed it and it continues the chain without gap or overlap.
import { createHash } from 'node:crypto'
import type { SignedUsage } from '@flow402/protocol/usage'
import type { Engine, SignedMessage } from '@flow402/rust-lib/engine'
import { encodeRecord, firstPrevHash, leafHash } from '@flow402/rust-lib/statement'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { findNodeKey } from '../nodes/store.ts'
import { lockRental, type RentalRecord } from '../rentals/store.ts'
import { addUsage, findUsageHead, type UsageHead } from './store.ts'

/** Ten years; also what PostgreSQL's integer holds. */
const mostSeconds = 315_360_000
/** A machine writes a record a minute and one at the end. More than these say nothing more, and every one is checked before it is paid. */
const recordsPerMinute = 2
const moreRecords = 100

type Deps = { db: Db; now: Now; engine: Pick<Engine, 'verifySignatures'> }

/** added: new and counted. known: a repeat, nothing changed. late: the usage was closed without it. refused: not genuine, and why. */
export type UsageVerdict = { kind: 'added'; final: boolean } | { kind: 'known' } | { kind: 'late' } | { kind: 'refused'; reason: string }

/** A record with what can be said of it without knowing its rental: whether its hash is its own, and whether the node signed that. */
type Checked = { usage: SignedUsage; isHashed: boolean; isSigned: boolean }

/**
 * Takes signed records in, in their order, and answers a verdict for each: the one that it would get alone. Safe to repeat: the same record
 * again changes nothing. Records of one rental are one transaction. When it throws, some may be in already: tell them all again.
 */
export async function takeUsage(deps: Deps, nodeId: string, usages: readonly SignedUsage[]): Promise<UsageVerdict[]> {
  const publicKey = await findNodeKey(deps.db, nodeId)
  const checked = checkSignatures(deps.engine, publicKey, usages)
  const verdicts = new Map<Checked, UsageVerdict>()
  for (const [rentalId, records] of Map.groupBy(checked, ({ usage }) => usage.record.rentalId))
    for (const [one, verdict] of await inTransaction(deps.db, (tx) => takeOfRental(tx, { nodeId, rentalId, records, nowMs: deps.now() })))
      verdicts.set(one, verdict)
  return checked.map((one) => verdicts.get(one) as UsageVerdict)
}

/** Hashes and signatures of all records, the signatures in one call. Nothing is signed by a node that nobody knows. */
function checkSignatures(engine: Deps['engine'], publicKey: string | undefined, usages: readonly SignedUsage[]): Checked[] {
  const key = Buffer.from(publicKey ?? '', 'base64url')
  const leaves = usages.map(leafOf)
  const signed: SignedMessage[] = []
  const places = usages.map((usage, index) => {
    const [message, signature] = [leaves[index], Buffer.from(usage.signature, 'base64url')]
    if (!message || key.length !== 32 || signature.length !== 64) return -1
    return signed.push({ publicKey: key, message, signature }) - 1
  })
  const good = signed.length > 0 ? engine.verifySignatures(signed) : new Uint8Array()
  return usages.map((usage, index) => ({
    usage,
    isHashed: leaves[index] !== undefined,
    isSigned: good[places[index] ?? -1] === 1,
  }))
}

/** A record's leaf hash, if it is the one that came with it. What cannot be written as a record has none. */
function leafOf({ record, hash }: SignedUsage): Uint8Array | undefined {
  try {
    const leaf = leafHash(encodeRecord(record), sha256)
    return Buffer.from(leaf).toString('hex') === hash ? leaf : undefined
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()

type OfRental = { nodeId: string; rentalId: string; records: Checked[]; nowMs: number }

/** Judges the records of one rental one after the other, each as if those before it were in already, and writes what counts at once. */
async function takeOfRental(tx: Tx, { nodeId, rentalId, records, nowMs }: OfRental): Promise<[Checked, UsageVerdict][]> {
  const rental = await lockRental(tx, rentalId)
  if (!rental || rental.nodeId !== nodeId) return records.map((one) => [one, notOfThisNode])
  let head = await findUsageHead(tx, rentalId, rental.epoch)
  let isClosed = rental.usageClosedAtMs !== null
  const added: SignedUsage[] = []
  const verdicts = records.map((one): [Checked, UsageVerdict] => {
    const { record, hash } = one.usage
    if (record.nodeId !== nodeId) return [one, notOfThisNode]
    if (record.epoch !== rental.epoch) return [one, { kind: 'refused', reason: 'another epoch' }]
    if (head && record.seq <= head.seq) return [one, { kind: 'known' }]
    if (isClosed) return [one, { kind: 'late' }]
    const reason = whyRefused(one, head, rental)
    if (reason) return [one, { kind: 'refused', reason }]
    added.push(one.usage)
    head = { seq: record.seq, toSecond: record.toSecond, hash, final: record.final }
    isClosed = record.final && rental.status === 'ending'
    return [one, { kind: 'added', final: record.final }]
  })
  if (head && added.length > 0)
    await addUsage(tx, added, { meteredSeconds: clampSeconds(rental, head.toSecond, nowMs), closesUsage: isClosed, nowMs })
  return verdicts
}

const notOfThisNode: UsageVerdict = { kind: 'refused', reason: 'not a rental of this node' }

/** What the market itself can vouch for: never more than was paid, nor than passed between start and end by its own clock. */
export function clampSeconds(rental: Pick<RentalRecord, 'startedAtMs' | 'endedAtMs' | 'minutes'>, toSecond: number, nowMs: number): number {
  if (rental.startedAtMs === null) return 0
  const passed = Math.floor(((rental.endedAtMs ?? nowMs) - rental.startedAtMs) / 1000)
  return Math.max(0, Math.min(toSecond, rental.minutes * 60, passed))
}

function whyRefused(
  { usage: { record }, isHashed, isSigned }: Checked,
  head: UsageHead | undefined,
  rental: RentalRecord,
): string | undefined {
  if (rental.startedAtMs === null) return 'the rental never started'
  if (head?.final) return 'the chain is final'
  if (record.seq !== (head?.seq ?? 0) + 1) return `sequence ${record.seq} does not follow ${head?.seq ?? 0}`
  if (record.seq > rental.minutes * recordsPerMinute + moreRecords) return 'more records than the paid time has room for'
  if (record.prevHash !== (head?.hash ?? firstPrevHash)) return 'the chain is broken'
  if (record.fromSecond !== (head?.toSecond ?? 0)) return 'the seconds do not continue'
  if (record.toSecond < record.fromSecond) return 'time runs backwards'
  if (record.toSecond > mostSeconds) return 'nothing runs that long'
  if (!isHashed) return 'the hash is not the record’s'
  return isSigned ? undefined : 'the signature is not the node’s'
}
