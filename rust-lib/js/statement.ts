// The bytes of docs/statement.md: usage records, the bill, and the statement that holds both.
import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, concatBytes, hexToBytes } from '@noble/hashes/utils.js'
import type { Engine } from './engine.ts'
import { rootOf } from './merkle.ts'

export const recordBytes = 93
export const signatureBytes = 64
export const billBytes = 176
export const rootBytes = 32

/** Where in the bytes a field lies that more than the reader of a whole record or bill must know. */
export const recordCountAt = 172
export const recordMagic = 0x46_34_55_02
export const billMagic = 0x46_34_53_01

/** Why a rental ended; the position, from 1, is the number in the bill. The same words as EndReason of the protocol. */
export const endReasons = [
  'stopped',
  'time_up',
  'node_lost',
  'start_failed',
  'start_timeout',
  'exited',
  'image_unavailable',
  'payment_reversed',
] as const
export type StatedEndReason = (typeof endReasons)[number]

/** What a bill may be in; the position, from 1, is the number in the bill. */
export const currencies = ['USDC'] as const
export type StatedCurrency = (typeof currencies)[number]

/** The fields of one usage record: ids with their prefix, whole seconds since the workload was ready, `at` in Unix ms, prevHash in hex. */
export type UsageFields = {
  rentalId: string
  nodeId: string
  epoch: number
  seq: number
  fromSecond: number
  toSecond: number
  at: number
  prevHash: string
  final: boolean
}

/** The bill: what was agreed, and every figure that follows. Times in Unix ms by the market's clock; startedAt is 0 when it never ran. */
export type Bill = {
  rentalId: string
  nodeId: string
  /** Ed25519, 32 bytes. */
  nodePublicKey: Uint8Array
  offerId: string
  epoch: number
  units: number
  priceAtomsPerHour: bigint
  minutes: number
  feeBps: number
  startedAt: number
  endedAt: number
  endReason: StatedEndReason
  currency: StatedCurrency
  meteredSeconds: number
  billedSeconds: number
  prepaidAtoms: bigint
  chargedAtoms: bigint
  feeAtoms: bigint
  payoutAtoms: bigint
  refundAtoms: bigint
  recordCount: number
}

/** A record (93 bytes) and the node's signature (64 bytes) over its leaf hash. */
export type SignedRecord = { record: Uint8Array; signature: Uint8Array }

/** Records as they lie in a statement, 93 bytes each (see recordAt), and the signature of the last one; null when there are none. */
export type StatedRecords = { bytes: Uint8Array; signature: Uint8Array | null }

/** A statement that was read, not checked. */
export type Statement = { bill: Bill; records: StatedRecords; root: Uint8Array }

/** The prevHash of the first record. */
export const firstPrevHash = '0'.repeat(64)

/** SHA-256(00 || bytes) as RFC 6962 hashes a leaf: what the node signs and what the next record names. `hash` may be a faster SHA-256. */
export function leafHash(bytes: Uint8Array, hash: (bytes: Uint8Array) => Uint8Array = sha256): Uint8Array {
  const leaf = new Uint8Array(bytes.length + 1)
  leaf.set(bytes, 1)
  return hash(leaf)
}

/** The 93 bytes of a record. A field that cannot be written is a RangeError. */
export function encodeRecord(fields: UsageFields): Uint8Array {
  const bytes = new Uint8Array(recordBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, recordMagic)
  bytes.set(idBytes('rnt', fields.rentalId), 4)
  bytes.set(idBytes('nod', fields.nodeId), 20)
  view.setUint32(36, whole('epoch', fields.epoch))
  view.setUint32(40, whole('seq', fields.seq))
  view.setUint32(44, whole('fromSecond', fields.fromSecond))
  view.setUint32(48, whole('toSecond', fields.toSecond))
  view.setBigUint64(52, time('at', fields.at))
  view.setUint8(60, fields.final ? 1 : 0)
  if (!/^[0-9a-f]{64}$/.test(fields.prevHash)) throw new RangeError('prevHash is not 64 hex digits.')
  bytes.set(hexToBytes(fields.prevHash), 61)
  return bytes
}

/** The fields of a record's 93 bytes; a RangeError for bytes that are not a record. */
export function decodeRecord(bytes: Uint8Array): UsageFields {
  if (bytes.length !== recordBytes) throw new RangeError(`A usage record has ${recordBytes} bytes, not ${bytes.length}.`)
  const view = viewOf(bytes)
  if (view.getUint32(0) !== recordMagic) throw new RangeError('These bytes are not a usage record of version 2.')
  const flags = view.getUint8(60)
  if (flags > 1) throw new RangeError('The flags of a usage record know only bit 0.')
  return {
    rentalId: idAt('rnt', bytes, 4),
    nodeId: idAt('nod', bytes, 20),
    epoch: view.getUint32(36),
    seq: view.getUint32(40),
    fromSecond: view.getUint32(44),
    toSecond: view.getUint32(48),
    at: timeAt('at', view, 52),
    prevHash: bytesToHex(bytes.subarray(61, 93)),
    final: flags === 1,
  }
}

/** The 176 bytes of a bill. A field that cannot be written is a RangeError; whether the figures are right is not asked here. */
export function encodeBill(bill: Bill): Uint8Array {
  const bytes = new Uint8Array(billBytes)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, billMagic)
  bytes.set(idBytes('rnt', bill.rentalId), 4)
  bytes.set(idBytes('nod', bill.nodeId), 20)
  bytes.set(exactly('nodePublicKey', bill.nodePublicKey, 32), 36)
  bytes.set(idBytes('ofr', bill.offerId), 68)
  view.setUint32(84, whole('epoch', bill.epoch))
  view.setUint32(88, whole('units', bill.units))
  view.setBigUint64(92, atoms('priceAtomsPerHour', bill.priceAtomsPerHour))
  view.setUint32(100, whole('minutes', bill.minutes))
  view.setUint16(104, whole('feeBps', bill.feeBps, 0xffff))
  view.setBigUint64(106, time('startedAt', bill.startedAt))
  view.setBigUint64(114, time('endedAt', bill.endedAt))
  view.setUint8(122, numberOf('endReason', endReasons, bill.endReason))
  view.setUint8(123, numberOf('currency', currencies, bill.currency))
  view.setUint32(124, whole('meteredSeconds', bill.meteredSeconds))
  view.setUint32(128, whole('billedSeconds', bill.billedSeconds))
  view.setBigUint64(132, atoms('prepaidAtoms', bill.prepaidAtoms))
  view.setBigUint64(140, atoms('chargedAtoms', bill.chargedAtoms))
  view.setBigUint64(148, atoms('feeAtoms', bill.feeAtoms))
  view.setBigUint64(156, atoms('payoutAtoms', bill.payoutAtoms))
  view.setBigUint64(164, atoms('refundAtoms', bill.refundAtoms))
  view.setUint32(recordCountAt, whole('recordCount', bill.recordCount))
  return bytes
}

/** The fields of a bill's 176 bytes; a RangeError for bytes that are not a bill. Whether the figures are right is not asked here. */
export function decodeBill(bytes: Uint8Array): Bill {
  if (bytes.length !== billBytes) throw new RangeError(`A bill has ${billBytes} bytes, not ${bytes.length}.`)
  const view = viewOf(bytes)
  if (view.getUint32(0) !== billMagic) throw new RangeError('These bytes are not a bill of version 1.')
  return {
    rentalId: idAt('rnt', bytes, 4),
    nodeId: idAt('nod', bytes, 20),
    nodePublicKey: new Uint8Array(bytes.subarray(36, 68)),
    offerId: idAt('ofr', bytes, 68),
    epoch: view.getUint32(84),
    units: view.getUint32(88),
    priceAtomsPerHour: view.getBigUint64(92),
    minutes: view.getUint32(100),
    feeBps: view.getUint16(104),
    startedAt: timeAt('startedAt', view, 106),
    endedAt: timeAt('endedAt', view, 114),
    endReason: wordOf('endReason', endReasons, view.getUint8(122)),
    currency: wordOf('currency', currencies, view.getUint8(123)),
    meteredSeconds: view.getUint32(124),
    billedSeconds: view.getUint32(128),
    prepaidAtoms: view.getBigUint64(132),
    chargedAtoms: view.getBigUint64(140),
    feeAtoms: view.getBigUint64(148),
    payoutAtoms: view.getBigUint64(156),
    refundAtoms: view.getBigUint64(164),
    recordCount: view.getUint32(recordCountAt),
  }
}

/**
 * The bytes of a statement, with the root that its bill and records give. `records` are those of the rental in order, as a list or as they
 * lie in a statement; recordCount is theirs, and the signature is the last one's. Whether the statement holds is not asked here:
 * engine.verifyStatement says.
 */
export function encodeStatement(
  { bill, records }: { bill: Omit<Bill, 'recordCount'>; records: readonly SignedRecord[] | StatedRecords },
  engine: Pick<Engine, 'digests'>,
): Uint8Array {
  const { bytes, signature } = 'bytes' in records ? records : packRecords(records)
  if (bytes.length % recordBytes !== 0) throw new RangeError(`Records are ${recordBytes} bytes each.`)
  if ((bytes.length === 0) !== (signature === null)) throw new RangeError('The last record has a signature, and nothing else has one.')
  const billPart = encodeBill({ ...bill, recordCount: bytes.length / recordBytes })
  const signaturePart = signature === null ? new Uint8Array() : exactly('signature', signature, signatureBytes)
  return concatBytes(billPart, bytes, signaturePart, statementRoot(billPart, bytes, engine))
}

/** The parts of a statement; a RangeError for bytes that are none. Whether it holds is not asked here: engine.verifyStatement says. */
export function decodeStatement(bytes: Uint8Array): Statement {
  if (bytes.length < billBytes + rootBytes) throw new RangeError(`A statement has at least ${billBytes + rootBytes} bytes.`)
  const bill = decodeBill(bytes.subarray(0, billBytes))
  const length = statementLength(bill.recordCount)
  if (bytes.length !== length) throw new RangeError(`A statement of ${bill.recordCount} records has ${length} bytes, not ${bytes.length}.`)
  const recordsEnd = billBytes + recordBytes * bill.recordCount
  const signature = bill.recordCount === 0 ? null : bytes.subarray(recordsEnd, recordsEnd + signatureBytes)
  return { bill, records: { bytes: bytes.subarray(billBytes, recordsEnd), signature }, root: new Uint8Array(bytes.subarray(-rootBytes)) }
}

/** How many bytes a statement of so many records has: a signature belongs to it only when there are any. */
export function statementLength(recordCount: number): number {
  return billBytes + recordBytes * recordCount + (recordCount === 0 ? 0 : signatureBytes) + rootBytes
}

/** Records one after the other and the signature of the last, as they lie in a statement. */
export function packRecords(records: readonly SignedRecord[]): StatedRecords {
  const bytes = new Uint8Array(recordBytes * records.length)
  records.forEach(({ record }, index) => {
    bytes.set(exactly('record', record, recordBytes), index * recordBytes)
  })
  return { bytes, signature: records.at(-1)?.signature ?? null }
}

/** The bytes of record `position` (from 1, as in a verdict) of a statement's records. */
export function recordAt({ bytes }: StatedRecords, position: number): Uint8Array {
  const start = (position - 1) * recordBytes
  if (!Number.isInteger(position) || position < 1 || start + recordBytes > bytes.length)
    throw new RangeError(`There is no record ${position}.`)
  return bytes.subarray(start, start + recordBytes)
}

/** The Merkle root over the bill's bytes and the records, which lie one after the other (RFC 6962, 2.1). */
export function statementRoot(bill: Uint8Array, records: Uint8Array, engine: Pick<Engine, 'digests'>): Uint8Array {
  return rootOf(statementLeafHashes(exactly('bill', bill, billBytes), records, engine.digests), engine.digests)
}

/** The hashes of the tree's leaves: the bill, then every record. */
export function statementLeafHashes(bill: Uint8Array, records: Uint8Array, digests: Engine['digests']): Uint8Array {
  const count = records.length / recordBytes
  const leaves = new Uint8Array(1 + billBytes + (1 + recordBytes) * count)
  leaves.set(bill, 1)
  for (let index = 0; index < count; index += 1) {
    const start = index * recordBytes
    leaves.set(records.subarray(start, start + recordBytes), 1 + billBytes + (1 + recordBytes) * index + 1)
  }
  const lengths = new Uint32Array(1 + count).fill(1 + recordBytes)
  lengths[0] = 1 + billBytes
  return digests('sha256', leaves, lengths)
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function idBytes(prefix: string, id: string): Uint8Array {
  if (id.length !== 36 || !id.startsWith(`${prefix}_`) || !/^[0-9a-f]{32}$/.test(id.slice(4)))
    throw new RangeError(`An id of the form ${prefix}_ and 32 hex digits is expected.`)
  return hexToBytes(id.slice(4))
}

function idAt(prefix: string, bytes: Uint8Array, at: number): string {
  return `${prefix}_${bytesToHex(bytes.subarray(at, at + 16))}`
}

function whole(name: string, value: number, max = 0xffff_ffff): number {
  if (!Number.isInteger(value) || value < 0 || value > max) throw new RangeError(`${name} is not a whole number from 0 to ${max}.`)
  return value
}

/** Times are below 2^53, so that every language reads the same number. */
function time(name: string, value: number): bigint {
  return BigInt(whole(name, value, Number.MAX_SAFE_INTEGER))
}

function timeAt(name: string, view: DataView, at: number): number {
  const value = view.getBigUint64(at)
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new RangeError(`${name} is not below 2^53.`)
  return Number(value)
}

function atoms(name: string, value: bigint): bigint {
  if (typeof value !== 'bigint' || value < 0n || value >= 1n << 64n) throw new RangeError(`${name} is not from 0 to 2^64 - 1.`)
  return value
}

function exactly(name: string, bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${name} has ${length} bytes, not ${bytes.length}.`)
  return bytes
}

function numberOf<Word extends string>(name: string, words: readonly Word[], word: Word): number {
  const index = words.indexOf(word)
  if (index < 0) throw new RangeError(`${name} is not one of ${words.join(', ')}.`)
  return index + 1
}

function wordOf<Word extends string>(name: string, words: readonly Word[], value: number): Word {
  const word = words[value - 1]
  if (word === undefined) throw new RangeError(`${name} ${value} is not known.`)
  return word
}
