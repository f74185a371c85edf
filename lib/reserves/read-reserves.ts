// The reserves as everybody may see them: the newest snapshot, and whether the newest comparison found chain and books equal.
import type { Reserves } from '@flow402/protocol/reserve'
import type { Db } from '../db/client.ts'
import type { PaymentRail } from '../payments/payment-rail.ts'
import { findReserveChecks } from '../payments/store-escrow.ts'
import { findNewestSnapshot, type Snapshot } from './store.ts'

const iso = (atMs: number) => new Date(atMs).toISOString()

/** Two small rows; nothing is asked of the chain, so anybody may ask as often as they like. */
export async function readReserves(deps: { db: Db; rail: Pick<PaymentRail, 'payee' | 'escrowAccount'> }): Promise<Reserves> {
  const [snapshot, [check]] = await Promise.all([findNewestSnapshot(deps.db), findReserveChecks(deps.db, 1)])
  const { network, asset, payTo } = deps.rail.payee()
  return {
    network,
    asset,
    escrow: payTo,
    escrowAccount: deps.rail.escrowAccount(),
    snapshot: snapshot ? snapshotView(snapshot) : null,
    checkedAt: check ? iso(check.atMs) : null,
    checkedSlot: check ? check.slot.toString() : null,
    differenceAtoms: check ? check.differenceAtoms.toString() : null,
    frozen: check !== undefined && check.differenceAtoms !== 0n,
  }
}

function snapshotView(snapshot: Snapshot): NonNullable<Reserves['snapshot']> {
  const { capital, waiting, ...breakdown } = snapshot.breakdown
  return {
    id: snapshot.id.toString(),
    slot: snapshot.slot.toString(),
    at: iso(snapshot.atMs),
    onChainAtoms: snapshot.chainAtoms.toString(),
    liabilitiesAtoms: snapshot.liabilitiesAtoms.toString(),
    capitalAtoms: capital,
    waitingAtoms: waiting,
    breakdown,
    root: snapshot.root,
    leaves: snapshot.leaves,
  }
}
