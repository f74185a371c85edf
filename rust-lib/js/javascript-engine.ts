// The twin: the same interface and the same verdicts as the WebAssembly, in TypeScript over the primitives that it is given.
import type { Engine } from './engine.ts'
import { consistencyProof, inclusionProof, leafHashes, leafHashOf, proves, provesBeginning, rootOf } from './merkle.ts'
import type { Primitives } from './primitives.ts'
import { verifyStatement } from './verify-statement.ts'

const limit128 = 1n << 128n
const limit64 = 1n << 64n

/** The engine over nodePrimitives or noblePrimitives. */
export function javascriptEngine(primitives: Primitives): Engine {
  const { digests } = primitives
  return {
    name: 'javascript',
    digests(digest, bytes, lengths) {
      const sum = lengths.reduce((total, length) => total + length, 0)
      if (sum !== bytes.length) throw new RangeError(`The lengths add up to ${sum} bytes, but there are ${bytes.length}.`)
      return digests(digest, bytes, lengths)
    },
    merkleRoot(leaves, leafBytes) {
      countLeaves(leaves, leafBytes)
      return rootOf(leafHashes(leaves, leafBytes, digests), digests)
    },
    merkleProof(leaves, leafBytes, index) {
      requireWhole('index', index, 0, countLeaves(leaves, leafBytes) - 1)
      return inclusionProof(leafHashes(leaves, leafBytes, digests), index, digests)
    },
    isIncluded(leaf, index, size, proof, root) {
      requireSize('index', index)
      requireSize('size', size)
      requireLength('root', root, 32)
      return proves(leafHashOf(leaf, digests), index, size, proof, root, digests)
    },
    consistencyProof(leaves, leafBytes, size) {
      requireWhole('size', size, 1, countLeaves(leaves, leafBytes))
      return consistencyProof(leafHashes(leaves, leafBytes, digests), size, digests)
    },
    isConsistent(oldSize, oldRoot, newSize, newRoot, proof) {
      requireSize('oldSize', oldSize)
      requireSize('newSize', newSize)
      requireLength('oldRoot', oldRoot, 32)
      requireLength('newRoot', newRoot, 32)
      return provesBeginning({ size: oldSize, root: oldRoot }, { size: newSize, root: newRoot }, proof, digests)
    },
    verifySignatures(signed) {
      return Uint8Array.from(signed, ({ publicKey, message, signature }) => {
        requireLength('publicKey', publicKey, 32)
        requireLength('signature', signature, 64)
        return primitives.verifySignature(publicKey, message, signature) ? 1 : 0
      })
    },
    sumPrices(quantities, prices, divisor) {
      if (quantities.length !== prices.length) throw new RangeError(`${quantities.length} quantities cannot have ${prices.length} prices.`)
      if (divisor < 1n || divisor >= limit64) throw new RangeError('The divisor is not from 1 to 2^64 - 1.')
      let sum = 0n
      for (let index = 0; index < quantities.length; index += 1) sum += ((quantities[index] ?? 0n) * (prices[index] ?? 0n)) / divisor
      if (sum >= limit128) throw new RangeError('The sum does not fit in 128 bits.')
      return sum
    },
    verifyStatement: (statement) => verifyStatement(statement, primitives),
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

function requireLength(name: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw new RangeError(`${name} has ${length} bytes, not ${bytes.length}.`)
}
