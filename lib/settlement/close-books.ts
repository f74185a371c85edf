// Closing the books: an ended rental whose usage is closed is charged, and what everybody gets is written down as owed.
import { billedSeconds, chargeAtoms, type Split, splitPrepaid } from '@flow402/protocol/money'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import type { PaidBy, PaymentRail } from '../payments/payment-rail.ts'
import { findSettledPayments } from '../payments/store.ts'
import { addOwedTransfers, type OwedTransfer } from '../payments/store-transfers.ts'
import { findRental } from '../rentals/store.ts'
import { type ClosableRental, lockClosableRentals, writeClosedBooks } from './store.ts'

/** How many books are closed in one transaction. */
const batch = 2_000
/** When more than one batch is waiting, this many are closed at once, on a connection each. */
const lanes = 2

type Deps = { db: Db; now: Now; rail: Pick<PaymentRail, 'feeAddress'>; payoutHoldMs: number }

/** What a rental's end is worth: the charge for its billed seconds, and payout + fee + refund = prepaid. Pure. */
export function splitFor(
  rental: Pick<ClosableRental, 'meteredSeconds' | 'hasRun' | 'minutes' | 'prepaidAtoms' | 'units' | 'priceAtomsPerHour' | 'feeBps'>,
): Split {
  const seconds = billedSeconds(rental.meteredSeconds, rental.hasRun, rental.minutes * 60)
  return splitPrepaid(rental.prepaidAtoms, chargeAtoms(rental.units, rental.priceAtomsPerHour, seconds), rental.feeBps)
}

/** Closes the books of at most `limit` rentals that are ready for it, in batches; returns how many. */
export async function closeBooks(deps: Deps, limit = 5 * batch): Promise<number> {
  try {
    const first = Math.min(batch, limit)
    const closed = await closeSome(deps, first)
    return closed < batch ? closed : closed + (await closeInLanes(deps, limit - closed))
  } catch (error) {
    // One that cannot be closed must not keep the others waiting.
    console.error(JSON.stringify({ level: 'error', event: 'books_not_closed', message: (error as Error).message }))
    return closeEach(deps)
  }
}

/** Each lane takes batch after batch, of rows that no other lane has in hand, until there is not a whole one left. */
async function closeInLanes(deps: Deps, limit: number): Promise<number> {
  let left = limit
  const lane = async () => {
    let closed = 0
    for (let wanted = 0, got = 0; left > 0 && got === wanted; closed += got) {
      wanted = Math.min(batch, left)
      left -= wanted
      got = await closeSome(deps, wanted)
    }
    return closed
  }
  const ended = await Promise.allSettled(Array.from({ length: lanes }, lane))
  const failed = ended.find((each) => each.status === 'rejected')
  if (failed) throw failed.reason
  return ended.reduce((sum, each) => sum + (each.status === 'fulfilled' ? each.value : 0), 0)
}

/** Closes the books of one rental now. waiting: its last usage or the chain's last word is still awaited. */
export async function closeBooksOf(deps: Deps, rentalId: string): Promise<'closed' | 'waiting' | 'not_ended'> {
  await closeSome(deps, 1, rentalId)
  const rental = await findRental(deps.db, rentalId)
  if (rental?.booksClosedAtMs != null) return 'closed'
  return rental?.status === 'ending' ? 'waiting' : 'not_ended'
}

async function closeEach(deps: Deps): Promise<number> {
  const ids = await inTransaction(deps.db, async (tx) => (await lockClosableRentals(tx, batch)).map(({ id }) => id))
  let closed = 0
  for (const id of ids) {
    try {
      closed += await closeSome(deps, 1, id)
    } catch (error) {
      console.error(JSON.stringify({ level: 'error', event: 'books_not_closed', rental: id, message: (error as Error).message }))
    }
  }
  return closed
}

async function closeSome(deps: Deps, limit: number, only?: string): Promise<number> {
  return inTransaction(deps.db, async (tx) => {
    const rentals = await lockClosableRentals(tx, limit, only)
    if (rentals.length > 0) await closeLocked(deps, tx, rentals)
    return rentals.length
  })
}

async function closeLocked(deps: Deps, tx: Tx, rentals: ClosableRental[]): Promise<void> {
  const nowMs = deps.now()
  const paidBy = Map.groupBy(
    await findSettledPayments(
      tx,
      rentals.map(({ id }) => id),
    ),
    ({ rentalId }) => rentalId,
  )
  const books = rentals.map((rental) => ({ rental, split: splitFor(rental) }))
  await writeClosedBooks(
    tx,
    books.map(({ rental, split }) => ({ rentalId: rental.id, ...split })),
    { nowMs, payableAtMs: nowMs + deps.payoutHoldMs },
  )
  await addOwedTransfers(
    tx,
    books.flatMap(({ rental, split }) => owedFor(rental, split, paidBy.get(rental.id) ?? [], deps.rail.feeAddress(), nowMs)),
  )
}

/** The fee to the market and the refunds to the wallets that paid, newest payment first. Nothing of nothing is moved. */
function owedFor(rental: ClosableRental, split: Split, paidBy: PaidBy[], feeAddress: string, nowMs: number): OwedTransfer[] {
  const owed = { rentalId: rental.id, currency: rental.currency, nowMs }
  const transfers: OwedTransfer[] = [
    { ...owed, movement: { kind: 'fee', externalId: rental.id, destination: feeAddress, amountAtoms: split.feeAtoms } },
  ]
  let rest = split.refundAtoms
  for (const paid of paidBy.toSorted((a, b) => b.settledAtMs - a.settledAtMs)) {
    const amountAtoms = rest < paid.amountAtoms ? rest : paid.amountAtoms
    transfers.push({ ...owed, movement: { kind: 'refund', externalId: paid.paymentId, destination: paid.payer, amountAtoms } })
    rest -= amountAtoms
  }
  if (rest !== 0n) throw new Error(`rental ${rental.id} would refund more than was paid`)
  return transfers.filter(({ movement }) => movement.amountAtoms > 0n)
}
