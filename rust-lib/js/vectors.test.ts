// Every engine gives every verdict of vectors.json, and the file is what its script writes.
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { hex, unhex } from '../vectors/bytes.ts'
import type { Vectors, WrittenVerdict } from '../vectors/format.ts'
import { vectorsFile, writtenVectors } from '../vectors/write.ts'
import { isOnCurve, isWalletAddress, paymentProofHash } from './crypto.ts'
import { statementFaults } from './engine.ts'
import { decodeRecord, decodeStatement, encodeBill, encodeRecord, encodeStatement, leafHash } from './statement.ts'
import { testedEngines, verdictText } from './test-engines.ts'

const text = readFileSync(vectorsFile, 'utf8')
const vectors = JSON.parse(text) as Vectors

function writtenText(verdict: WrittenVerdict): string {
  if (verdict.ok) return verdictText({ ...verdict, root: unhex(verdict.root) })
  const { fault, record, stated, computed } = verdict
  return verdictText({
    ok: false,
    fault,
    record,
    ...(stated !== undefined && computed !== undefined ? { stated: BigInt(stated), computed: BigInt(computed) } : {}),
  })
}

test('vectors.json is what rust-lib/vectors/write.ts writes', () => {
  expect(writtenVectors() === text).toBe(true)
})

test('every reason has at least two statements, and there are good ones', () => {
  const count = (fault: string) => vectors.statements.filter(({ verdict }) => (verdict.ok ? 'ok' : verdict.fault) === fault).length
  for (const fault of ['ok', ...statementFaults]) expect(count(fault), fault).toBeGreaterThanOrEqual(2)
})

describe.each(testedEngines)('$label', ({ engine }) => {
  test('digests', () => {
    for (const digest of ['sha256', 'sha3-256'] as const) {
      const examples = vectors.digests.filter((vector) => vector.digest === digest)
      for (const { message, hash } of examples)
        expect(hex(engine.digests(digest, unhex(message), Uint32Array.of(message.length / 2)))).toBe(hash)
      const lengths = Uint32Array.from(examples, ({ message }) => message.length / 2)
      const all = engine.digests(digest, unhex(examples.map(({ message }) => message).join('')), lengths)
      expect(hex(all)).toBe(examples.map(({ hash }) => hash).join(''))
    }
  })

  test('signatures, one by one and all in one batch, in any order', () => {
    const signed = vectors.signatures.map(({ publicKey, message, signature }) => ({
      publicKey: unhex(publicKey),
      message: unhex(message),
      signature: unhex(signature),
    }))
    const expected = vectors.signatures.map(({ isGood }) => (isGood ? 1 : 0))
    vectors.signatures.forEach(({ name }, index) => {
      const one = signed[index]
      expect([...engine.verifySignatures(one ? [one] : [])], name).toEqual([expected[index]])
    })
    expect([...engine.verifySignatures(signed)]).toEqual(expected)
    expect([...engine.verifySignatures(signed.toReversed())]).toEqual(expected.toReversed())
    expect([...engine.verifySignatures([])]).toEqual([])
  })

  test.each(vectors.trees)(
    'the tree of $count leaves of $leafBytes bytes',
    ({ count, leafBytes, leaves, root, inclusion, consistency }) => {
      const bytes = unhex(leaves)
      expect(hex(engine.merkleRoot(bytes, leafBytes))).toBe(root)
      for (let index = 0; index < count; index += 1) {
        const proof = engine.merkleProof(bytes, leafBytes, index)
        expect(hex(proof)).toBe(inclusion[index])
        expect(engine.isIncluded(bytes.slice(index * leafBytes, (index + 1) * leafBytes), index, count, proof, unhex(root))).toBe(true)
        const older = engine.merkleRoot(bytes.subarray(0, (index + 1) * leafBytes), leafBytes)
        const beginning = engine.consistencyProof(bytes, leafBytes, index + 1)
        expect(hex(beginning)).toBe(consistency[index])
        expect(engine.isConsistent(index + 1, older, count, unhex(root), beginning)).toBe(true)
      }
    },
  )

  test.each(vectors.inclusions)('inclusion: $name', ({ leaf, index, size, proof, root, isGood }) => {
    expect(engine.isIncluded(unhex(leaf), index, size, unhex(proof), unhex(root))).toBe(isGood)
  })

  test.each(vectors.consistencies)('consistency: $name', ({ oldSize, oldRoot, newSize, newRoot, proof, isGood }) => {
    expect(engine.isConsistent(oldSize, unhex(oldRoot), newSize, unhex(newRoot), unhex(proof))).toBe(isGood)
  })

  test('prices', () => {
    for (const { quantities, prices, divisor, sum } of vectors.prices) {
      const total = () => engine.sumPrices(BigUint64Array.from(quantities, BigInt), BigUint64Array.from(prices, BigInt), BigInt(divisor))
      if (sum === null) expect(total).toThrow(RangeError)
      else expect(total()).toBe(BigInt(sum))
    }
  })

  test.each(vectors.statements)('statement: $name', ({ statement, verdict }) => {
    const bytes = unhex(statement)
    expect(verdictText(engine.verifyStatement(bytes))).toBe(writtenText(verdict))
    // As a part of something larger it is the same statement.
    const within = new Uint8Array(bytes.length + 9)
    within.set(bytes, 5)
    expect(verdictText(engine.verifyStatement(within.subarray(5, 5 + bytes.length)))).toBe(writtenText(verdict))
  })

  test('whatever holds can be read, and is written again byte for byte', () => {
    for (const { statement, verdict } of vectors.statements) {
      if (!verdict.ok) continue
      const { bill, records, root } = decodeStatement(unhex(statement))
      expect(hex(root)).toBe(verdict.root)
      expect(hex(encodeStatement({ bill, records }, engine))).toBe(statement)
      expect(hex(encodeBill(bill))).toBe(statement.slice(0, 352))
    }
  })
})

test('records are written and read as the vectors say', () => {
  for (const { fields, bytes, leafHash: expected } of vectors.records) {
    expect(hex(encodeRecord(fields))).toBe(bytes)
    expect(decodeRecord(unhex(bytes))).toEqual(fields)
    expect(hex(leafHash(unhex(bytes)))).toBe(expected)
  }
})

test('the hash of a payment proof and what is an address are as the vectors say', () => {
  for (const { amountAtoms, hash, ...proof } of vectors.paymentProofs)
    expect(paymentProofHash({ ...proof, amountAtoms: BigInt(amountAtoms) })).toBe(hash)
  for (const example of vectors.addresses)
    expect({ address: example.address, isAddress: isWalletAddress(example.address), isOnCurve: isOnCurve(example.address) }).toEqual(
      example,
    )
})
