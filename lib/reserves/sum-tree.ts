// The Merkle sum tree: every hash also commits to the sum below it, so that nothing owed can be left out or counted as less.
import { createHash } from 'node:crypto'
import { emptyRoot, leafBytes, nodeBytes, type ReserveStep, type SumNode } from '@flow402/protocol/reserve'

/** What is owed to one subject: a rental, or the signature of a receipt that matched nothing. */
export type Owed = { subject: string; amountAtoms: bigint }
/** A leaf with its place in the tree. */
export type Leaf = Owed & { hash: string; sum: SumNode }

/** Leaves in the order of their hashes: a place in the tree says nothing about whose it is or how old. */
export function leavesOf(owed: readonly Owed[]): Leaf[] {
  const leaves = owed.map(({ subject, amountAtoms }) => {
    const hash = createHash('sha256').update(leafBytes(subject, amountAtoms)).digest()
    return { subject, amountAtoms, hash: hash.toString('hex'), sum: { hash, sumAtoms: amountAtoms } }
  })
  return leaves.sort((a, b) => (a.hash < b.hash ? -1 : 1))
}

/** Every level of a tree, the leaves first, the root alone on the last. A node without a neighbour goes up as it is. */
export type SumTree = readonly (readonly SumNode[])[]

/** Hashes the whole tree: some 2 hashes a leaf. */
export function treeOf(leaves: readonly Leaf[]): SumTree {
  const levels: SumNode[][] = [leaves.map(({ sum }) => sum)]
  for (let level = levels[0] ?? []; level.length > 1; levels.push(level)) level = parentsOf(level)
  return levels
}

/** Root (hex) and sum of a tree; one without leaves has the root of 64 zeros. */
export function rootOf(tree: SumTree): { root: string; sumAtoms: bigint } {
  const top = tree.at(-1)?.[0]
  return top ? { root: Buffer.from(top.hash).toString('hex'), sumAtoms: top.sumAtoms } : { root: emptyRoot, sumAtoms: 0n }
}

/** The way from the leaf at `position` to the root, the lowest step first. */
export function pathOf(tree: SumTree, position: number): ReserveStep[] {
  return tree.slice(0, -1).flatMap((level, height) => {
    const at = position >> height
    const neighbour = level[at ^ 1]
    if (!neighbour) return []
    const side = at % 2 === 1 ? 'left' : 'right'
    return [{ side, hash: Buffer.from(neighbour.hash).toString('hex'), sumAtoms: neighbour.sumAtoms.toString() }]
  })
}

function parentsOf(level: readonly SumNode[]): SumNode[] {
  const parents: SumNode[] = []
  for (let at = 0; at < level.length; at += 2) {
    const left = level[at] as SumNode
    const right = level[at + 1]
    parents.push(
      right ? { hash: createHash('sha256').update(nodeBytes(left, right)).digest(), sumAtoms: left.sumAtoms + right.sumAtoms } : left,
    )
  }
  return parents
}
