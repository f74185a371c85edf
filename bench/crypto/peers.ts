// The peers of bench:crypto that run in Node and in a browser: noble and hash-wasm, and a Merkle root over any hash.
import type { DigestName, SignedMessage } from '../../rust-lib/js/engine.ts'

/** Writes the digest of a message (32 bytes) into `target` at `at`. */
export type HashTo = (message: Uint8Array, target: Uint8Array, at: number) => void
/** A library that hashes, whole messages one at a time. */
export type Hasher = { name: string; hashTo: HashTo }

/** What is used of noble, whose packages are those of rust-lib. */
export type Noble = {
  sha256: (message: Uint8Array) => Uint8Array
  sha3: (message: Uint8Array) => Uint8Array
  verify: (signature: Uint8Array, message: Uint8Array, publicKey: Uint8Array) => boolean
}
/** What is used of hash-wasm. */
export type HashWasm = Record<'createSHA256' | 'createSHA3', (bits?: 256) => Promise<HashWasmHasher>>
type HashWasmHasher = { init(): HashWasmHasher; update(bytes: Uint8Array): HashWasmHasher; digest(as: 'binary'): Uint8Array }

/** noble from wherever `load` finds its modules. */
export async function openNoble(load: (specifier: string) => Promise<unknown>): Promise<Noble> {
  const [sha2, sha3, curves] = await Promise.all(
    ['@noble/hashes/sha2.js', '@noble/hashes/sha3.js', '@noble/curves/ed25519.js'].map((name) => load(name)),
  )
  const { ed25519 } = curves as { ed25519: { verify: (...signed: [Uint8Array, Uint8Array, Uint8Array]) => boolean } }
  return {
    sha256: (sha2 as { sha256: Noble['sha256'] }).sha256,
    sha3: (sha3 as { sha3_256: Noble['sha3'] }).sha3_256,
    verify: (signature, message, publicKey) => ed25519.verify(signature, message, publicKey),
  }
}

/** noble and hash-wasm (one hasher, used again and again) as hashers of one digest. */
export async function sharedHashers(digest: DigestName, noble: Noble, hashWasm: HashWasm): Promise<Hasher[]> {
  const hash = digest === 'sha256' ? noble.sha256 : noble.sha3
  const hasher = await (digest === 'sha256' ? hashWasm.createSHA256() : hashWasm.createSHA3(256))
  return [
    { name: 'noble', hashTo: (message, target, at) => target.set(hash(message), at) },
    { name: 'hash-wasm, reused', hashTo: (message, target, at) => target.set(hasher.init().update(message).digest('binary'), at) },
  ]
}

/** How leaves are copied, where there is something faster than `set`. */
export type CopyLeaf = (leaves: Uint8Array, from: number, to: number, message: Uint8Array) => void
const copyBySet: CopyLeaf = (leaves, from, to, message) => message.set(leaves.subarray(from, to), 1)

/**
 * The Merkle root of RFC 6962 over any hash, as fast as JavaScript goes: nothing is made per leaf. Each level has one message 01 || left ||
 * right, into which the digests of the level below are written; when its right half is there, it is hashed into the level above.
 */
export function merkleRootBy(
  hashTo: HashTo,
  leaves: Uint8Array,
  leafBytes: number,
  copyLeaf = copyBySet,
  bytes: (length: number) => Uint8Array = (length) => new Uint8Array(length),
): Uint8Array {
  const count = leaves.length / leafBytes
  const leaf = bytes(1 + leafBytes)
  const levels = Array.from({ length: 33 }, () => bytes(65))
  for (const level of levels) level[0] = 1
  for (let index = 0; index < count; index += 1) {
    copyLeaf(leaves, index * leafBytes, (index + 1) * leafBytes, leaf)
    let message = leaf
    let position = index
    for (const level of levels) {
      const isRight = (position & 1) === 1
      hashTo(message, level, isRight ? 33 : 1)
      if (!isRight) break
      message = level
      position >>>= 1
    }
  }
  // What has no right neighbour goes up as it is.
  let root: Uint8Array | undefined
  for (const [height, level] of levels.entries()) {
    if (Math.floor(count / 2 ** height) % 2 === 0) continue
    const left = level.slice(1, 33)
    if (root) {
      level.set(root, 33)
      hashTo(level, left, 0)
    }
    root = left
  }
  if (!root) throw new RangeError('There is no leaf.')
  return root
}

/** One verdict per signature by noble, one at a time. */
export function verifyByNoble(noble: Noble, signed: readonly SignedMessage[]): Uint8Array {
  return Uint8Array.from(signed, ({ publicKey, message, signature }) => (noble.verify(signature, message, publicKey) ? 1 : 0))
}
