// The part of the engine that needs no signatures: digests, Merkle trees and prices, over the module of either build.
import type { Engine } from './engine.ts'
import { openWasm } from './wasm-module.ts'
import { countLimit, done, impossible, type SlabExports, slabBytes, slabOf } from './wasm-slab.ts'

export type HashesEngine = Omit<Engine, 'name' | 'verifySignatures' | 'verifyStatement'>

/** What both builds export (src/wasm.rs). */
export type HashesExports = SlabExports & {
  digest_all: (kind: number, count: number) => number
  digest_begin: (kind: number) => number
  digest_feed: (length: number) => number
  digest_end: () => number
  tree_begin: () => number
  tree_begin_inclusion: (index: number, size: number) => number
  tree_begin_consistency: (old: number, size: number) => number
  tree_leaves: (leafBytes: number, count: number) => number
  tree_long_leaf: () => number
  tree_end: () => number
  included: (index: number, size: number, count: number) => number
  consistent: (oldSize: number, newSize: number, count: number) => number
  prices_begin: (divisor: bigint) => number
  prices_add: (count: number) => number
  prices_end: () => number
}

const kinds = { sha256: 0, 'sha3-256': 1 } as const
const leafKind = 2
/** No proof over 2^32 leaves is longer; what is longer proves nothing. */
const proofBytesLimit = 64 * 32
const limit64 = 1n << 64n
/** Pairs of 64 bits that fill the slab. */
const pairsAtOnce = slabBytes / 16

/** The hashes-only build, a fraction of the bytes of the full one; WasmMissing where it cannot run. */
export async function openHashesEngine(): Promise<HashesEngine> {
  const { wasmHashes } = await import('./wasm-hashes.ts')
  return hashesEngine(await openWasm<HashesExports>(wasmHashes))
}

export function hashesEngine(wasm: HashesExports): HashesEngine {
  const slab = slabOf(wasm)

  function feedDigest(kind: number, message: Uint8Array): void {
    done(wasm.digest_begin(kind))
    slab.feed(message, (length) => done(wasm.digest_feed(length)) === 0)
  }

  /** The leaves of a tree that was begun, and its end: how many hashes the proof has. */
  function growTree(leaves: Uint8Array, leafBytes: number): number {
    const atOnce = Math.floor(slabBytes / leafBytes)
    if (atOnce === 0) {
      for (let start = 0; start < leaves.length; start += leafBytes) {
        feedDigest(leafKind, leaves.subarray(start, start + leafBytes))
        done(wasm.tree_long_leaf())
      }
    } else {
      for (let start = 0; start < leaves.length; start += atOnce * leafBytes) {
        const part = leaves.subarray(start, start + atOnce * leafBytes)
        slab.put(part)
        done(wasm.tree_leaves(leafBytes, part.length / leafBytes))
      }
    }
    return done(wasm.tree_end())
  }

  function putProof(first: Uint8Array, second: Uint8Array, proof: Uint8Array): number | undefined {
    if (proof.length % 32 !== 0 || proof.length > proofBytesLimit) return undefined
    slab.put(first)
    slab.put(second, 32)
    slab.put(proof, 64)
    return proof.length / 32
  }

  return {
    digests(digest, bytes, lengths) {
      const sum = lengths.reduce((total, length) => total + length, 0)
      if (sum !== bytes.length) throw new RangeError(`The lengths add up to ${sum} bytes, but there are ${bytes.length}.`)
      const hashes = new Uint8Array(32 * lengths.length)
      let start = 0
      for (let index = 0; index < lengths.length; ) {
        let [end, count] = [start, 0]
        while (count < countLimit && index + count < lengths.length && end + (lengths[index + count] ?? 0) - start <= slabBytes) {
          end += lengths[index + count] ?? 0
          count += 1
        }
        if (count > 0) {
          slab.put(bytes.subarray(start, end))
          slab.putLengths(lengths.subarray(index, index + count))
          done(wasm.digest_all(kinds[digest], count))
        } else {
          count = 1
          end += lengths[index] ?? 0
          feedDigest(kinds[digest], bytes.subarray(start, end))
          done(wasm.digest_end())
        }
        hashes.set(slab.answer(32 * count), 32 * index)
        index += count
        start = end
      }
      return hashes
    },
    merkleRoot(leaves, leafBytes) {
      countLeaves(leaves, leafBytes)
      done(wasm.tree_begin())
      growTree(leaves, leafBytes)
      return slab.answer(32)
    },
    merkleProof(leaves, leafBytes, index) {
      const size = countLeaves(leaves, leafBytes)
      requireWhole('index', index, 0, size - 1)
      done(wasm.tree_begin_inclusion(index, size))
      const count = growTree(leaves, leafBytes)
      return slab.answer(32 + 32 * count).slice(32)
    },
    isIncluded(leaf, index, size, proof, root) {
      requireSize('index', index)
      requireSize('size', size)
      requireLength('root', root, 32)
      feedDigest(leafKind, leaf)
      done(wasm.digest_end())
      const count = putProof(slab.answer(32), root, proof)
      return count !== undefined && done(wasm.included(index, size, count)) === 1
    },
    consistencyProof(leaves, leafBytes, size) {
      const count = countLeaves(leaves, leafBytes)
      requireWhole('size', size, 1, count)
      done(wasm.tree_begin_consistency(size, count))
      const proofCount = growTree(leaves, leafBytes)
      return slab.answer(32 + 32 * proofCount).slice(32)
    },
    isConsistent(oldSize, oldRoot, newSize, newRoot, proof) {
      requireSize('oldSize', oldSize)
      requireSize('newSize', newSize)
      requireLength('oldRoot', oldRoot, 32)
      requireLength('newRoot', newRoot, 32)
      const count = putProof(oldRoot, newRoot, proof)
      return count !== undefined && done(wasm.consistent(oldSize, newSize, count)) === 1
    },
    sumPrices(quantities, prices, divisor) {
      if (quantities.length !== prices.length) throw new RangeError(`${quantities.length} quantities cannot have ${prices.length} prices.`)
      if (divisor < 1n || divisor >= limit64) throw new RangeError('The divisor is not from 1 to 2^64 - 1.')
      done(wasm.prices_begin(divisor))
      for (let start = 0; start < quantities.length; start += pairsAtOnce) {
        const part = quantities.subarray(start, start + pairsAtOnce)
        slab.putWords(part, 0)
        slab.putWords(prices.subarray(start, start + pairsAtOnce), 8 * part.length)
        const answer = wasm.prices_add(part.length)
        if (answer === impossible) throw new RangeError('The sum does not fit in 128 bits.')
        done(answer)
      }
      done(wasm.prices_end())
      const view = new DataView(slab.answer(16).buffer)
      return view.getBigUint64(0, true) | (view.getBigUint64(8, true) << 64n)
    },
  }
}

function countLeaves(leaves: Uint8Array, leafBytes: number): number {
  requireWhole('leafBytes', leafBytes, 1, 0xffff_ffff)
  if (leaves.length % leafBytes !== 0) throw new RangeError(`${leaves.length} bytes are not leaves of ${leafBytes} bytes each.`)
  return leaves.length / leafBytes
}

function requireSize(name: string, value: number): void {
  requireWhole(name, value, 0, 0xffff_ffff)
}

function requireWhole(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most)
    throw new RangeError(`${name} is not a whole number from ${least} to ${most}.`)
}

/** As everywhere in this folder: a wrong length is the caller's mistake. */
export function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name} has ${length} bytes, not ${bytes.length}.`)
}
