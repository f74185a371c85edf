// Every engine against node:crypto, noble and the words of the RFC, on random input of every small length and batch size.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { ed25519 } from '@noble/curves/ed25519.js'
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bytesOf, hex, join } from '../vectors/bytes.ts'
import { treeHash } from '../vectors/trees.ts'
import type { SignedMessage } from './engine.ts'
import { testedEngines } from './test-engines.ts'

const noble = { sha256, 'sha3-256': sha3_256 }
const digestNames = ['sha256', 'sha3-256'] as const
const batchSizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 256]

const keys = Array.from({ length: 9 }, () => generateKeyPairSync('ed25519'))
const publicKeys = keys.map(({ publicKey }) => new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)))

/** Signatures by key `index % keyCount`; what `isWrong` says is spoiled in one of three ways. */
function signedMessages(count: number, keyCount: number, isWrong: (index: number) => boolean): SignedMessage[] {
  return Array.from({ length: count }, (_, index) => {
    const key = index % keyCount
    const message = bytesOf(`message ${index}`, (index * 37) % 200)
    const { privateKey } = keys[key] as (typeof keys)[number]
    const signature = new Uint8Array(sign(null, message, privateKey))
    const good = { publicKey: publicKeys[key] ?? new Uint8Array(32), message, signature }
    if (!isWrong(index)) return good
    if (index % 3 === 0) return { ...good, message: join(message, Uint8Array.of(0)) }
    if (index % 3 === 1) return { ...good, publicKey: publicKeys[(key + 1) % keys.length] ?? new Uint8Array(32) }
    return { ...good, signature: signature.with(index % 64, (signature[index % 64] ?? 0) ^ 1) }
  })
}

const manyLeaves = bytesOf('leaves', 93 * 600)

let knownTrees: { count: number; leafBytes: number; leaves: Uint8Array; root: string }[] | undefined

/** Trees of many counts and lengths with their roots, computed once for all engines. */
function trees() {
  const counts = [...Array.from({ length: 71 }, (_, index) => index), 255, 256, 257, 1000]
  knownTrees ??= [1, 32, 93, 118, 119, 200].flatMap((leafBytes) =>
    counts.map((count) => {
      const leaves = bytesOf(`leaves of ${leafBytes}`, leafBytes * count)
      const list = Array.from({ length: count }, (_, index) => leaves.subarray(index * leafBytes, (index + 1) * leafBytes))
      return { count, leafBytes, leaves, root: hex(treeHash(list)) }
    }),
  )
  return knownTrees
}

describe.each(testedEngines)('$label', ({ engine, isFast }) => {
  test.each(digestNames)('%s of every length from 0 to 300, and of longer messages', (digest) => {
    for (const length of [...Array.from({ length: 301 }, (_, index) => index), 1000, 4095, 4096, 4097, 65_537, 1_000_003]) {
      const message = bytesOf(`digest ${length}`, length)
      const found = hex(engine.digests(digest, message, Uint32Array.of(length)))
      expect(found, `${length} bytes`).toBe(createHash(digest).update(message).digest('hex'))
      if (length < 5000) expect(found, `${length} bytes`).toBe(hex(noble[digest](message)))
    }
  })

  test.each(digestNames)('%s in batches of every size, of one length and of many', (digest) => {
    for (const size of batchSizes) {
      for (const lengthOf of [() => 64, () => 94, () => 0, (index: number) => (index * 53) % 301]) {
        const messages = Array.from({ length: size }, (_, index) => bytesOf(`batch ${index}`, lengthOf(index)))
        const all = engine.digests(
          digest,
          join(...messages),
          Uint32Array.from(messages, ({ length }) => length),
        )
        expect(hex(all)).toBe(messages.map((message) => createHash(digest).update(message).digest('hex')).join(''))
      }
    }
    expect(engine.digests(digest, new Uint8Array(), new Uint32Array()).length).toBe(0)
  })

  test('roots of every count from 0 to 70 and of some larger trees, by the words of RFC 6962', () => {
    for (const { count, leafBytes, leaves, root } of trees())
      expect(hex(engine.merkleRoot(leaves, leafBytes)), `${count} leaves of ${leafBytes}`).toBe(root)
  })

  test('inclusion and consistency of random trees; a changed proof is refused', () => {
    const tree = fc.record({ count: fc.integer({ min: 1, max: 600 }), one: fc.nat(), other: fc.nat(), flip: fc.nat() })
    fc.assert(
      fc.property(tree, ({ count, one, other, flip }) => {
        const leaves = manyLeaves.subarray(0, 93 * count)
        const root = engine.merkleRoot(leaves, 93)
        const index = one % count
        const leaf = leaves.slice(93 * index, 93 * index + 93)
        const proof = engine.merkleProof(leaves, 93, index)
        expect(engine.isIncluded(leaf, index, count, proof, root)).toBe(true)
        const size = 1 + (other % count)
        const older = engine.merkleRoot(leaves.subarray(0, 93 * size), 93)
        const beginning = engine.consistencyProof(leaves, 93, size)
        expect(engine.isConsistent(size, older, count, root, beginning)).toBe(true)
        if (proof.length > 0) {
          const changed = proof.with(flip % proof.length, (proof[flip % proof.length] ?? 0) ^ 1)
          expect(engine.isIncluded(leaf, index, count, changed, root)).toBe(false)
        }
        if (beginning.length > 0) {
          const changed = beginning.with(flip % beginning.length, (beginning[flip % beginning.length] ?? 0) ^ 1)
          expect(engine.isConsistent(size, older, count, root, changed)).toBe(false)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('proofs of any bytes, sizes and indices have a verdict', () => {
    const word = fc.oneof(fc.constantFrom(0, 1, 2, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1), fc.nat(20))
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })
    const proof = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.integer({ min: 0, max: 70 }).map((count) => bytesOf('proof', 32 * count)),
    )
    fc.assert(
      fc.property(word, word, hash, hash, proof, fc.uint8Array({ maxLength: 40 }), (one, other, left, right, bytes, leaf) => {
        expect(engine.isIncluded(leaf, one, other, bytes, left)).toBe(false)
        expect(engine.isConsistent(one, left, other, right, bytes)).toBe(false)
      }),
      { numRuns: 500 },
    )
  })

  test('signatures in batches of every size, of one key and of many, good, all wrong, and with one wrong', () => {
    for (const size of isFast ? batchSizes : [1, 2, 3, 9]) {
      for (const keyCount of [1, 9]) {
        expect([...engine.verifySignatures(signedMessages(size, keyCount, () => false))]).toEqual(Array(size).fill(1))
        expect([...engine.verifySignatures(signedMessages(size, keyCount, () => true))]).toEqual(Array(size).fill(0))
        for (const wrong of size < 10 ? Array.from({ length: size }, (_, index) => index) : [0, 100, size - 1]) {
          const expected = Array.from({ length: size }, (_, index) => (index === wrong ? 0 : 1))
          expect([...engine.verifySignatures(signedMessages(size, keyCount, (index) => index === wrong))]).toEqual(expected)
        }
      }
    }
  })

  test('signatures with any bit changed, against noble', () => {
    const [good] = signedMessages(1, 1, () => false) as [SignedMessage]
    const change = fc.record({ part: fc.constantFrom('publicKey', 'signature' as const), bit: fc.nat(511) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 5 }), (changes) => {
        const batch = changes.map(({ part, bit }) => {
          const bytes = good[part].slice()
          const at = (bit >> 3) % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7))
          return { ...good, [part]: bytes }
        })
        const expected = batch.map(({ publicKey, message, signature }) =>
          ed25519.verify(signature, message, publicKey, { zip215: false }) ? 1 : 0,
        )
        expect([...engine.verifySignatures(batch)]).toEqual(expected)
      }),
      { numRuns: isFast ? 100 : 20 },
    )
  })

  test('sums of prices, against whole numbers of any size', () => {
    const amount = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    const samples = fc.array(fc.tuple(amount, amount), { maxLength: 40 })
    fc.assert(
      fc.property(
        samples,
        fc.oneof(fc.constantFrom(1n, 3600n, 2n ** 64n - 1n), fc.bigInt({ min: 1n, max: 2n ** 64n - 1n })),
        (pairs, divisor) => {
          const exact = pairs.reduce((sum, [quantity, price]) => sum + (quantity * price) / divisor, 0n)
          const total = () =>
            engine.sumPrices(
              BigUint64Array.from(pairs, ([quantity]) => quantity),
              BigUint64Array.from(pairs, ([, price]) => price),
              divisor,
            )
          if (exact < 2n ** 128n) expect(total()).toBe(exact)
          else expect(total).toThrow(RangeError)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('what the caller got wrong is a RangeError', () => {
    const zero = new Uint8Array(32)
    const wrongs: (() => unknown)[] = [
      () => engine.digests('sha256', new Uint8Array(3), Uint32Array.of(2)),
      () => engine.digests('sha3-256', new Uint8Array(3), Uint32Array.of(2, 2)),
      () => engine.digests('sha256', new Uint8Array(1), Uint32Array.of(0xffff_ffff, 2)),
      () => engine.merkleRoot(new Uint8Array(3), 2),
      () => engine.merkleRoot(new Uint8Array(3), 0),
      () => engine.merkleRoot(new Uint8Array(3), 1.5),
      () => engine.merkleRoot(new Uint8Array(3), -1),
      () => engine.merkleProof(new Uint8Array(4), 2, 2),
      () => engine.merkleProof(new Uint8Array(4), 2, -1),
      () => engine.merkleProof(new Uint8Array(), 2, 0),
      () => engine.isIncluded(zero, 0, 1, new Uint8Array(), new Uint8Array(31)),
      () => engine.isIncluded(zero, -1, 1, new Uint8Array(), zero),
      () => engine.isIncluded(zero, 0, 2 ** 32, new Uint8Array(), zero),
      () => engine.isIncluded(zero, 0.5, 1, new Uint8Array(), zero),
      () => engine.consistencyProof(new Uint8Array(4), 2, 0),
      () => engine.consistencyProof(new Uint8Array(4), 2, 3),
      () => engine.isConsistent(1, new Uint8Array(33), 1, zero, new Uint8Array()),
      () => engine.isConsistent(1, zero, 1, new Uint8Array(), new Uint8Array()),
      () => engine.isConsistent(Number.NaN, zero, 1, zero, new Uint8Array()),
      () => engine.verifySignatures([{ publicKey: new Uint8Array(31), message: zero, signature: new Uint8Array(64) }]),
      () => engine.verifySignatures([{ publicKey: zero, message: zero, signature: new Uint8Array(63) }]),
      () => engine.sumPrices(new BigUint64Array(2), new BigUint64Array(1), 1n),
      () => engine.sumPrices(new BigUint64Array(1), new BigUint64Array(1), 0n),
      () => engine.sumPrices(new BigUint64Array(1), new BigUint64Array(1), 2n ** 64n),
      () => engine.sumPrices(new BigUint64Array(1), new BigUint64Array(1), -1n),
    ]
    for (const wrong of wrongs) expect(wrong, String(wrong)).toThrow(RangeError)
  })
})
