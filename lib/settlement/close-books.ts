// Closing the books: an ended rental whose usage is closed is charged, and what everybody gets is written down as owed.
import { randomUUID } from 'node:crypto'
import { billedSeconds, chargeAtoms, type Split, splitPrepaid } from '@flow402/protocol/money'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { postSettlement } from '../ledger/post.ts'
import { oneByOne } from '../one-by-one.ts'
import type { PaymentRail } from '../payments/payment-rail.ts'
import { findSettledPayments } from '../payments/store.ts'
import { addOwedTransfer } from '../payments/store-transfers.ts'
import { changeRental, lockRental, type RentalRecord, takeRentals } from '../rentals/store.ts'

const leaseMs = 5_000
const batch = 100

/** What a rental's end is worth: the charge for its billed seconds, and payout + fee + refund = prepaid. Pure. */
export function splitFor(rental: RentalRecord): Split {
  const seconds = billedSeconds(rental.meteredSeconds, rental.startedAtMs !== null, rental.minutes * 60)
  return splitPrepaid(rental.prepaidAtoms, chargeAtoms(rental.units, rental.priceAtomsPerHour, seconds), rental.feeBps)
}

/** Closes the books of rentals that are ready for it; returns how many. */
export async function closeBooks(deps: { db: Db; now: Now; rail: Pick<PaymentRail, 'closeOut'> }): Promise<number> {
  const ids = await takeRentals(deps.db, 'ending', { token: randomUUID(), nowMs: deps.now(), leaseMs, limit: batch }, 'usage_closed')
  return oneByOne(
    'books_not_closed',
    ids,
    (id) => id,
    (id) => closeOne(deps, id),
  )
}

async function closeOne(deps: { db: Db; now: Now; rail: Pick<PaymentRail, 'closeOut'> }, id: string): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, id)
    if (rental?.status !== 'ending' || rental.usageClosedAtMs === null || rental.booksClosedAtMs !== null) return false
    const nowMs = deps.now()
    const split = splitFor(rental)
    await postSettlement(tx, { rentalId: id, currency: rental.currency, split, nowMs })
    for (const movement of deps.rail.closeOut(rental, split, await findSettledPayments(tx, id)))
      await addOwedTransfer(tx, { rentalId: id, currency: rental.currency, movement, nowMs })
    await changeRental(tx, id, ['ending'], {
      charged_atoms: split.chargedAtoms,
      fee_atoms: split.feeAtoms,
      payout_atoms: split.payoutAtoms,
      refund_atoms: split.refundAtoms,
      books_closed_at: new Date(nowMs),
      work_token: null,
      work_until: null,
    })
    return true
  })
}
