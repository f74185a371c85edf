// What only the WebAssembly has: a slab that long input passes in pieces, two builds, and places where it cannot run.
import { createPrivateKey, createPublicKey, generateKeyPairSync, hash, sign } from 'node:crypto'
import { afterEach, expect, test, vi } from 'vitest'
import { javascriptEngine } from './javascript-engine.ts'
import { nodePrimitives } from './node-primitives.ts'
import { openWasmEngine } from './wasm-engine.ts'
import { openHashesEngine } from './wasm-hashes-engine.ts'
import { openWasm, runsSimd, WasmMissing } from './wasm-module.ts'

const [engine, hashes, twin] = [await openWasmEngine(), await openHashesEngine(), javascriptEngine(nodePrimitives)]
const slab = 65_536

afterEach(() => vi.unstubAllGlobals())

/** Bytes that look random and are always the same. */
function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let state = length + 1
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

test('the engine says that it is the WebAssembly, and runs here', () => {
  expect(engine.name).toBe('wasm-simd')
  expect(runsSimd()).toBe(true)
})

test.each(['sha256', 'sha3-256'] as const)('%s of messages that fill, just miss or exceed the slab', (digest) => {
  const lengths = Uint32Array.of(0, slab, 1, slab - 1, slab + 1, 0, 3 * slab + 7, 64, 0)
  const bytes = noise(lengths.reduce((sum, length) => sum + length, 0))
  const expected = twin.digests(digest, bytes, lengths)
  expect(engine.digests(digest, bytes, lengths)).toEqual(expected)
  expect(hashes.digests(digest, bytes, lengths)).toEqual(expected)
})

test('more digests than one call takes', () => {
  const lengths = new Uint32Array(10_000).map((_, index) => index % 5)
  const bytes = noise(lengths.reduce((sum, length) => sum + length, 0))
  expect(engine.digests('sha256', bytes, lengths)).toEqual(twin.digests('sha256', bytes, lengths))
})

test.each([1, 118, slab - 1, slab, slab + 1, 150_000])('trees of leaves of %i bytes are those of the twin, in both builds', (leafBytes) => {
  for (const count of [0, 1, 2, 5, 9]) {
    const leaves = noise(leafBytes * count)
    const root = twin.merkleRoot(leaves, leafBytes)
    for (const tested of [engine, hashes]) {
      expect(tested.merkleRoot(leaves, leafBytes)).toEqual(root)
      for (let index = 0; index < count; index += 1) {
        const proof = tested.merkleProof(leaves, leafBytes, index)
        expect(proof).toEqual(twin.merkleProof(leaves, leafBytes, index))
        const leaf = leaves.subarray(index * leafBytes, (index + 1) * leafBytes)
        expect(tested.isIncluded(leaf, index, count, proof, root)).toBe(true)
        expect(tested.isIncluded(noise(leafBytes + 1), index, count, proof, root)).toBe(false)
        expect(tested.consistencyProof(leaves, leafBytes, index + 1)).toEqual(twin.consistencyProof(leaves, leafBytes, index + 1))
      }
    }
  }
})

test('a tree that is larger than the slab many times over', () => {
  const leaves = noise(118 * 5000)
  expect(engine.merkleRoot(leaves, 118)).toEqual(twin.merkleRoot(leaves, 118))
  const proof = engine.consistencyProof(leaves, 118, 4097)
  const oldRoot = engine.merkleRoot(leaves.subarray(0, 118 * 4097), 118)
  expect(engine.isConsistent(4097, oldRoot, 5000, engine.merkleRoot(leaves, 118), proof)).toBe(true)
  expect(engine.isConsistent(4096, oldRoot, 5000, engine.merkleRoot(leaves, 118), proof)).toBe(false)
})

test('signatures over messages that fill, just miss or exceed the slab, in one batch with short ones', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const raw = new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32))
  const signed = [0, 5, slab - 97, slab - 96, slab - 95, slab, 2 * slab + 1, 32].map((length) => {
    const message = noise(length)
    return { publicKey: raw, message, signature: new Uint8Array(sign(null, message, privateKey)) }
  })
  expect([...engine.verifySignatures(signed)]).toEqual(signed.map(() => 1))
  const changed = signed.map((one, index) => (index % 2 === 0 ? one : { ...one, message: noise(one.message.length + 1) }))
  expect([...engine.verifySignatures(changed)]).toEqual(signed.map((_, index) => (index % 2 === 0 ? 1 : 0)))
})

test('more signatures than one batch takes, and each verdict in its place', () => {
  const privateKey = createPrivateKey({
    key: Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), hash('sha256', 'node', 'buffer')]),
    format: 'der',
    type: 'pkcs8',
  })
  const publicKey = new Uint8Array(createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32))
  const [message, other] = [noise(32), noise(33)]
  const signature = new Uint8Array(sign(null, message, privateKey))
  const wrong = new Set([0, 4095, 4096, 4999])
  const signed = Array.from({ length: 5000 }, (_, index) => ({ publicKey, message: wrong.has(index) ? other : message, signature }))
  const verdicts = engine.verifySignatures(signed)
  expect(signed.flatMap((_, index) => (verdicts[index] === 1 ? [] : [index]))).toEqual([...wrong])
})

test('prices that need many calls, and a sum that does not fit after some of them', () => {
  const most = 2n ** 64n - 1n
  const quantities = new BigUint64Array(10_001).map((_, index) => most - BigInt(index))
  const prices = new BigUint64Array(10_001).map((_, index) => BigInt(index) * 123_456_789n)
  for (const divisor of [1n, 3600n, 2n ** 32n - 1n, 2n ** 32n, most]) {
    const expected = twin.sumPrices(quantities, prices, divisor)
    expect(engine.sumPrices(quantities, prices, divisor)).toBe(expected)
    expect(hashes.sumPrices(quantities, prices, divisor)).toBe(expected)
  }
  expect(() => engine.sumPrices(quantities.fill(most), prices.fill(most), 1n)).toThrow(RangeError)
  expect(engine.sumPrices(quantities.fill(1n), prices.fill(1n), 1n)).toBe(10_001n)
})

test('where there is no WebAssembly, or none with SIMD, or a page forbids it, the error says so and is WasmMissing', async () => {
  vi.stubGlobal('WebAssembly', undefined)
  await expect(openWasmEngine()).rejects.toThrow(WasmMissing)
  expect(runsSimd()).toBe(false)
  vi.unstubAllGlobals()
  vi.stubGlobal('WebAssembly', { validate: () => false })
  await expect(openWasmEngine()).rejects.toThrow('no SIMD')
  const forbidden = () => Promise.reject(new Error('unsafe-eval'))
  vi.stubGlobal('WebAssembly', { validate: () => true, instantiate: forbidden })
  await expect(openWasm('AAAA')).rejects.toThrow(WasmMissing)
})
