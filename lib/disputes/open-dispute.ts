// Opening a dispute: what the provider earned and has not been paid yet is held, in the same moment in which a payout could take it.
import { type Dispute, type DisputeRequest, decideWithinMs, disputeWithinMs } from '@flow402/protocol/dispute'
import { newId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { postDisputeOpened } from '../ledger/post.ts'
import { lockRental, type RentalRecord } from '../rentals/store.ts'
import { addDispute, disputeView, findDispute, findDisputeOf, holdEarning, lockEarning } from './store.ts'

type Deps = { db: Db; now: Now }

/**
 * Opens the one dispute of a rental. What has been paid out already cannot be held: `heldAtoms` says how much could.
 * Problems: rental_not_found, rental_cannot (never ran, or earned the provider nothing), books_open, dispute_too_late, dispute_exists,
 * invalid_request (more than the provider earned).
 */
export async function openDispute(deps: Deps, rentalId: string, request: DisputeRequest): Promise<Dispute> {
  const id = newId('dispute', deps.now())
  await inTransaction(deps.db, async (tx) => {
    // The earning first, as a payout does it: two that lock in one order never wait for each other.
    const earning = await lockEarning(tx, rentalId)
    const rental = await lockRental(tx, rentalId)
    if (!rental) throw new Problem('rental_not_found')
    const nowMs = deps.now()
    const known = await findDisputeOf(tx, rentalId)
    if (known) throw new Problem('dispute_exists', { id: rentalId, disputeId: known.id })
    requireDisputable(rental, nowMs)
    if (!earning) throw new Problem('books_open', { id: rentalId })
    const amountAtoms = request.amountAtoms === undefined ? earning.amountAtoms : BigInt(request.amountAtoms)
    if (amountAtoms > earning.amountAtoms) {
      const message = `at most what the provider earned, ${earning.amountAtoms}`
      throw new Problem('invalid_request', { detail: `amountAtoms: ${message}`, errors: [{ field: 'amountAtoms', message }] })
    }
    const heldAtoms = earning.isTaken ? 0n : amountAtoms
    await addDispute(tx, {
      id,
      rentalId,
      reason: request.reason,
      amountAtoms,
      heldAtoms,
      openedAtMs: nowMs,
      decideByMs: nowMs + decideWithinMs,
    })
    if (heldAtoms === 0n) return
    await holdEarning(tx, rentalId, heldAtoms)
    await postDisputeOpened(tx, { disputeId: id, rentalId, currency: earning.currency, amountAtoms: heldAtoms, nowMs })
  })
  const opened = await findDispute(deps.db, id)
  if (!opened) throw new Error(`dispute ${id} is gone`)
  return disputeView(opened)
}

/** Whether a rental may be disputed now. Throws why not. */
function requireDisputable(rental: RentalRecord, nowMs: number): void {
  const cannot = (detail: string) => new Problem('rental_cannot', { id: rental.id, state: rental.status, action: 'dispute', detail })
  if (rental.endedAtMs === null) throw cannot('The rental has not ended')
  if (nowMs > rental.endedAtMs + disputeWithinMs)
    throw new Problem('dispute_too_late', { id: rental.id, until: new Date(rental.endedAtMs + disputeWithinMs).toISOString() })
  if (rental.booksClosedAtMs === null) throw new Problem('books_open', { id: rental.id })
  if (rental.payoutAtoms === 0n) throw cannot('The provider earned nothing with this rental')
}
