// Checking the reserves: what the escrow holds on chain at a finalized slot against what the books say of it; any difference is an alarm.

import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { postOpening } from '../ledger/post.ts'
import type { PaymentRail } from './payment-rail.ts'
import { type ScanDeps, scanEscrow } from './scan-escrow.ts'
import { addReserveCheck, type ReserveCheck, setOpening, sumEscrow } from './store-escrow.ts'

const pagesAtMost = 20

type Deps = ScanDeps & { db: Db; now: Now; rail: Pick<PaymentRail, 'scanEscrow' | 'escrowBalance'> }

/**
 * Compares chain and books at one finalized slot and writes the comparison down; from a difference on, payouts and fees wait until a later
 * comparison finds none. Undefined when the history could not be read to that slot now (another worker reads it, or it is very long).
 */
export async function checkReserves(deps: Deps): Promise<ReserveCheck | undefined> {
  // The balance first: whatever it contains is in the history that is read afterwards.
  const { slot, atoms } = await deps.rail.escrowBalance()
  if (!(await readToEnd(deps, slot))) return undefined
  const nowMs = deps.now()
  const check = await inTransaction(deps.db, (tx) => compare(tx, deps.currency, slot, atoms, nowMs))
  if (check.differenceAtoms !== 0n)
    console.error(
      JSON.stringify({
        level: 'error',
        event: 'reserves_differ',
        slot: slot.toString(),
        chainAtoms: check.chainAtoms.toString(),
        ledgerAtoms: check.ledgerAtoms.toString(),
        waitingAtoms: check.waitingAtoms.toString(),
        differenceAtoms: check.differenceAtoms.toString(),
        detail: check.detail,
      }),
    )
  return check
}

async function readToEnd(deps: Deps, slot: bigint): Promise<boolean> {
  for (let page = 0; page < pagesAtMost; page++) {
    const scanned = await scanEscrow(deps, slot)
    if (!scanned) return false
    if (scanned.isComplete) return true
  }
  return false
}

async function compare(tx: Tx, currency: string, slot: bigint, chainAtoms: bigint, nowMs: number): Promise<ReserveCheck> {
  let sums = await sumEscrow(tx, slot)
  if (sums.openingAtoms === null) {
    // The first comparison ever: what is there beyond all movements since the market opened was there before it.
    const openingAtoms = chainAtoms > sums.seenAtoms ? chainAtoms - sums.seenAtoms : 0n
    if (await setOpening(tx, openingAtoms)) await postOpening(tx, { amountAtoms: openingAtoms, currency, nowMs })
    sums = await sumEscrow(tx, slot)
  }
  const { ledgerAtoms, waitingAtoms, seenAtoms, openingAtoms } = sums
  const check = {
    slot,
    chainAtoms,
    ledgerAtoms,
    waitingAtoms,
    differenceAtoms: chainAtoms - ledgerAtoms - waitingAtoms,
    detail: detailOf(chainAtoms - seenAtoms - (openingAtoms ?? 0n)),
    atMs: nowMs,
  }
  await addReserveCheck(tx, check)
  return check
}

/** Says which side is wrong: a history that does not explain the balance, or books that do not follow the history. */
function detailOf(unseenAtoms: bigint): string | null {
  return unseenAtoms === 0n ? null : `the history read so far leaves ${unseenAtoms} atoms of the balance unexplained`
}
