// The check of a receipt: every figure computed anew from the node's signed records, offline, in the browser and in Node alike.
import { formatUsdc } from '@flow402/protocol/money'
import { type AnchoredReceipt, canonicalJson, digestedPart, Receipt, type ReceiptTransfer } from '@flow402/protocol/receipt'
import type { Engine, StatementVerdict } from '@flow402/rust-lib/engine'
import { decodeStatement, leafHash, recordAt, type Statement } from '@flow402/rust-lib/statement'
import { type Check, type CheckName, checkTitles, type ReceiptReport } from './receipt-report.ts'
import { billWords, partOf, recordWords } from './statement-words.ts'

/** `memoOf` reads the memo of a transaction from the chain (null: there is none); without it nothing is asked of anybody. */
export type VerifyOptions = { memoOf?: (transaction: string) => Promise<string | null> }

type Outcome = Omit<Check, 'name'>
const ok = (text: string): Outcome => ({ outcome: 'ok', text })
const skipped = (text: string): Outcome => ({ outcome: 'skipped', text })
const failed = (text: string, figures: Pick<Check, 'stated' | 'computed'> = {}): Outcome => ({ outcome: 'failed', text, ...figures })

/**
 * Checks a receipt (parsed JSON) in all its parts. Pure and offline unless `memoOf` is given. Bad data is a report, never an error; one of
 * version 1, which has no statement, is unproven at best.
 */
export async function verifyReceipt(value: unknown, engine: Engine, options: VerifyOptions = {}): Promise<ReceiptReport> {
  const parsed = Receipt.safeParse(value)
  if (!parsed.success) return reportOf(engine, {}, [{ name: 'receipt', ...failed(shapeWords(value, parsed.error.issues[0])) }])
  const receipt = parsed.data
  const checks: Check[] = [
    { name: 'receipt', ...ok(`A receipt of version ${receipt.version} for rental ${receipt.rentalId}.`) },
    { name: 'digest', ...checkDigest(receipt, engine) },
  ]
  const sums: Check[] = [
    { name: 'payments', ...checkPayments(receipt) },
    { name: 'transfers', ...checkTransfers(receipt) },
  ]
  if (receipt.version === 1) {
    const early = 'It is of a rental before there were statements: its sums can be checked, its seconds cannot.'
    return reportOf(engine, { receipt }, [...checks, { name: 'statement', ...skipped(early) }, ...sums])
  }
  const bytes = receipt.statement === undefined ? undefined : bytesFromBase64(receipt.statement)
  const read = bytes ? readStatement(bytes, engine) : null
  if (bytes === undefined)
    checks.push({ name: 'statement', ...skipped('The statement is missing in this file: download the receipt again, with its statement.') })
  else checks.push(...statementChecks(read, (statement) => checkAgreement(receipt, statement, engine)))
  checks.push(...sums, { name: 'anchor', ...checkAnchor(receipt, engine) })
  if (options.memoOf) checks.push({ name: 'memo', ...(await checkMemo(receipt, options.memoOf)) })
  return reportOf(engine, { receipt, read }, checks)
}

/** Checks the bytes of a statement alone: records, bill and root, but neither payments nor anchor, which only a receipt has. */
export function verifyStatementFile(bytes: Uint8Array, engine: Engine): ReceiptReport {
  const read = readStatement(bytes, engine)
  return reportOf(engine, { read }, statementChecks(read))
}

type Read = { statement: Statement | null; whyNot: string; verdict: StatementVerdict }

function readStatement(bytes: Uint8Array, engine: Engine): Read {
  const verdict = engine.verifyStatement(bytes)
  try {
    return { statement: decodeStatement(bytes), whyNot: '', verdict }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { statement: null, whyNot: error.message, verdict }
  }
}

function reportOf(engine: Engine, { receipt, read }: { receipt?: Receipt; read?: Read | null }, checks: Check[]): ReceiptReport {
  const bill = read?.statement?.bill
  const refusal = read && !read.verdict.ok ? read.verdict : null
  return {
    verdict: checks.some(({ outcome }) => outcome === 'failed') ? 'refused' : read ? 'good' : 'unproven',
    engine: engine.name,
    rentalId: receipt?.rentalId ?? bill?.rentalId ?? null,
    records: receipt?.usage.records ?? bill?.recordCount ?? 0,
    chargedAtoms: receipt?.chargedAtoms ?? bill?.chargedAtoms.toString() ?? null,
    wrongRecord: refusal && refusal.record > 0 ? refusal.record : null,
    fault: refusal?.fault ?? null,
    checks,
  }
}

/** The checks of the statement, with that of its agreement if there is a receipt; `read` is null when the text was not even base64. */
function statementChecks(read: Read | null, agreement?: (statement: Statement) => Outcome): Check[] {
  const unread = skipped('Not checked: there is no statement to read.')
  const between = (outcome: Outcome): Check[] => (agreement ? [{ name: 'agreement', ...outcome }] : [])
  const nothing: Check[] = [...between(unread), { name: 'records', ...unread }, { name: 'bill', ...unread }, { name: 'root', ...unread }]
  if (!read) return [{ name: 'statement', ...failed('The statement in the receipt is not standard base64.') }, ...nothing]
  const { statement, verdict, whyNot } = read
  if (!statement) return [{ name: 'statement', ...failed(`The statement cannot be read. ${whyNot}`) }, ...nothing]
  const count = statement.bill.recordCount
  const part = verdict.ok ? null : partOf(verdict.fault)
  const wrong = verdict.ok ? ok('') : failed(verdict.record > 0 ? recordWords(statement, verdict) : billWords(verdict), figuresOf(verdict))
  const laterThan = (name: CheckName) => skipped(`Not checked: “${checkTitles[name]}” was refused before.`)
  return [
    {
      name: 'statement',
      ...(part === 'statement' ? wrong : ok(`It can be read: the terms, ${counted(count, 'usage record')}, the root.`)),
    },
    ...between(agreement ? agreement(statement) : unread),
    { name: 'records', ...(part === 'statement' ? laterThan('statement') : part === 'records' ? wrong : ok(goodRecords(count))) },
    {
      name: 'bill',
      ...(part === 'statement' || part === 'records' ? laterThan(part) : part === 'bill' ? wrong : ok(goodBill(statement))),
    },
    {
      name: 'root',
      ...(part === 'root' ? wrong : part ? laterThan(part) : ok(`Terms and records give the root ${toHex(statement.root)}.`)),
    },
  ]
}

function figuresOf(verdict: StatementVerdict & { ok: false }): Pick<Check, 'stated' | 'computed'> {
  return {
    ...(verdict.stated !== undefined && { stated: verdict.stated.toString() }),
    ...(verdict.computed !== undefined && { computed: verdict.computed.toString() }),
  }
}

function goodRecords(count: number): string {
  if (count === 0) return 'It never ran: there is no record, and none is needed.'
  return count === 1
    ? 'The one record is whole and signed by the node.'
    : `All ${count.toLocaleString('en-US')} are in order and chained to the last one, which the node signed.`
}

function goodBill({ bill }: Statement): string {
  const { billedSeconds, units, priceAtomsPerHour } = bill
  if (bill.startedAt === 0) return 'It never ran, nothing is charged, and all that was prepaid goes back.'
  const price = `${units} × $${formatUsdc(priceAtomsPerHour)} per hour`
  const back = bill.refundAtoms === 0n ? 'nothing is left to go back' : `${usd(bill.refundAtoms)} go back`
  return `${counted(billedSeconds, 'second')} at ${price} make ${usd(bill.chargedAtoms)}, with ${usd(bill.feeAtoms)} of fee in it; ${back}.`
}

function checkDigest(receipt: Receipt, engine: Engine): Outcome {
  const computed = toHex(sha256By(engine)(new TextEncoder().encode(canonicalJson(digestedPart(receipt)))))
  if (computed === receipt.digest) return ok(`SHA-256 of what the receipt says is ${computed}.`)
  return failed('The receipt was changed after its digest was made, or the digest was.', { stated: receipt.digest, computed })
}

/** Every field that stands in both; the first that differs is named with both values. */
function checkAgreement(receipt: AnchoredReceipt, statement: Statement, engine: Engine): Outcome {
  const { terms, usage } = receipt
  const { bill, records, root } = statement
  const head = bill.recordCount === 0 ? null : toHex(leafHash(recordAt(records, bill.recordCount), sha256By(engine)))
  const startedMs = receipt.startedAt === null ? 0 : Date.parse(receipt.startedAt)
  const pairs: [field: string, inReceipt: string | number | bigint | null, inStatement: string | number | bigint | null][] = [
    ['rentalId', receipt.rentalId, bill.rentalId],
    ['terms.nodeId', terms.nodeId, bill.nodeId],
    ['terms.nodePublicKey', terms.nodePublicKey, base64url(bill.nodePublicKey)],
    ['terms.offerId', terms.offerId, bill.offerId],
    ['usage.epoch', usage.epoch, bill.epoch],
    ['terms.units', terms.units, bill.units],
    ['terms.priceAtomsPerHour', terms.priceAtomsPerHour, bill.priceAtomsPerHour.toString()],
    ['terms.minutes', terms.minutes, bill.minutes],
    ['terms.feeBps', terms.feeBps, bill.feeBps],
    ['terms.currency', terms.currency, bill.currency],
    ['startedAt', instant(startedMs), instant(bill.startedAt)],
    ['endedAt', instant(Date.parse(receipt.endedAt)), instant(bill.endedAt)],
    ['endReason', receipt.endReason, bill.endReason],
    ['usage.records', usage.records, bill.recordCount],
    ['usage.head', usage.head, head],
    ['usage.root', usage.root, toHex(root)],
    ['usage.meteredSeconds', usage.meteredSeconds, bill.meteredSeconds],
    ['usage.billedSeconds', usage.billedSeconds, bill.billedSeconds],
    ['prepaidAtoms', receipt.prepaidAtoms, bill.prepaidAtoms.toString()],
    ['chargedAtoms', receipt.chargedAtoms, bill.chargedAtoms.toString()],
    ['feeAtoms', receipt.feeAtoms, bill.feeAtoms.toString()],
    ['payoutAtoms', receipt.payoutAtoms, bill.payoutAtoms.toString()],
    ['refundAtoms', receipt.refundAtoms, bill.refundAtoms.toString()],
  ]
  const wrong = pairs.find(([, inReceipt, inStatement]) => inReceipt !== inStatement)
  if (!wrong) return ok(`All ${pairs.length} things that stand in receipt and statement alike are the same.`)
  const [field, stated, computed] = wrong.map((each) => (each === null ? 'none' : String(each))) as [string, string, string]
  return failed(`The receipt says ${field} ${stated}, its statement says ${computed}.`, { stated, computed })
}

function checkPayments(receipt: Receipt): Outcome {
  const payments = receipt.transfers.filter(({ kind }) => kind === 'charge')
  const paid = sumOf(payments)
  if (paid !== BigInt(receipt.prepaidAtoms))
    return failed(`The payments are ${usd(paid)} together, but ${usd(receipt.prepaidAtoms)} are said to be prepaid.`, {
      stated: receipt.prepaidAtoms,
      computed: paid.toString(),
    })
  return ok(`${counted(payments.length, 'payment')} of ${usd(paid)}: what was prepaid.`)
}

function checkTransfers(receipt: Receipt): Outcome {
  const { payoutAtoms, feeAtoms, refundAtoms, prepaidAtoms } = receipt
  for (const [kind, stated] of [
    ['payout', payoutAtoms],
    ['fee', feeAtoms],
    ['refund', refundAtoms],
  ] as const) {
    const lines = receipt.transfers.filter((line) => line.kind === kind)
    const sent = sumOf(lines)
    if (sent !== BigInt(stated))
      return failed(`The receipt says a ${kind} of ${usd(stated)}, but its transfers of that kind are ${usd(sent)}.`, {
        stated,
        computed: sent.toString(),
      })
    if (kind !== 'payout' && lines.some(({ transaction }) => transaction === null))
      return failed(`The ${kind} has no transaction: it is said to be made, but nothing shows it.`)
  }
  const divided = BigInt(payoutAtoms) + BigInt(feeAtoms) + BigInt(refundAtoms)
  if (divided !== BigInt(prepaidAtoms))
    return failed(`Payout, fee and refund are ${usd(divided)} together, but ${usd(prepaidAtoms)} were prepaid.`, {
      stated: prepaidAtoms,
      computed: divided.toString(),
    })
  const owed = receipt.transfers.some(({ transaction }) => transaction === null) ? ' The payout is owed and not sent yet.' : ''
  return ok(`Payout ${usd(payoutAtoms)}, fee ${usd(feeAtoms)} and refund ${usd(refundAtoms)} make what was prepaid.${owed}`)
}

function checkAnchor(receipt: AnchoredReceipt, engine: Engine): Outcome {
  const { anchor, usage } = receipt
  const paidBy = receipt.transfers.find(({ kind }) => kind === 'payout')?.transaction ?? null
  if (!anchor) {
    if (receipt.payoutAtoms === '0') return skipped('Nothing was earned, so there is no payout that could carry the root.')
    if (paidBy === null) return skipped('The provider was not paid yet; the memo of the payout will carry the root.')
    return failed('The provider was paid, but the receipt does not show that the payout’s memo carries its root.')
  }
  if (paidBy !== null && anchor.transaction !== null && anchor.transaction !== paidBy)
    return failed('The anchor names another transaction than the payout.', { stated: anchor.transaction, computed: paidBy })
  const { index, size, proof, root } = anchor
  const isAlone = size === 1 && index === 0 && proof.length === 0 && root === usage.root
  const isIncluded =
    size > 1 &&
    size <= 0xffff_ffff &&
    index < size &&
    engine.isIncluded(fromHex(usage.root), index, size, fromHex(proof.join('')), fromHex(root))
  if (!isAlone && !isIncluded)
    return failed('The receipt’s root does not lead to the root that its payout is said to carry.', { stated: root })
  const place = isAlone
    ? 'The payout is for this rental alone'
    : `The root is number ${index + 1} of the ${size} that the payout stands for`
  if (anchor.transaction === null) return ok(`${place}, and it will carry ${root}.`)
  return ok(`${place}. What is left to look up: the memo of transaction ${anchor.transaction} ends in ${root}.`)
}

/** The memo of a payout: the transfer's id, a space, and the root. */
async function checkMemo({ anchor }: AnchoredReceipt, memoOf: NonNullable<VerifyOptions['memoOf']>): Promise<Outcome> {
  if (!anchor?.transaction) return skipped('There is no payout on chain yet.')
  let memo: string | null
  try {
    memo = await memoOf(anchor.transaction)
  } catch (error) {
    return failed(`The payout’s transaction could not be read, so nothing is known about its memo. ${messageOf(error)}`)
  }
  if (memo === null) return failed(`Transaction ${anchor.transaction} carries no memo.`, { stated: anchor.root })
  if (/^trf_[0-9a-f]{32} ([0-9a-f]{64})$/.exec(memo)?.[1] === anchor.root) return ok(`The memo on chain is “${memo}”.`)
  return failed('The memo on chain carries another root than the receipt says.', { stated: anchor.root, computed: memo.slice(0, 200) })
}

/** One sentence about the first thing that is wrong with the shape. */
function shapeWords(value: unknown, issue: { path: PropertyKey[]; message: string } | undefined): string {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'This is not a receipt: a receipt is one JSON object.'
  if (!('rentalId' in value) || !('version' in value)) return 'This is not a receipt: it has no rentalId and version.'
  const { version } = value
  if (version !== 1 && version !== 2) return `This is a receipt of version ${JSON.stringify(version)}, which is not known here.`
  return `This is not a receipt of version ${version}. ${issue?.path.map(String).join('.') || 'It'}: ${issue?.message ?? 'is wrong'}.`
}

function sumOf(lines: ReceiptTransfer[]): bigint {
  return lines.reduce((total, line) => total + BigInt(line.amountAtoms), 0n)
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`
}

function usd(atoms: bigint | string): string {
  return `$${formatUsdc(BigInt(atoms), 6)}`
}

/** Times beyond the calendar of JavaScript are told in milliseconds. */
function instant(ms: number): string {
  if (ms === 0) return 'never'
  return Number.isNaN(ms) || ms > 8.64e15 ? `${ms} ms` : new Date(ms).toISOString()
}

function sha256By(engine: Engine): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => engine.digests('sha256', bytes, Uint32Array.of(bytes.length))
}

/** The bytes of standard base64 with its padding; null for anything else, as there is one way only to write them. */
function bytesFromBase64(text: string): Uint8Array | null {
  if (text.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return null
  const last = text.slice(-4)
  if (btoa(atob(last)) !== last) return null
  const letters = atob(text)
  const bytes = new Uint8Array(letters.length)
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at)
  return bytes
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
