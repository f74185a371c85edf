// The check of a statement in TypeScript, line by line as docs/statement.md has it.
import { isPublicKey } from './ed25519.ts'
import type { StatementFault, StatementVerdict } from './engine.ts'
import { equal, rootOf } from './merkle.ts'
import { billFigures } from './price.ts'
import type { Primitives } from './primitives.ts'
import {
  billBytes,
  billMagic,
  currencies,
  endReasons,
  recordBytes,
  recordCountAt,
  recordMagic,
  rootBytes,
  signatureBytes,
  statementLeafHashes,
  statementLength,
} from './statement.ts'

/** What may be stated at most: minutes whose seconds fit in 32 bits, amounts as the books hold them, ten years of running. */
const maxMinutes = 71_582_788
const amountLimit = 10n ** 18n
const maxSecond = 315_360_000
/** Times are below 2^53: the upper half of their 64 bits is below this. */
const timeLimit = 2 ** 21
const maxFeeBps = 10_000

/** Where each amount lies in the bill. */
const amountsAt = [92, 132, 140, 148, 156, 164]

/** The verdict on a statement; see Engine. Whatever the bytes are, it does not throw. */
export function verifyStatement(statement: Uint8Array, primitives: Primitives): StatementVerdict {
  if (isMalformed(statement)) return refused('malformed')
  const view = new DataView(statement.buffer, statement.byteOffset, statement.byteLength)
  const count = view.getUint32(recordCountAt)
  if (!termsHold(view, count)) return refused('terms')
  const publicKey = statement.subarray(36, 68)
  if (count > 0 && !isPublicKey(publicKey)) return refused('node_key')

  const recordsEnd = billBytes + recordBytes * count
  const hashes = statementLeafHashes(statement.subarray(0, billBytes), statement.subarray(billBytes, recordsEnd), primitives.digests)
  if (count > 0) {
    const signature = statement.subarray(recordsEnd, recordsEnd + signatureBytes)
    if (!primitives.verifySignature(publicKey, hashOf(hashes, count), signature)) return refused('signature', count)
  }
  const unlinked = lastUnlinked(statement, hashes, count)
  if (unlinked > 0) return refused('chain', unlinked)
  const wrong = firstWrongRecord(statement, view, count)
  if (wrong !== undefined) return refused(wrong.fault, wrong.record)

  const wrongFigure = firstWrongFigure(view, count)
  if (wrongFigure !== undefined) return { ok: false, record: 0, ...wrongFigure }
  const root = rootOf(hashes, primitives.digests)
  if (!equal(root, statement.subarray(statement.length - rootBytes))) return refused('root')
  return { ok: true, records: count, root }
}

function refused(fault: StatementFault, record = 0): StatementVerdict {
  return { ok: false, fault, record }
}

function isMalformed(statement: Uint8Array): boolean {
  if (statement.length < billBytes + rootBytes) return true
  const view = new DataView(statement.buffer, statement.byteOffset, statement.byteLength)
  return view.getUint32(0) !== billMagic || statement.length !== statementLength(view.getUint32(recordCountAt))
}

function termsHold(view: DataView, count: number): boolean {
  const [epoch, units, minutes, feeBps] = [view.getUint32(84), view.getUint32(88), view.getUint32(100), view.getUint16(104)]
  const [endReason, currency] = [view.getUint8(122), view.getUint8(123)]
  return (
    (epoch >= 1 || count === 0) &&
    units >= 1 &&
    minutes >= 1 &&
    minutes <= maxMinutes &&
    feeBps <= maxFeeBps &&
    endReason >= 1 &&
    endReason <= endReasons.length &&
    currency >= 1 &&
    currency <= currencies.length &&
    amountsAt.every((at) => view.getBigUint64(at) < amountLimit) &&
    view.getUint32(106) < timeLimit &&
    view.getUint32(114) < timeLimit &&
    view.getBigUint64(114) >= view.getBigUint64(106)
  )
}

/** The leaf hash of a record, by its position from 1. */
function hashOf(hashes: Uint8Array, record: number): Uint8Array {
  return hashes.subarray(32 * record, 32 * record + 32)
}

/** The highest record whose leaf hash is not what the next one names; 0 when all are. */
function lastUnlinked(statement: Uint8Array, hashes: Uint8Array, count: number): number {
  for (let record = count - 1; record >= 1; record -= 1) {
    const next = billBytes + record * recordBytes
    if (!equal(statement.subarray(next + 61, next + 93), hashOf(hashes, record))) return record
  }
  return 0
}

/** The first record whose fields do not fit. */
function firstWrongRecord(statement: Uint8Array, view: DataView, count: number): { fault: StatementFault; record: number } | undefined {
  let wasFinal = false
  let toSecond = 0
  for (let record = 1; record <= count; record += 1) {
    const start = billBytes + (record - 1) * recordBytes
    const flags = view.getUint8(start + 60)
    if (view.getUint32(start) !== recordMagic || flags > 1 || view.getUint32(start + 52) >= timeLimit)
      return { fault: 'record_malformed', record }
    if (!isOfBill(statement, start)) return { fault: 'record_foreign', record }
    const isLinked = record > 1 || equal(statement.subarray(start + 61, start + 93), new Uint8Array(32))
    if (wasFinal || view.getUint32(start + 40) !== record || !isLinked) return { fault: 'sequence', record }
    const [from, to] = [view.getUint32(start + 44), view.getUint32(start + 48)]
    if (from !== toSecond || to < from || to > maxSecond) return { fault: 'time', record }
    wasFinal = flags === 1
    toSecond = to
  }
  return undefined
}

/** Whether rental, node and epoch of the record at `start` are those of the bill. */
function isOfBill(statement: Uint8Array, start: number): boolean {
  for (let at = 4; at < 36; at += 1) if (statement[start + at] !== statement[at]) return false
  for (let at = 0; at < 4; at += 1) if (statement[start + 36 + at] !== statement[84 + at]) return false
  return true
}

/** The first figure of the bill that does not follow from its terms and records. */
function firstWrongFigure(view: DataView, count: number): { fault: StatementFault; stated: bigint; computed: bigint } | undefined {
  const startedAt = Number(view.getBigUint64(106))
  const computed = billFigures({
    units: view.getUint32(88),
    priceAtomsPerHour: view.getBigUint64(92),
    minutes: view.getUint32(100),
    feeBps: view.getUint16(104),
    startedAt,
    endedAt: Number(view.getBigUint64(114)),
    prepaidAtoms: view.getBigUint64(132),
    lastSecond: count === 0 ? 0 : view.getUint32(billBytes + (count - 1) * recordBytes + 48),
  })
  const meteredSeconds = BigInt(view.getUint32(124))
  if (startedAt === 0 && count > 0) return { fault: 'metered', stated: meteredSeconds, computed: 0n }
  const figures: { fault: StatementFault; stated: bigint; computed: bigint }[] = [
    { fault: 'metered', stated: meteredSeconds, computed: BigInt(computed.meteredSeconds) },
    { fault: 'billed', stated: BigInt(view.getUint32(128)), computed: BigInt(computed.billedSeconds) },
    { fault: 'charge', stated: view.getBigUint64(140), computed: computed.chargedAtoms },
    { fault: 'fee', stated: view.getBigUint64(148), computed: computed.feeAtoms },
    { fault: 'payout', stated: view.getBigUint64(156), computed: computed.payoutAtoms },
    { fault: 'refund', stated: view.getBigUint64(164), computed: computed.refundAtoms },
  ]
  return figures.find(({ stated, computed }) => stated !== computed)
}
