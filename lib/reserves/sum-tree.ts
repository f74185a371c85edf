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

/** Root (hex) and sum of a tree. A node without a neighbour goes up as it is; a tree without leaves has the root of 64 zeros. */
export function rootOf(leaves: readonly Leaf[]): { root: string; sumAtoms: bigint } {
  let level: SumNode[] = leaves.map(({ sum }) => sum)
  while (level.length > 1) level = parentsOf(level)
  const [top] = level
  return top ? { root: Buffer.from(top.hash).toString('hex'), sumAtoms: top.sumAtoms } : { root: emptyRoot, sumAtoms: 0n }
}

/** The way from the leaf at `position` to the root, the lowest step first. */
export function pathOf(leaves: readonly Leaf[], position: number): ReserveStep[] {
  const path: ReserveStep[] = []
  let at = position
  for (let level: SumNode[] = leaves.map(({ sum }) => sum); level.length > 1; level = parentsOf(level), at >>= 1) {
    const neighbour = level[at ^ 1]
    if (!neighbour) continue
    path.push({
      side: at % 2 === 1 ? 'left' : 'right',
      hash: Buffer.from(neighbour.hash).toString('hex'),
      sumAtoms: neighbour.sumAtoms.toString(),
    })
  }
  return path
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
