// Merkle trees of RFC 6962 and RFC 9162: root, inclusion and consistency, over a bulk SHA-256 that is given.

/** Digests of messages that lie one after the other; see Engine. */
type Digests = (digest: 'sha256', bytes: Uint8Array, lengths: Uint32Array) => Uint8Array

/** SHA-256(00 || leaf). */
export function leafHashOf(leaf: Uint8Array, digests: Digests): Uint8Array {
  return digests('sha256', joined([Uint8Array.of(0), leaf]), Uint32Array.of(1 + leaf.length))
}

/** The hashes of leaves of `leafBytes` each, at least one byte. */
export function leafHashes(leaves: Uint8Array, leafBytes: number, digests: Digests): Uint8Array {
  const count = leaves.length / leafBytes
  const messages = new Uint8Array((1 + leafBytes) * count)
  for (let index = 0; index < count; index += 1)
    messages.set(leaves.subarray(index * leafBytes, (index + 1) * leafBytes), index * (1 + leafBytes) + 1)
  return digests('sha256', messages, new Uint32Array(count).fill(1 + leafBytes))
}

/**
 * The root over hashes of leaves, 32 bytes each; of no leaf SHA-256 of nothing. Level by level, a node without a neighbour goes up as it is:
 * that is the tree of the RFC, which splits at the largest power of two below the number of leaves.
 */
export function rootOf(hashes: Uint8Array, digests: Digests): Uint8Array {
  if (hashes.length === 0) return digests('sha256', new Uint8Array(), Uint32Array.of(0))
  let level = hashes
  while (level.length > 32) level = levelAbove(level, digests)
  return level
}

/** The proof that leaf `index` is in the tree: the sibling of each node on the way up, where it has one (RFC 6962, 2.1.1). */
export function inclusionProof(hashes: Uint8Array, index: number, digests: Digests): Uint8Array {
  const siblings: Uint8Array[] = []
  let level = hashes
  for (let at = index; level.length > 32; at = half(at)) {
    const sibling = hashAt(level, at % 2 === 0 ? at + 1 : at - 1)
    if (sibling.length > 0) siblings.push(sibling)
    level = levelAbove(level, digests)
  }
  return joined(siblings)
}

/** Whether a leaf's hash is leaf `index` of the tree of `size` leaves (RFC 9162, 2.1.3.2). */
export function proves(leafHash: Uint8Array, index: number, size: number, proof: Uint8Array, root: Uint8Array, digests: Digests): boolean {
  if (index >= size || proof.length % 32 !== 0) return false
  let at = index
  let last = size - 1
  let hash = leafHash
  for (let start = 0; start < proof.length; start += 32) {
    if (last === 0) return false
    const sibling = proof.subarray(start, start + 32)
    if (at % 2 === 1 || at === last) {
      hash = nodeHash(sibling, hash, digests)
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)]
    } else hash = nodeHash(hash, sibling, digests)
    at = half(at)
    last = half(last)
  }
  return last === 0 && equal(hash, root)
}

/** The proof that the tree of the first `size` leaves, at least one, is a beginning of the tree of all (RFC 6962, 2.1.2). */
export function consistencyProof(hashes: Uint8Array, size: number, digests: Digests): Uint8Array {
  return joined(subproof(hashes, size, true, digests))
}

/** SUBPROOF of RFC 6962: `isWhole` says that the first `size` leaves are a tree whose root the reader has. */
function subproof(hashes: Uint8Array, size: number, isWhole: boolean, digests: Digests): Uint8Array[] {
  const count = hashes.length / 32
  if (size === count) return isWhole ? [] : [rootOf(hashes, digests)]
  const split = powerBelow(count)
  const left = hashes.subarray(0, 32 * split)
  const right = hashes.subarray(32 * split)
  if (size <= split) return [...subproof(left, size, isWhole, digests), rootOf(right, digests)]
  return [...subproof(right, size - split, false, digests), rootOf(left, digests)]
}

/** Whether the tree of `newSize` leaves begins with the tree of `oldSize`, at least one (RFC 9162, 2.1.4.2). */
export function provesBeginning(
  older: { size: number; root: Uint8Array },
  newer: { size: number; root: Uint8Array },
  proof: Uint8Array,
  digests: Digests,
): boolean {
  if (older.size < 1 || older.size > newer.size || proof.length % 32 !== 0) return false
  if (older.size === newer.size) return proof.length === 0 && equal(older.root, newer.root)
  const isWholeTree = Number.isInteger(Math.log2(older.size))
  const path = isWholeTree ? joined([older.root, proof]) : proof
  if (path.length === 0) return false
  let at = older.size - 1
  let last = newer.size - 1
  while (at % 2 === 1) [at, last] = [half(at), half(last)]
  let oldHash: Uint8Array = path.subarray(0, 32)
  let newHash: Uint8Array = oldHash
  for (let start = 32; start < path.length; start += 32) {
    if (last === 0) return false
    const sibling = path.subarray(start, start + 32)
    if (at % 2 === 1 || at === last) {
      oldHash = nodeHash(sibling, oldHash, digests)
      newHash = nodeHash(sibling, newHash, digests)
      while (at % 2 === 0 && at !== 0) [at, last] = [half(at), half(last)]
    } else newHash = nodeHash(newHash, sibling, digests)
    at = half(at)
    last = half(last)
  }
  return last === 0 && equal(oldHash, older.root) && equal(newHash, newer.root)
}

/** The level above: SHA-256(01 || left || right) of each pair. */
function levelAbove(level: Uint8Array, digests: Digests): Uint8Array {
  const pairs = Math.floor(level.length / 64)
  const messages = new Uint8Array(65 * pairs)
  for (let pair = 0; pair < pairs; pair += 1) {
    messages[65 * pair] = 1
    messages.set(level.subarray(64 * pair, 64 * pair + 64), 65 * pair + 1)
  }
  const above = digests('sha256', messages, new Uint32Array(pairs).fill(65))
  return level.length % 64 === 0 ? above : joined([above, level.subarray(64 * pairs)])
}

function nodeHash(left: Uint8Array, right: Uint8Array, digests: Digests): Uint8Array {
  return digests('sha256', joined([Uint8Array.of(1), left, right]), Uint32Array.of(65))
}

function hashAt(hashes: Uint8Array, index: number): Uint8Array {
  return hashes.subarray(32 * index, 32 * index + 32)
}

const half = (value: number) => Math.floor(value / 2)

/** The largest power of two below `count`, which is at least 2. */
function powerBelow(count: number): number {
  let power = 1
  while (power * 2 < count) power *= 2
  return power
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    out.set(part, at)
    at += part.length
  }
  return out
}

export function equal(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, at) => byte === right[at])
}
