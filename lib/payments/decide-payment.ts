// Deciding a payment: settle it, believe only the chain, and write the one outcome. Used by the request and, after a crash, by the clock.
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { voidCharge } from '../ledger/post.ts'
import { releaseUnits } from '../offers/store.ts'
import { moveRental } from '../rentals/move-rental.ts'
import { dropUnits, lockRental } from '../rentals/store.ts'
import type { Charge, PaymentRail } from './payment-rail.ts'
import { findPayment, type PaymentRecord, putBackPayment, setPaymentStatus, setPaymentSubmitted } from './store.ts'
import { completePayment } from './store-complete.ts'

export type DecideDeps = {
  db: Db
  now: Now
  rail: Pick<PaymentRail, 'settle' | 'findCharge'>
  crash: CrashPoint
}
type Deps = DecideDeps

/** How soon an undecided payment is looked at again, in ms. */
const retryMs = 1_500
/** How much older than the claim the chain's history is searched: clocks differ. */
const historyMarginMs = 60_000
const withoutHeightMs = 600_000

/** What a payment must have paid. */
export function chargeOfPayment(payment: PaymentRecord): Charge {
  const { id: paymentId, amountAtoms, payTo, asset, network } = payment
  return { paymentId, amountAtoms, payTo, asset, network }
}

/**
 * Brings a claimed payment as far as it can be known, and returns it as it then is.
 * The chain is asked first when it may have been broadcast before; "absent" counts only past the last valid height.
 */
export async function decidePayment(
  deps: Deps,
  payment: PaymentRecord,
  workToken: string,
  options: { isRetry?: boolean } = {},
): Promise<PaymentRecord> {
  const charge = chargeOfPayment(payment)
  const putBack = (lastError: string) => putBackPayment(deps.db, payment.id, workToken, { atMs: deps.now() + retryMs, lastError })
  try {
    if (options.isRetry && (await settleFromChain(deps, payment, charge)) === 'decided') return await reread(deps, payment)
    let broadcast: string | null = payment.signature
    const outcome = await deps.rail.settle(charge, payment.payload, async (signature) => {
      deps.crash('signed')
      broadcast = signature ?? broadcast
      if (!(await setPaymentSubmitted(deps.db, payment.id, workToken, signature))) throw new Error('the claim is in other hands')
      deps.crash('broadcast')
    })
    if (outcome.kind === 'unsent') {
      await putBack(outcome.reason)
      return await reread(deps, payment)
    }
    if (outcome.kind === 'refused') {
      await reject(deps, payment, 'rejected', outcome.reason, ['claimed'])
      await putBack(outcome.reason)
      return await reread(deps, payment)
    }
    deps.crash('landed')
    const fact = await deps.rail.findCharge(
      charge,
      outcome.kind === 'landed' ? outcome.signature : broadcast,
      payment.createdAtMs - historyMarginMs,
    )
    if (fact.kind === 'landed') return await complete(deps, payment, fact)
    if (fact.kind === 'failed') await reject(deps, payment, 'rejected', 'the transaction failed on chain', ['claimed', 'submitted'])
    else await putBack(outcome.kind === 'unknown' ? outcome.reason : 'not on chain yet')
  } catch (error) {
    await putBack((error as Error).message)
  }
  return reread(deps, payment)
}

/**
 * Looks for what an earlier try left behind. may_settle: undecided, and the same signed transaction may be sent (again),
 * because however often it is sent it can land only once.
 */
async function settleFromChain(deps: Deps, payment: PaymentRecord, charge: Charge): Promise<'may_settle' | 'decided'> {
  const fact = await deps.rail.findCharge(charge, payment.signature, payment.createdAtMs - historyMarginMs)
  if (fact.kind === 'landed') {
    await complete(deps, payment, fact)
    return 'decided'
  }
  if (fact.kind === 'failed') {
    await reject(deps, payment, 'rejected', 'the transaction failed on chain', ['claimed', 'submitted'])
    return 'decided'
  }
  // Claims from before heights were kept with them: no blockhash lives that long.
  const isOld = payment.lastValidBlockHeight === null && deps.now() - payment.createdAtMs > withoutHeightMs
  if (isOld || (payment.lastValidBlockHeight !== null && fact.finalizedHeight > payment.lastValidBlockHeight)) {
    await reject(deps, payment, 'expired', 'the transaction never landed and can no longer land', ['claimed', 'submitted'])
    return 'decided'
  }
  return 'may_settle'
}

/** Books a payment that the chain confirmed, once, and gives the rental what was bought. Answers the payment as it then is. */
async function complete(deps: Deps, payment: PaymentRecord, landed: { signature: string; payer: string }): Promise<PaymentRecord> {
  const completed = await completePayment(deps.db, payment, landed, deps.now())
  // What opens a rental always counts; whether more minutes came in time is known afterwards.
  if (completed === 'settled' && payment.kind === 'rent')
    return { ...payment, status: 'settled', signature: landed.signature, payer: landed.payer }
  if (completed === 'given_back') {
    const reason = 'its transaction landed unclaimed and goes back to the payer'
    await reject(deps, payment, 'rejected', reason, ['claimed', 'submitted'])
  }
  return reread(deps, payment)
}

/** Ends a payment that moved nothing; a rental that it was to open expires and its units are free again. */
async function reject(
  deps: Deps,
  payment: PaymentRecord,
  to: 'rejected' | 'expired',
  reason: string,
  from: readonly ('claimed' | 'submitted')[],
): Promise<void> {
  await inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, payment.rentalId)
    if (!(await setPaymentStatus(tx, payment.id, from, to, { last_error: reason, work_token: null, work_until: null }))) return
    await voidCharge(tx, { paymentId: payment.id, nowMs: deps.now() })
    if (payment.kind !== 'rent' || !rental || rental.status !== 'requested') return
    await moveRental(tx, rental, 'expire')
    const units = await dropUnits(tx, rental.id)
    if (units) await releaseUnits(tx, units.offerId, units.units)
  })
}

async function reread(deps: Deps, payment: PaymentRecord): Promise<PaymentRecord> {
  return (await findPayment(deps.db, payment.id)) ?? payment
}
