// Scanning: the escrow's history is read at finalized commitment, bit by bit, and everything in it is matched with what we know.
import { randomUUID } from 'node:crypto'
import { type FinalizeDeps, type Finalized, finalizeMovement, giveUpWaiting, waitForClaimMs } from './finalize-movement.ts'
import type { PaymentRail } from './payment-rail.ts'
import { dropScan, findMovements, findWaiting, saveScan, takeScan } from './store-escrow.ts'

const leaseMs = 20_000
/** How many stray receipts are given up on in one go: who sends dust by the million is served slowly, and nobody else is. */
const strayBatch = 50

export type ScanDeps = FinalizeDeps & { rail: Pick<PaymentRail, 'scanEscrow'> }

/** What one scan found. `isComplete`: the history is read to its end. */
export type Scanned = { isComplete: boolean; found: Record<Finalized, number> }

/** Reads the next part of the history and books it; where it stands is kept, so a restart goes on there. Undefined while another worker reads. */
export async function scanEscrow(deps: ScanDeps, atLeastSlot = 0n): Promise<Scanned | undefined> {
  const token = randomUUID()
  const scan = await takeScan(deps.db, { token, nowMs: deps.now(), leaseMs })
  if (!scan) return undefined
  const found: Record<Finalized, number> = { payment: 0, undecided: 0, transfer: 0, refund: 0, nothing: 0 }
  try {
    const page = await deps.rail.scanEscrow(scan.position, scan.openedAtMs, atLeastSlot)
    const known = await findMovements(
      deps.db,
      page.movements.map((movement) => movement.signature),
    )
    for (const movement of page.movements) found[await finalizeMovement(deps, movement, known.get(movement.signature))]++
    for (const movement of await findWaiting(deps.db, deps.now() - waitForClaimMs, strayBatch))
      if (await giveUpWaiting(deps, movement)) found.refund++
    await saveScan(deps.db, token, page.next, page.isComplete ? deps.now() : undefined)
    return { isComplete: page.isComplete, found }
  } catch (error) {
    await dropScan(deps.db, token)
    throw error
  }
}
