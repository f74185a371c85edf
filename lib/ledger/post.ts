// Posting: the few movements of money that exist, each as balanced entries. Assets are positive, what we owe is negative.
import type { Tx } from '../db/client.ts'
import { type Account, addHold, addLedgerTransaction, endHold } from './store.ts'

type Posting = { currency: string; nowMs: number }
type Charge = Posting & { paymentId: string; rentalId: string; amountAtoms: bigint }

/** Whose money a charge is: its rental's, or nobody's when it came too late to buy anything. */
function chargeSide({ paymentId, rentalId }: Charge, counted: boolean): { account: Account; subject: string } {
  return counted ? { account: 'held', subject: rentalId } : { account: 'unmatched', subject: paymentId }
}

/** Second phase, the other way: the payment can never land. */
export async function voidCharge(tx: Tx, { paymentId, nowMs }: { paymentId: string; nowMs: number }): Promise<void> {
  await endHold(tx, { kind: 'charge', externalId: paymentId, nowMs }, 'voided')
}

/** A charge that was booked when it was confirmed and that a fork took away again: the opposite of its posting, once per payment. */
export async function postReversal(tx: Tx, charge: Charge & { signature: string | null; counted: boolean }): Promise<boolean> {
  const { paymentId, rentalId, amountAtoms, currency, signature, nowMs } = charge
  const side = chargeSide(charge, charge.counted)
  const transactionId = await addLedgerTransaction(tx, {
    kind: 'reversal',
    externalId: paymentId,
    rentalId,
    currency,
    signature,
    nowMs,
    entries: [
      { account: 'escrow', subject: side.subject, amountAtoms: -amountAtoms },
      { ...side, amountAtoms },
    ],
  })
  return transactionId !== undefined
}

/** A consumer disputes what the provider earned and has not been paid: it is held. Booked once per dispute. */
export async function postDisputeOpened(
  tx: Tx,
  dispute: Posting & { disputeId: string; rentalId: string; amountAtoms: bigint },
): Promise<void> {
  const { disputeId, rentalId, currency, amountAtoms, nowMs } = dispute
  await addLedgerTransaction(tx, {
    kind: 'dispute_open',
    externalId: disputeId,
    rentalId,
    currency,
    signature: null,
    nowMs,
    entries: [
      { account: 'provider', subject: rentalId, amountAtoms },
      { account: 'disputed', subject: rentalId, amountAtoms: -amountAtoms },
    ],
  })
}

/** A dispute is decided: what was held is owed back to the renter or to the provider again. Booked once per dispute. */
export async function postDisputeClosed(
  tx: Tx,
  dispute: Posting & { disputeId: string; rentalId: string; refundedAtoms: bigint; returnedAtoms: bigint },
): Promise<void> {
  const { disputeId, rentalId, currency, refundedAtoms, returnedAtoms, nowMs } = dispute
  await addLedgerTransaction(tx, {
    kind: 'dispute_close',
    externalId: disputeId,
    rentalId,
    currency,
    signature: null,
    nowMs,
    entries: [
      { account: 'disputed', subject: rentalId, amountAtoms: refundedAtoms + returnedAtoms },
      { account: 'refund', subject: rentalId, amountAtoms: -refundedAtoms },
      { account: 'provider', subject: rentalId, amountAtoms: -returnedAtoms },
    ],
  })
}

/** Money that came to the escrow for nothing that was ever asked for: owed back. Booked once per chain transaction. */
export async function postUnmatched(tx: Tx, receipt: Posting & { signature: string; amountAtoms: bigint }): Promise<boolean> {
  const { signature, amountAtoms, currency, nowMs } = receipt
  const transactionId = await addLedgerTransaction(tx, {
    kind: 'unmatched',
    externalId: signature,
    rentalId: null,
    currency,
    signature,
    nowMs,
    entries: [
      { account: 'escrow', subject: signature, amountAtoms },
      { account: 'unmatched', subject: signature, amountAtoms: -amountAtoms },
    ],
  })
  return transactionId !== undefined
}

/** What the escrow held before this market opened: the market's own. Booked once. */
export async function postOpening(tx: Tx, opening: Posting & { amountAtoms: bigint }): Promise<void> {
  if (opening.amountAtoms === 0n) return
  await addLedgerTransaction(tx, {
    kind: 'opening',
    externalId: 'escrow',
    rentalId: null,
    currency: opening.currency,
    signature: null,
    nowMs: opening.nowMs,
    entries: [
      { account: 'escrow', subject: 'market', amountAtoms: opening.amountAtoms },
      { account: 'capital', subject: 'market', amountAtoms: -opening.amountAtoms },
    ],
  })
}

const owedAccount = { payout: 'provider', fee: 'fee', refund: 'refund' } as const

/** Whose money a transfer carries: each subject with its part. A refund for no rental answers a receipt that matched nothing. */
export type TransferPart = { subject: string; amountAtoms: bigint }
type Transfer = Posting & { transferId: string; attempt: number; kind: keyof typeof owedAccount; rentalId: string | null }

const debtOf = ({ kind, rentalId }: Transfer): Account => (kind === 'refund' && rentalId === null ? 'unmatched' : owedAccount[kind])
const holdOf = ({ kind, transferId, attempt, nowMs }: Transfer) => ({ kind, externalId: `${transferId}:${attempt}`, nowMs })

/** First phase of a transfer out: it is signed and may land from now on. One hold per signature. */
export function holdTransfer(tx: Tx, transfer: Transfer & { amountAtoms: bigint }): Promise<void> {
  const { transferId, currency, amountAtoms } = transfer
  return addHold(tx, { ...holdOf(transfer), subject: transferId, debit: debtOf(transfer), credit: 'escrow', currency, amountAtoms })
}

/** Second phase: it landed, the debt is paid. Booked once per transfer. */
export async function postTransfer(tx: Tx, transfer: Transfer & { signature: string; parts: TransferPart[] }): Promise<boolean> {
  const { kind, transferId, rentalId, currency, signature, nowMs, parts } = transfer
  const debt = debtOf(transfer)
  const transactionId = await addLedgerTransaction(tx, {
    kind,
    externalId: transferId,
    rentalId,
    currency,
    signature,
    nowMs,
    entries: parts.flatMap(({ subject, amountAtoms }) => [
      { account: debt, subject, amountAtoms },
      { account: 'escrow' as const, subject, amountAtoms: -amountAtoms },
    ]),
  })
  if (transactionId === undefined) return false
  await endHold(tx, holdOf(transfer), { transactionId })
  return true
}

/** Second phase, the other way: this signature can never land. */
export async function voidTransfer(tx: Tx, transfer: Transfer): Promise<void> {
  await endHold(tx, holdOf(transfer), 'voided')
}
