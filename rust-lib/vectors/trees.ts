// Vectors of Merkle trees, computed by the words of RFC 6962, section 2.1, one recursion each: slow and plain.
import { bytesOf, flipped, hex, join, sha256, unhex } from './bytes.ts'
import type { ConsistencyVector, InclusionVector, TreeVector } from './format.ts'
import { transparencyConsistencies, transparencyInclusions, transparencyLeaves, transparencyRoots } from './published.ts'

/** MTH of RFC 6962: the root over leaves of whatever lengths. */
export function treeHash(leaves: readonly Uint8Array[]): Uint8Array {
  const [first] = leaves
  if (first === undefined) return sha256()
  if (leaves.length === 1) return sha256(Uint8Array.of(0), first)
  const split = splitOf(leaves.length)
  return sha256(Uint8Array.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)))
}

/** PATH of RFC 6962. */
function path(index: number, leaves: readonly Uint8Array[]): Uint8Array[] {
  if (leaves.length <= 1) return []
  const split = splitOf(leaves.length)
  return index < split
    ? [...path(index, leaves.slice(0, split)), treeHash(leaves.slice(split))]
    : [...path(index - split, leaves.slice(split)), treeHash(leaves.slice(0, split))]
}

/** SUBPROOF of RFC 6962; PROOF is SUBPROOF of the whole. */
function subproof(size: number, leaves: readonly Uint8Array[], isWhole: boolean): Uint8Array[] {
  if (size === leaves.length) return isWhole ? [] : [treeHash(leaves)]
  const split = splitOf(leaves.length)
  return size <= split
    ? [...subproof(size, leaves.slice(0, split), isWhole), treeHash(leaves.slice(split))]
    : [...subproof(size - split, leaves.slice(split), false), treeHash(leaves.slice(0, split))]
}

function splitOf(count: number): number {
  let split = 1
  while (split * 2 < count) split *= 2
  return split
}

const counts: [count: number, leafBytes: number][] = [
  [0, 93],
  [1, 1],
  [2, 32],
  [3, 93],
  [4, 54],
  [5, 55],
  [6, 117],
  [7, 118],
  [8, 119],
  [9, 128],
  [13, 63],
  [16, 64],
  [17, 93],
]

export const treeVectors: TreeVector[] = counts.map(([count, leafBytes]) => {
  const leaves = leavesOf(count, leafBytes)
  return {
    leafBytes,
    count,
    leaves: hex(join(...leaves)),
    root: hex(treeHash(leaves)),
    inclusion: leaves.map((_, index) => hex(join(...path(index, leaves)))),
    consistency: leaves.map((_, index) => hex(join(...subproof(index + 1, leaves, true)))),
  }
})

function leavesOf(count: number, leafBytes: number): Uint8Array[] {
  return Array.from({ length: count }, (_, index) => bytesOf(`leaf ${index} of ${count}`, leafBytes))
}

const rootOf = (size: number) => transparencyRoots[size - 1] ?? ''

const publishedInclusions: InclusionVector[] = transparencyInclusions.map(([index, size, proof]) => ({
  name: `certificate-transparency: leaf ${index} of ${size}`,
  leaf: transparencyLeaves[index] ?? '',
  index,
  size,
  proof: proof.join(''),
  root: rootOf(size),
  isGood: true,
}))

/** Every way to spoil a good proof that a careless check would let through. */
function spoiledInclusions(): InclusionVector[] {
  const leaves = leavesOf(7, 93)
  const root = hex(treeHash(leaves))
  const good = (index: number) => ({
    leaf: hex(leaves[index] ?? new Uint8Array()),
    index,
    size: 7,
    proof: hex(join(...path(index, leaves))),
    root,
  })
  const at3 = good(3)
  const level = [0, 2, 4].map((index) => treeHash(leaves.slice(index, index + 2)))
  return [
    { name: 'leaf 3 of 7', ...at3, isGood: true },
    { name: 'the last leaf, whose way up is shorter', ...good(6), isGood: true },
    { name: 'another leaf', ...at3, leaf: good(2).leaf, isGood: false },
    { name: 'another index', ...at3, index: 2, isGood: false },
    { name: 'an index with the same way up in a larger tree', ...at3, index: 7, size: 8, isGood: false },
    { name: 'an index outside of the tree', ...at3, index: 7, isGood: false },
    { name: 'a tree of no leaves', ...at3, index: 0, size: 0, isGood: false },
    { name: 'a smaller tree', ...at3, size: 4, isGood: false },
    { name: 'a proof without its last hash', ...at3, proof: at3.proof.slice(0, -64), isGood: false },
    { name: 'a proof with one hash more', ...at3, proof: `${at3.proof}${root}`, isGood: false },
    { name: 'a proof that is cut within a hash', ...at3, proof: at3.proof.slice(0, -2), isGood: false },
    { name: 'a proof of which one bit is wrong', ...at3, proof: hex(flipped(unhex(at3.proof), 40)), isGood: false },
    { name: 'another root', ...at3, root: hex(flipped(unhex(root), 31)), isGood: false },
    { name: 'the root as its own proof', ...at3, proof: '', isGood: false },
    {
      name: 'a node given as a leaf',
      leaf: hex(
        join(
          Uint8Array.of(1),
          sha256(Uint8Array.of(0), leaves[0] ?? new Uint8Array()),
          sha256(Uint8Array.of(0), leaves[1] ?? new Uint8Array()),
        ),
      ),
      index: 0,
      size: 4,
      proof: hex(join(level[1] ?? new Uint8Array(), treeHash(leaves.slice(4)))),
      root,
      isGood: false,
    },
    {
      name: 'one leaf that is the whole tree',
      leaf: at3.leaf,
      index: 0,
      size: 1,
      proof: '',
      root: hex(treeHash(leaves.slice(3, 4))),
      isGood: true,
    },
    { name: 'an empty leaf', leaf: '', index: 0, size: 1, proof: '', root: hex(treeHash([new Uint8Array()])), isGood: true },
  ]
}

export const inclusionVectors: InclusionVector[] = [...publishedInclusions, ...spoiledInclusions()]

const publishedConsistencies: ConsistencyVector[] = transparencyConsistencies.map(([oldSize, newSize, proof]) => ({
  name: `certificate-transparency: ${oldSize} and ${newSize}`,
  oldSize,
  oldRoot: rootOf(oldSize),
  newSize,
  newRoot: rootOf(newSize),
  proof: proof.join(''),
  isGood: true,
}))

function spoiledConsistencies(): ConsistencyVector[] {
  const leaves = leavesOf(9, 93)
  const between = (oldSize: number, newSize: number) => ({
    oldSize,
    oldRoot: hex(treeHash(leaves.slice(0, oldSize))),
    newSize,
    newRoot: hex(treeHash(leaves.slice(0, newSize))),
    proof: hex(join(...subproof(oldSize, leaves.slice(0, newSize), true))),
  })
  const from6 = between(6, 9)
  const from4 = between(4, 9)
  return [
    { name: '6 and 9', ...from6, isGood: true },
    { name: '4, a whole tree, and 9', ...from4, isGood: true },
    { name: 'the same tree', ...between(9, 9), isGood: true },
    { name: 'the same tree with a proof', ...between(9, 9), proof: from6.proof, isGood: false },
    { name: 'the same size and another root', ...between(9, 9), oldRoot: from6.oldRoot, isGood: false },
    { name: 'the larger tree first', ...from6, oldSize: 9, newSize: 6, oldRoot: from6.newRoot, newRoot: from6.oldRoot, isGood: false },
    { name: 'a tree of no leaves', ...from6, oldSize: 0, oldRoot: hex(sha256()), proof: '', isGood: false },
    { name: 'no proof', ...from6, proof: '', isGood: false },
    { name: 'no proof from a whole tree', ...from4, proof: '', isGood: false },
    { name: 'another size of the older tree', ...from6, oldSize: 5, isGood: false },
    { name: 'another size of the newer tree', ...from6, newSize: 17, isGood: false },
    { name: 'another root of the older tree', ...from6, oldRoot: hex(flipped(unhex(from6.oldRoot), 0)), isGood: false },
    { name: 'another root of the newer tree', ...from6, newRoot: hex(flipped(unhex(from6.newRoot), 0)), isGood: false },
    { name: 'another root of an older whole tree', ...from4, oldRoot: hex(flipped(unhex(from4.oldRoot), 0)), isGood: false },
    { name: 'a proof without its last hash', ...from6, proof: from6.proof.slice(0, -64), isGood: false },
    { name: 'a proof with one hash more', ...from6, proof: `${from6.proof}${from6.oldRoot}`, isGood: false },
    { name: 'a proof that is cut within a hash', ...from6, proof: from6.proof.slice(0, -2), isGood: false },
    { name: 'a proof of which one bit is wrong', ...from6, proof: hex(flipped(unhex(from6.proof), 40)), isGood: false },
  ]
}

export const consistencyVectors: ConsistencyVector[] = [...publishedConsistencies, ...spoiledConsistencies()]
