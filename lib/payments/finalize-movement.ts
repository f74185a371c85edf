// Finalizing: what a finalized block holds is the last word: a payment may be spent from now on, a transfer is done, a stray receipt goes back.
import { PaymentId, TransferId } from '@flow402/protocol/id'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { postTransfer, postUnmatched, type TransferPart } from '../ledger/post.ts'
import { type EscrowMovement, nameIn } from './payment-rail.ts'
import { findPayment, type PaymentRecord, setPaymentFinal } from './store.ts'
import { addMovement, type Fate, findMovements, type KnownMovement, setFate, setMovementFinal } from './store-escrow.ts'
import { addOwedTransfer, findTransfer, setTransferConfirmed, type Transfer } from './store-transfers.ts'

export type FinalizeDeps = { db: Db; now: Now; currency: string; dustAtoms: bigint; partsOf: PartsOf }
/** Whose money a transfer carries. Known to a later step (settlement), and therefore given. */
export type PartsOf = (tx: Tx, transfer: Transfer) => Promise<TransferPart[]>

/**
 * For how long, from when it was seen, money with the memo of a payment that nobody claimed waits for its claim: a quote lives 90 s, its
 * request some 20 s more.
 */
export const waitForClaimMs = 180_000

/** What became of a movement: whether a payment, a transfer or a debt came out of it that somebody should look at. */
export type Finalized = 'payment' | 'undecided' | 'transfer' | 'refund' | 'nothing'

/** A movement was noted by others after it was asked what is known of it. */
class NotedMeanwhile extends Error {}

/**
 * Books one movement that is on a finalized block. Safe to repeat; each movement in a transaction of its own. `known` may be older than
 * the books: what was noted meanwhile, by the payment itself or by another reader, is looked at again as it is now.
 */
export async function finalizeMovement(deps: FinalizeDeps, movement: EscrowMovement, known: KnownMovement | undefined): Promise<Finalized> {
  try {
    return await inTransaction(deps.db, async (tx) => {
      if (movement.hasFailed || movement.deltaAtoms === 0n) {
        await addMovement(tx, movement, 'failed', null, deps.now())
        return 'nothing'
      }
      if (movement.deltaAtoms < 0n) return takeOut(deps, tx, movement, known)
      return takeIn(deps, tx, movement, known)
    })
  } catch (error) {
    if (!(error instanceof NotedMeanwhile)) throw error
    const now = await findMovements(deps.db, [movement.signature])
    return finalizeMovement(deps, movement, now.get(movement.signature))
  }
}

/** Notes a movement that nobody knew; when somebody does by now, nothing of this transaction may stay. */
async function note(tx: Tx, ...noted: [movement: EscrowMovement, fate: Fate, externalId: string | null, nowMs: number]): Promise<void> {
  if (!(await addMovement(tx, ...noted))) throw new NotedMeanwhile()
}

/** Gives back what waited for its payment to claim it and was not claimed in time. */
export function giveUpWaiting(deps: FinalizeDeps, movement: EscrowMovement): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const fate = movement.deltaAtoms < deps.dustAtoms ? 'dust' : 'unmatched'
    if (!(await setFate(tx, movement.signature, 'waiting', fate, null))) return false
    await bookStray(deps, tx, movement)
    return true
  })
}

async function takeIn(deps: FinalizeDeps, tx: Tx, movement: EscrowMovement, known: KnownMovement | undefined): Promise<Finalized> {
  const nowMs = deps.now()
  if (known) {
    if (!(await setMovementFinal(tx, movement))) return 'nothing'
    if (known.fate !== 'payment' || known.externalId === null) return 'undecided'
    return (await finalizePayment(tx, known.externalId, movement.signature, nowMs)) ? 'payment' : 'nothing'
  }
  const payment = PaymentId.safeParse(movement.memo).success ? await findPayment(tx, movement.memo ?? '') : undefined
  if (payment?.status === 'settled' && payment.signature === movement.signature) {
    // Settled before movements were noted.
    await note(tx, movement, 'payment', payment.id, nowMs)
    return (await finalizePayment(tx, payment.id, movement.signature, nowMs)) ? 'payment' : 'nothing'
  }
  const isUndecided = payment?.status === 'claimed' || payment?.status === 'submitted'
  if (isUndecided || (!payment && PaymentId.safeParse(movement.memo).success)) {
    await note(tx, movement, 'waiting', payment?.id ?? null, nowMs)
    return payment ? 'undecided' : 'nothing'
  }
  await note(tx, movement, movement.deltaAtoms < deps.dustAtoms ? 'dust' : 'unmatched', null, nowMs)
  await bookStray(deps, tx, movement)
  return 'refund'
}

/** A payment whose transaction is final; one that bought nothing is owed back from now on. */
export async function finalizePayment(tx: Tx, paymentId: string, signature: string, nowMs: number): Promise<boolean> {
  const payment = await setPaymentFinal(tx, paymentId, signature, nowMs)
  if (payment && !payment.counted) await oweBack(tx, payment, nowMs)
  return payment !== undefined
}

/** The whole of a payment that bought nothing goes back to its payer. */
function oweBack(tx: Tx, payment: PaymentRecord, nowMs: number): Promise<void> {
  return addOwedTransfer(tx, {
    rentalId: null,
    currency: payment.currency,
    movement: { kind: 'refund', externalId: payment.id, destination: payment.payer, amountAtoms: payment.amountAtoms },
    nowMs,
  })
}

/** Money for nothing: booked as owed, and given back unless returning it would cost more than it is. */
async function bookStray(deps: FinalizeDeps, tx: Tx, movement: EscrowMovement): Promise<void> {
  const nowMs = deps.now()
  const { signature, deltaAtoms: amountAtoms, counterparty } = movement
  await postUnmatched(tx, { signature, amountAtoms, currency: deps.currency, nowMs })
  if (amountAtoms < deps.dustAtoms || counterparty === null) return
  await addOwedTransfer(tx, {
    rentalId: null,
    currency: deps.currency,
    movement: { kind: 'refund', externalId: signature, destination: counterparty, amountAtoms },
    nowMs,
  })
}

async function takeOut(deps: FinalizeDeps, tx: Tx, movement: EscrowMovement, known: KnownMovement | undefined): Promise<Finalized> {
  const nowMs = deps.now()
  if (known && known.fate !== 'unexplained') return 'nothing'
  const name = nameIn(movement.memo)
  const transfer = TransferId.safeParse(name).success ? await findTransfer(tx, name) : undefined
  const isOurs = transfer && transfer.status !== 'confirmed' && transfer.movement.amountAtoms === -movement.deltaAtoms
  if (!isOurs) {
    const isRetold = transfer?.status === 'confirmed' && transfer.signature === movement.signature
    if (!known) await note(tx, movement, isRetold ? 'transfer' : 'unexplained', isRetold ? transfer.id : null, nowMs)
    return 'nothing'
  }
  if (known) await setFate(tx, movement.signature, 'unexplained', 'transfer', transfer.id)
  else await note(tx, movement, 'transfer', transfer.id, nowMs)
  return (await confirmTransfer(deps, tx, transfer.id, movement.signature)) ? 'transfer' : 'nothing'
}

/** Books a transfer that is on a finalized block, once. */
export async function confirmTransfer(
  deps: Pick<FinalizeDeps, 'now' | 'partsOf'>,
  tx: Tx,
  transferId: string,
  signature: string,
): Promise<boolean> {
  const nowMs = deps.now()
  const transfer = await setTransferConfirmed(tx, transferId, signature, nowMs)
  if (!transfer) return false
  const { rentalId, currency, attempts: attempt, movement } = transfer
  const parts = await deps.partsOf(tx, transfer)
  await postTransfer(tx, { transferId, rentalId, currency, attempt, kind: movement.kind, signature, parts, nowMs })
  return true
}
