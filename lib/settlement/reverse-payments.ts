// Reversing: a payment that was confirmed and that a fork took away before it was final is sent again, and undone once it can never land.
import { randomUUID } from 'node:crypto'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { postReversal } from '../ledger/post.ts'
import { oneByOne } from '../one-by-one.ts'
import { chargeOfPayment } from '../payments/decide-payment.ts'
import type { PaymentRail } from '../payments/payment-rail.ts'
import { type PaymentRecord, putBackPayment, setPaymentStatus, takeUnfinalPayments } from '../payments/store.ts'
import { forgetMovement } from '../payments/store-escrow.ts'
import { endRental } from '../provisioning/end-rental.ts'
import { changeRental, lockRental, type RentalRecord } from '../rentals/store.ts'

const batch = 20
const leaseMs = 15_000
/** A transaction is final within some 15 s; what is not by then is looked at. */
const finalWithinMs = 30_000
const lookAgainMs = 5_000
/** No signed transaction can land that long after its claim, whatever the height is. */
const deadAfterMs = 600_000
const historyMarginMs = 60_000

type Deps = { db: Db; now: Now; rail: Pick<PaymentRail, 'findCharge' | 'settle'> }

/** Looks at settled payments that should be final by now; returns how many were undone. */
export async function reversePayments(deps: Deps): Promise<number> {
  const token = randomUUID()
  const settledBeforeMs = deps.now() - finalWithinMs
  const payments = await takeUnfinalPayments(deps.db, { token, nowMs: deps.now(), leaseMs, limit: batch, settledBeforeMs })
  return oneByOne(
    'payment_not_looked_at',
    payments,
    ({ rentalId }) => rentalId,
    (payment) => lookAt(deps, payment, token),
  )
}

async function lookAt(deps: Deps, payment: PaymentRecord, token: string): Promise<boolean> {
  const charge = chargeOfPayment(payment)
  const fact = await deps.rail.findCharge(charge, payment.signature, payment.createdAtMs - historyMarginMs)
  // Money of another transaction under this payment's name is not what settled it; the scan gives that back by itself.
  const isAnothers = fact.kind === 'landed' && fact.signature !== payment.signature
  const canStillLand = isAnothers
    ? deps.now() - payment.createdAtMs <= deadAfterMs
    : fact.kind === 'absent' && payment.lastValidBlockHeight !== null && fact.finalizedHeight <= payment.lastValidBlockHeight
  if ((fact.kind === 'landed' && !isAnothers) || canStillLand) {
    // The same signed transaction: however often it is sent it lands once.
    if (canStillLand) await deps.rail.settle(charge, payment.payload, async () => undefined)
    await putBackPayment(deps.db, payment.id, token, { atMs: deps.now() + lookAgainMs, lastError: `not final yet: ${fact.kind}` })
    return false
  }
  console.error(JSON.stringify({ level: 'error', event: 'payment_reversed', payment: payment.id, rental: payment.rentalId }))
  return inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, payment.rentalId)
    if (payment.signature !== null) await forgetMovement(tx, payment.signature)
    const nowMs = deps.now()
    const isMine = await setPaymentStatus(tx, payment.id, ['settled'], 'expired', {
      last_error: 'a fork took the transaction away and it can no longer land',
      work_token: null,
      work_until: null,
    })
    if (!isMine) return false
    await postReversal(tx, { ...payment, paymentId: payment.id, nowMs })
    if (rental && payment.counted) await takeBack(rental, payment, nowMs, tx)
    return true
  })
}

/** What the payment bought is gone: the rental ends, or loses the minutes of its extension. */
async function takeBack(rental: RentalRecord, payment: PaymentRecord, nowMs: number, tx: Parameters<typeof lockRental>[0]): Promise<void> {
  const prepaidAtoms = rental.prepaidAtoms - payment.amountAtoms
  if (payment.kind === 'rent') {
    await changeRental(tx, rental.id, [rental.status], { prepaid_atoms: prepaidAtoms })
    const detail = 'the payment was taken back by a fork of the chain; pay again to rent again'
    await endRental(tx, rental, { reason: 'payment_reversed', detail, endedAtMs: nowMs, nowMs })
    return
  }
  await changeRental(tx, rental.id, [rental.status], {
    prepaid_atoms: prepaidAtoms,
    minutes: rental.minutes - payment.minutes,
    paid_until: rental.paidUntilMs === null ? null : new Date(rental.paidUntilMs - payment.minutes * 60_000),
    revision: rental.revision + 1,
  })
}
