// Deciding a payment: settle it, believe only the chain, and write the one outcome. Used by the request and, after a crash, by the clock.
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { postCharge, postUnmatched } from '../ledger/post.ts'
import { releaseUnits } from '../offers/store.ts'
import { moveRental } from '../rentals/move-rental.ts'
import { changeRental, dropUnits, lockRental } from '../rentals/store.ts'
import type { Charge, PaymentRail } from './payment-rail.ts'
import { findPayment, type PaymentRecord, putBackPayment, setPaymentStatus, setPaymentSubmitted } from './store.ts'
import { addOwedTransfer } from './store-transfers.ts'

type Deps = { db: Db; now: Now; rail: PaymentRail; crash: CrashPoint }

/** How soon an undecided payment is looked at again, in ms. */
const retryMs = 1_500
/** How much older than the claim the chain's history is searched: clocks differ. */
const historyMarginMs = 60_000

/**
 * Brings a claimed payment as far as it can be known, and returns it as it then is.
 * The chain is asked first when it may have been broadcast before; "absent" counts only past the last valid height.
 * `height`: the last valid height, when it was asked for already.
 */
export async function decidePayment(
  deps: Deps,
  payment: PaymentRecord,
  workToken: string,
  options: { isRetry?: boolean; height?: Promise<bigint> } = {},
): Promise<PaymentRecord> {
  const charge: Charge = {
    paymentId: payment.id,
    amountAtoms: payment.amountAtoms,
    payTo: payment.payTo,
    asset: payment.asset,
    network: payment.network,
  }
  const putBack = (lastError: string, lastValidBlockHeight?: bigint) =>
    putBackPayment(deps.db, payment.id, workToken, { atMs: deps.now() + retryMs, lastError, lastValidBlockHeight })
  // Asked for early: by the time of the broadcast the answer is there. A failure shows when it is awaited.
  const height = options.height ?? deps.rail.lastValidHeight()
  height.catch(() => undefined)
  try {
    if (options.isRetry && (await settleFromChain(deps, payment, charge)) === 'decided') return await reread(deps, payment)
    let broadcast: string | null = payment.signature
    const outcome = await deps.rail.settle(charge, payment.payload, async (signature) => {
      deps.crash('signed')
      broadcast = signature ?? broadcast
      const lastValidBlockHeight = await height
      if (!(await setPaymentSubmitted(deps.db, payment.id, workToken, { signature, lastValidBlockHeight })))
        throw new Error('the claim is in other hands')
      deps.crash('broadcast')
    })
    if (outcome.kind === 'unsent') {
      // The height bounds the wait: past it the signed transaction is worthless and the claim ends.
      await putBack(outcome.reason, await height.catch(() => undefined))
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
    if (fact.kind === 'landed' && (await complete(deps, payment, fact)))
      return { ...payment, status: 'settled', signature: fact.signature, payer: fact.payer }
    if (fact.kind === 'landed') return await reread(deps, payment)
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
  if (payment.lastValidBlockHeight !== null && fact.finalizedHeight > payment.lastValidBlockHeight) {
    await reject(deps, payment, 'expired', 'the transaction never landed and can no longer land', ['claimed', 'submitted'])
    return 'decided'
  }
  return 'may_settle'
}

/** Books a payment that the chain confirmed, once, and gives the rental what was bought; false when it was decided before. */
async function complete(deps: Deps, payment: PaymentRecord, landed: { signature: string; payer: string }): Promise<boolean> {
  const nowMs = deps.now()
  return inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, payment.rentalId)
    if (!rental) throw new Error(`payment ${payment.id} has no rental`)
    const isMine = await setPaymentStatus(tx, payment.id, ['claimed', 'submitted'], 'settled', {
      signature: landed.signature,
      payer: landed.payer,
      settled_at: new Date(nowMs),
      work_token: null,
      last_error: null,
    })
    if (!isMine) return false
    await postCharge(tx, { ...payment, paymentId: payment.id, signature: landed.signature, nowMs })
    if (payment.kind === 'rent') {
      await moveRental(tx, rental, 'pay', { prepaid_atoms: payment.amountAtoms, paid_at: new Date(nowMs), payer: landed.payer })
      return true
    }
    if (rental.status === 'running' && rental.paidUntilMs !== null && rental.paidUntilMs > nowMs) {
      await changeRental(tx, rental.id, ['running'], {
        minutes: rental.minutes + payment.minutes,
        prepaid_atoms: rental.prepaidAtoms + payment.amountAtoms,
        paid_until: new Date(rental.paidUntilMs + payment.minutes * 60_000),
        revision: rental.revision + 1,
      })
      return true
    }
    await giveBack(tx, payment, landed.payer, nowMs)
    return true
  })
}

/** The extension came too late to extend anything: the whole of it is owed back to its payer. */
async function giveBack(tx: Tx, payment: PaymentRecord, payer: string, nowMs: number): Promise<void> {
  await setPaymentStatus(tx, payment.id, ['settled'], 'settled', { counted: false })
  await postUnmatched(tx, { ...payment, paymentId: payment.id, nowMs })
  await addOwedTransfer(tx, {
    rentalId: payment.rentalId,
    currency: payment.currency,
    movement: { kind: 'refund', externalId: payment.id, destination: payer, amountAtoms: payment.amountAtoms },
    nowMs,
  })
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
    if (!(await setPaymentStatus(tx, payment.id, from, to, { last_error: reason, work_token: null }))) return
    if (payment.kind !== 'rent' || !rental || rental.status !== 'requested') return
    await moveRental(tx, rental, 'expire')
    const units = await dropUnits(tx, rental.id)
    if (units) await releaseUnits(tx, units.offerId, units.units)
  })
}

async function reread(deps: Deps, payment: PaymentRecord): Promise<PaymentRecord> {
  return (await findPayment(deps.db, payment.id)) ?? payment
}
