// Statements of thousands of records, on both sides of every size at which an engine works in pieces: the right record is named.
import { generateKeyPairSync, sign } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { javascriptEngine } from './javascript-engine.ts'
import { madeStatement } from './made-statement.ts'
import { nodePrimitives } from './node-primitives.ts'
import { billBytes, recordBytes } from './statement.ts'
import { verdictText } from './test-engines.ts'
import { openWasmEngine } from './wasm-engine.ts'

const wasm = await openWasmEngine()
const twin = javascriptEngine(nodePrimitives)
const count = 5000
const { statement } = madeStatement(count, twin)

/** The statement with bytes changed, each at an offset within a record. */
function changed(...changes: { record: number; at: number }[]): Uint8Array {
  const copy = statement.slice()
  for (const { record, at } of changes) {
    const position = billBytes + (record - 1) * recordBytes + at
    copy[position] = (copy[position] ?? 0) ^ 1
  }
  return copy
}

const verdictOf = (bytes: Uint8Array) => verdictText(wasm.verifyStatement(bytes))
const [epochAt, prevHashAt] = [39, 70]

test('5000 records hold, with the root that the twin computes', () => {
  expect(verdictOf(statement)).toMatch(/^ok, 5000 records/)
  expect(verdictOf(statement)).toBe(verdictText(twin.verifyStatement(statement)))
})

// 702 records and a bit lie in 64 KiB; 256 are what the core hashes at once.
test.each([1, 2, 255, 256, 257, 701, 702, 703, 704, 4095, 4096, 4097, 4999, 5000])('record %i is named when it is wrong', (record) => {
  const fault = record === count ? 'signature' : 'chain'
  expect(verdictOf(changed({ record, at: epochAt }))).toBe(`${fault}, record ${record}`)
  expect(verdictOf(changed({ record, at: prevHashAt }))).toBe(`${fault}, record ${record}`)
})

test('of any two wrong records the later one is named: nothing vouches for what lies before it', () => {
  const wrong = fc.record({ record: fc.integer({ min: 1, max: count }), at: fc.constantFrom(epochAt, prevHashAt) })
  fc.assert(
    fc.property(wrong, wrong, (one, other) => {
      fc.pre(one.record !== other.record)
      const later = Math.max(one.record, other.record)
      expect(verdictOf(changed(one, other))).toBe(`${later === count ? 'signature' : 'chain'}, record ${later}`)
    }),
    { numRuns: 40 },
  )
})

test('a statement that is cut at any place, or goes on, is malformed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: statement.length - 1 }), (length) => {
      expect(verdictOf(statement.subarray(0, length))).toBe('malformed, record 0')
    }),
  )
  expect(verdictOf(new Uint8Array([...statement, 0]))).toBe('malformed, record 0')
})

test('trees and digests over more than one piece of memory are those of the twin', () => {
  const bytes = new Uint8Array(93 * 8000)
  for (let at = 0; at < bytes.length; at += statement.length) bytes.set(statement.subarray(0, bytes.length - at), at)
  expect(wasm.merkleRoot(bytes, 93)).toEqual(twin.merkleRoot(bytes, 93))
  for (const index of [0, 704, 705, 4095, 4096, 7999])
    expect(wasm.merkleProof(bytes, 93, index)).toEqual(twin.merkleProof(bytes, 93, index))
  for (const size of [1, 704, 4096, 4097, 7999, 8000])
    expect(wasm.consistencyProof(bytes, 93, size)).toEqual(twin.consistencyProof(bytes, 93, size))
  const lengths = [65_535, 1, 65_536, 65_537, 131_072, 0, 200_000]
  const rest = bytes.length - lengths.reduce((sum, length) => sum + length, 0)
  const fitting = Uint32Array.from([...lengths, rest])
  for (const digest of ['sha256', 'sha3-256'] as const)
    expect(wasm.digests(digest, bytes, fitting)).toEqual(twin.digests(digest, bytes, fitting))
})

test('messages larger than the piece of memory that they pass through are checked in whole', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const key = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const signed = [10, 65_439, 65_440, 65_441, 65_536, 300_000].map((length) => {
    const message = statement.slice(0, length)
    return { publicKey: key, message, signature: new Uint8Array(sign(null, message, privateKey)) }
  })
  expect([...wasm.verifySignatures(signed)]).toEqual([1, 1, 1, 1, 1, 1])
  for (const { message } of signed) message[message.length - 1] = (message.at(-1) ?? 0) ^ 1
  expect([...wasm.verifySignatures(signed)]).toEqual([0, 0, 0, 0, 0, 0])
})
