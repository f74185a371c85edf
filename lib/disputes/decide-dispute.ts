// Deciding a dispute: an admin or the deadline says which part of what is held goes back; the rest is the provider's again.
import type { DecideRequest, Dispute } from '@flow402/protocol/dispute'
import { Problem } from '@flow402/protocol/problem'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { postDisputeClosed } from '../ledger/post.ts'
import { oneByOne } from '../one-by-one.ts'
import { findSettledPayments } from '../payments/store.ts'
import { addOwedTransfer } from '../payments/store-transfers.ts'
import { addEarnings } from '../settlement/store.ts'
import {
  type DisputeRecord,
  disputeView,
  findDispute,
  findDueDisputes,
  type LockedEarning,
  lockEarning,
  setDisputeDecided,
} from './store.ts'

const bpsPerWhole = 10_000n
const batch = 50

type Deps = { db: Db; now: Now }
type Decision = { refundBps: number; note: string | null; by: 'admin' | 'deadline' }

/**
 * Decides a dispute once. The same decision again answers what was decided; another one is Problem dispute_decided.
 * Problem dispute_not_found.
 */
export async function decideDispute(deps: Deps, id: string, { refundBps, note }: DecideRequest): Promise<Dispute> {
  const isMine = await decide(deps, id, { refundBps, note, by: 'admin' })
  const dispute = await findDispute(deps.db, id)
  if (!dispute) throw new Problem('dispute_not_found')
  const isSame = dispute.decidedBy === 'admin' && dispute.refundBps === refundBps && dispute.note === note
  if (!isMine && !isSame) throw new Problem('dispute_decided', { id, decidedBy: dispute.decidedBy, refundBps: dispute.refundBps })
  return disputeView(dispute)
}

/** D1: decides what nobody decided in time, as the market's default says; returns how many. */
export async function decideDueDisputes(deps: Deps & { disputeDefaultRefundBps: number }): Promise<number> {
  const due = await findDueDisputes(deps.db, deps.now(), batch)
  const decision: Decision = { refundBps: deps.disputeDefaultRefundBps, note: null, by: 'deadline' }
  return oneByOne('dispute_not_decided', due, String, (id) => decide(deps, id, decision))
}

/** False when the dispute is not open (any more). */
async function decide(deps: Deps, id: string, decision: Decision): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const dispute = await findDispute(tx, id)
    if (dispute?.status !== 'open') return false
    const earning = await lockEarning(tx, dispute.rentalId)
    if (!earning) throw new Error(`dispute ${id} is about what was never earned`)
    const nowMs = deps.now()
    const refundedAtoms = (dispute.heldAtoms * BigInt(decision.refundBps)) / bpsPerWhole
    const returnedAtoms = dispute.heldAtoms - refundedAtoms
    if (!(await setDisputeDecided(tx, id, { ...decision, refundedAtoms, returnedAtoms, nowMs }))) return false
    if (dispute.heldAtoms > 0n) await divide(tx, dispute, earning, { refundedAtoms, returnedAtoms }, nowMs)
    return true
  })
}

async function divide(
  tx: Tx,
  dispute: DisputeRecord,
  { nodeId, payoutAddress, currency }: LockedEarning,
  { refundedAtoms, returnedAtoms }: { refundedAtoms: bigint; returnedAtoms: bigint },
  nowMs: number,
): Promise<void> {
  const { id, rentalId } = dispute
  await postDisputeClosed(tx, { disputeId: id, rentalId, currency, refundedAtoms, returnedAtoms, nowMs })
  if (refundedAtoms > 0n) {
    const newest = (await findSettledPayments(tx, [rentalId])).at(-1)
    if (!newest) throw new Error(`dispute ${id} is about a rental that nobody paid`)
    const movement = { kind: 'refund' as const, externalId: id, destination: newest.payer, amountAtoms: refundedAtoms }
    await addOwedTransfer(tx, { rentalId, currency, movement, nowMs })
  }
  if (returnedAtoms > 0n)
    await addEarnings(tx, [
      { externalId: id, rentalId, nodeId, payoutAddress, currency, amountAtoms: returnedAtoms, payableAtMs: nowMs, nowMs },
    ])
}
