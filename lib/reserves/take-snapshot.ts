// Taking a snapshot: the chain is compared with the books, and when they agree, everything owed at that slot becomes one tree.
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { checkReserves } from '../payments/check-reserves.ts'
import type { ReserveCheck } from '../payments/store-escrow.ts'
import { addSnapshot, findNewestSnapshot, forgetSnapshots, type Liabilities, sumLiabilities } from './store.ts'
import { leavesOf, rootOf, treeOf } from './sum-tree.ts'

/** How old the newest snapshot must be before another one is made, in ms, whoever asks. */
export const snapshotAtMostEveryMs = 10_000
const keptSnapshots = 20

type CheckDeps = Parameters<typeof checkReserves>[0]
export type SnapshotDeps = CheckDeps & { db: Db; now: Now }

/**
 * Compares chain and books and, without a difference, keeps a snapshot, unless the newest is younger than `minAgeMs`. Undefined when the
 * history could not be read to the end now. Throws when the chain cannot be reached.
 */
export async function takeSnapshot(deps: SnapshotDeps, minAgeMs = snapshotAtMostEveryMs): Promise<ReserveCheck | undefined> {
  const check = await checkReserves(deps)
  if (check?.differenceAtoms !== 0n) return check
  const newest = await findNewestSnapshot(deps.db)
  if (newest && deps.now() - newest.atMs < minAgeMs) return check
  await keepSnapshot(deps, check)
  return check
}

async function keepSnapshot(deps: SnapshotDeps, check: ReserveCheck): Promise<void> {
  const liabilities = await inTransaction(deps.db, (tx) => sumLiabilities(tx, check.slot))
  const reason = whyNotShown(check, liabilities)
  if (reason) {
    console.error(JSON.stringify({ level: 'error', event: 'snapshot_not_kept', slot: check.slot.toString(), reason }))
    return
  }
  const { owed, liabilitiesAtoms, breakdown } = liabilities
  const leaves = leavesOf(owed)
  const { root } = rootOf(treeOf(leaves))
  await inTransaction(deps.db, async (tx) => {
    await addSnapshot(tx, { slot: check.slot, chainAtoms: check.chainAtoms, liabilitiesAtoms, breakdown, root, atMs: deps.now() }, leaves)
    await forgetSnapshots(tx, keptSnapshots)
  })
}

/** Only what adds up to the last atom is shown to anybody. */
function whyNotShown(check: ReserveCheck, { owed, liabilitiesAtoms, capitalAtoms, waitingAtoms }: Liabilities): string | undefined {
  const short = owed.find(({ amountAtoms }) => amountAtoms < 0n)
  if (short) return `${short.subject} would be owed ${short.amountAtoms}`
  const difference = check.chainAtoms - liabilitiesAtoms - capitalAtoms - waitingAtoms
  return difference === 0n ? undefined : `owed and own money differ from the chain by ${difference}`
}
