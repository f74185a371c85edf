// What cannot be written or read is a RangeError that says why, and what was written is read as it was.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EndReason } from '../../packages/protocol/src/rental.ts'
import type { UsageRecord } from '../../packages/protocol/src/usage.ts'
import { javascriptEngine } from './javascript-engine.ts'
import { madeStatement } from './made-statement.ts'
import { nodePrimitives } from './node-primitives.ts'
import {
  type Bill,
  decodeBill,
  decodeRecord,
  decodeStatement,
  encodeBill,
  encodeRecord,
  encodeStatement,
  endReasons,
  firstPrevHash,
  leafHash,
  packRecords,
  recordAt,
} from './statement.ts'

const engine = javascriptEngine(nodePrimitives)
const made = madeStatement(3, engine)
const id = (prefix: string) => `${prefix}_${'0123456789abcdef'.repeat(2)}`
const record: UsageRecord = {
  rentalId: id('rnt'),
  nodeId: id('nod'),
  epoch: 1,
  seq: 1,
  fromSecond: 0,
  toSecond: 60,
  at: 1_767_225_600_000,
  prevHash: firstPrevHash,
  final: false,
}
const bill: Bill = decodeBill(made.statement.subarray(0, 176))

test('a record of the protocol is written, and read as it was', () => {
  const word = fc.oneof(fc.constantFrom(0, 0xffff_ffff), fc.integer({ min: 0, max: 0xffff_ffff }))
  const digits = (count: number) => fc.uint8Array({ minLength: count, maxLength: count }).map((bytes) => Buffer.from(bytes).toString('hex'))
  const fields = fc.record({
    rentalId: digits(16).map((text) => `rnt_${text}`),
    nodeId: digits(16).map((text) => `nod_${text}`),
    epoch: word,
    seq: word,
    fromSecond: word,
    toSecond: word,
    at: fc.maxSafeNat(),
    prevHash: digits(32),
    final: fc.boolean(),
  })
  fc.assert(
    fc.property(fields, (written) => {
      expect(decodeRecord(encodeRecord(written))).toEqual(written)
    }),
  )
})

test.each<[string, Partial<UsageRecord>]>([
  ['an id of another kind', { rentalId: id('nod') }],
  ['an id in capitals', { nodeId: id('nod').toUpperCase() }],
  ['an id with a line after it', { nodeId: `${id('nod').slice(0, -1)}\n` }],
  ['a negative number', { seq: -1 }],
  ['a number above 32 bits', { toSecond: 2 ** 32 }],
  ['half a second', { toSecond: 0.5 }],
  ['no number', { epoch: Number.NaN }],
  ['a time of 2^53', { at: 2 ** 53 }],
  ['a time before 1970', { at: -1 }],
  ['a short hash', { prevHash: '00' }],
  ['a hash in capitals', { prevHash: 'A'.repeat(64) }],
])('a record is not written with %s', (_, change) => {
  expect(() => encodeRecord({ ...record, ...change })).toThrow(RangeError)
})

test.each<[string, Partial<Bill>]>([
  ['an id of another kind', { offerId: id('rnt') }],
  ['a short key', { nodePublicKey: new Uint8Array(31) }],
  ['a negative amount', { refundAtoms: -1n }],
  ['an amount above 64 bits', { prepaidAtoms: 2n ** 64n }],
  ['a fee above 16 bits', { feeBps: 65_536 }],
  ['an unknown reason', { endReason: 'bored' as 'exited' }],
  ['an unknown currency', { currency: 'EUR' as 'USDC' }],
  ['a time of 2^53', { endedAt: 2 ** 53 }],
])('a bill is not written with %s', (_, change) => {
  expect(() => encodeBill({ ...bill, ...change })).toThrow(RangeError)
})

test('what is no record, no bill and no statement is not read', () => {
  const bytes = encodeRecord(record)
  for (const wrong of [new Uint8Array(), bytes.slice(1), bytes.with(3, 1), bytes.with(60, 2), bytes.with(53, 0x20)])
    expect(() => decodeRecord(wrong)).toThrow(RangeError)
  const written = encodeBill(bill)
  for (const wrong of [
    written.slice(1),
    written.with(0, 0),
    written.with(107, 0x20),
    written.with(122, 0),
    written.with(122, 9),
    written.with(123, 2),
  ])
    expect(() => decodeBill(wrong)).toThrow(RangeError)
  for (const wrong of [new Uint8Array(), made.statement.slice(0, -1), new Uint8Array([...made.statement, 0])])
    expect(() => decodeStatement(wrong)).toThrow(RangeError)
})

test('a statement is read in parts, from a Buffer too, and its records one by one', () => {
  const { bill: read, records, root } = decodeStatement(Buffer.from(made.statement))
  expect(read).toEqual({ ...made.bill, recordCount: 3 })
  expect(root).toEqual(made.statement.slice(-32))
  expect([1, 2, 3].map((position) => Uint8Array.from(recordAt(records, position)))).toEqual(made.records.map(({ record }) => record))
  expect(records.signature && Uint8Array.from(records.signature)).toEqual(made.records[2]?.signature)
  for (const position of [0, 4, 1.5]) expect(() => recordAt(records, position)).toThrow(RangeError)
})

test('records are taken as a list or as they lie in a statement, and nothing else', () => {
  expect(encodeStatement({ bill, records: packRecords(made.records) }, engine)).toEqual(made.statement)
  const refused = (length: number, signature: number | null) => () =>
    encodeStatement(
      { bill, records: { bytes: new Uint8Array(length), signature: signature === null ? null : new Uint8Array(signature) } },
      engine,
    )
  for (const wrong of [refused(92, 64), refused(93, null), refused(93, 65), refused(0, 64)]) expect(wrong).toThrow(RangeError)
  expect(() => packRecords([{ record: new Uint8Array(92), signature: new Uint8Array(64) }])).toThrow(RangeError)
})

test('a leaf is hashed by the hash that is given', () => {
  const bytes = encodeRecord(record)
  const given = leafHash(bytes, (leaf) => engine.digests('sha256', leaf, Uint32Array.of(leaf.length)))
  expect(given).toEqual(leafHash(bytes))
  expect(leafHash(bytes)).toEqual(engine.merkleRoot(bytes, 93))
})

test('the reasons of a bill are those of the protocol, in its order', () => {
  expect([...endReasons]).toEqual(EndReason.options)
})
