// A rental's proof of reserves: its leaf in the newest snapshot and the way from there to the root that everybody sees.
import { Problem } from '@flow402/protocol/problem'
import type { ReserveProof } from '@flow402/protocol/reserve'
import type { Db } from '../db/client.ts'
import { findLeafPosition, findLeaves, findNewestSnapshot, type Snapshot } from './store.ts'
import { type Leaf, leavesOf, pathOf, type SumTree, treeOf } from './sum-tree.ts'
import { type SnapshotDeps, snapshotAtMostEveryMs, takeSnapshot } from './take-snapshot.ts'

/** Answers the proof of a rental; Problem not_in_reserves when the newest snapshot owes nothing for it. */
export type ReserveProver = (rentalId: string) => Promise<ReserveProof>

/**
 * Opens a prover that keeps the tree of the newest snapshot between questions. A rental that is not in it may be in a newer one: then one
 * is made, at most every 10 s, whoever asks.
 */
export function openReserveProver(deps: SnapshotDeps): ReserveProver {
  let kept: { id: bigint; tree: Promise<Grown> } | undefined
  const treeOfSnapshot = (id: bigint): Promise<Grown> => {
    if (kept?.id !== id) {
      const tree = grow(deps.db, id)
      kept = { id, tree }
      // The next question tries again.
      tree.catch(() => (kept = undefined))
    }
    return kept.tree
  }

  return async (rentalId) => {
    const place = (await findPlace(deps.db, rentalId)) ?? ((await renewed(deps)) ? await findPlace(deps.db, rentalId) : undefined)
    if (!place) throw new Problem('not_in_reserves', { id: rentalId })
    const { leaves, tree } = await treeOfSnapshot(place.snapshot.id)
    const leaf = leaves[place.position]
    if (leaf?.subject !== rentalId) throw new Error(`snapshot ${place.snapshot.id} is not in order at ${place.position}`)
    return {
      snapshotId: place.snapshot.id.toString(),
      root: place.snapshot.root,
      liabilitiesAtoms: place.snapshot.liabilitiesAtoms.toString(),
      leaf: { subject: leaf.subject, amountAtoms: leaf.amountAtoms.toString() },
      path: pathOf(tree, place.position),
    }
  }
}

type Grown = { leaves: Leaf[]; tree: SumTree }

async function grow(db: Db, snapshotId: bigint): Promise<Grown> {
  const leaves = leavesOf(await findLeaves(db, snapshotId))
  return { leaves, tree: treeOf(leaves) }
}

async function findPlace(db: Db, rentalId: string): Promise<{ snapshot: Snapshot; position: number } | undefined> {
  const snapshot = await findNewestSnapshot(db)
  const position = snapshot && (await findLeafPosition(db, snapshot.id, rentalId))
  return snapshot && position !== undefined ? { snapshot, position } : undefined
}

/** Whether a newer snapshot may be there now. A chain that does not answer changes nothing: what is known is known. */
async function renewed(deps: SnapshotDeps): Promise<boolean> {
  const newest = await findNewestSnapshot(deps.db)
  if (newest && deps.now() - newest.atMs < snapshotAtMostEveryMs) return false
  try {
    return (await takeSnapshot(deps)) !== undefined
  } catch (error) {
    console.error(JSON.stringify({ level: 'warn', event: 'reserves_not_checked', message: (error as Error).message }))
    return false
  }
}
