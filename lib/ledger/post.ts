// Posting: the few movements of money that exist, each as balanced entries. Assets are positive, what we owe is negative.
import type { Split } from '@flow402/protocol/money'
import type { Tx } from '../db/client.ts'
import { addLedgerTransaction } from './store.ts'

type Posting = { rentalId: string; currency: string; nowMs: number }

/** A renter's payment landed in the escrow: escrow up, held for the rental up. Booked once per payment. */
export function postCharge(tx: Tx, charge: Posting & { paymentId: string; amountAtoms: bigint; signature: string }): Promise<boolean> {
  return addLedgerTransaction(tx, {
    ...charge,
    kind: 'charge',
    externalId: charge.paymentId,
    entries: [
      { account: 'escrow', amountAtoms: charge.amountAtoms },
      { account: 'held', amountAtoms: -charge.amountAtoms },
    ],
  })
}

/** A rental's books close: what was held becomes owed to provider, fee and renter. Booked once per rental. */
export function postSettlement(tx: Tx, settlement: Posting & { split: Split }): Promise<boolean> {
  const { payoutAtoms, feeAtoms, refundAtoms } = settlement.split
  return addLedgerTransaction(tx, {
    ...settlement,
    kind: 'settle',
    externalId: settlement.rentalId,
    signature: null,
    entries: [
      { account: 'held', amountAtoms: payoutAtoms + feeAtoms + refundAtoms },
      { account: 'provider', amountAtoms: -payoutAtoms },
      { account: 'fee', amountAtoms: -feeAtoms },
      { account: 'refund', amountAtoms: -refundAtoms },
    ],
  })
}

/** A payment that came too late to buy anything: what was held for it is owed back. Booked once per payment. */
export function postUnmatched(tx: Tx, unmatched: Posting & { paymentId: string; amountAtoms: bigint }): Promise<boolean> {
  return addLedgerTransaction(tx, {
    ...unmatched,
    kind: 'unmatched',
    externalId: unmatched.paymentId,
    signature: null,
    entries: [
      { account: 'held', amountAtoms: unmatched.amountAtoms },
      { account: 'refund', amountAtoms: -unmatched.amountAtoms },
    ],
  })
}

const owedAccount = { payout: 'provider', fee: 'fee', refund: 'refund' } as const

/** A transfer out of the escrow landed: the debt is paid. Booked once per transfer. */
export function postTransfer(
  tx: Tx,
  transfer: Posting & { transferId: string; kind: keyof typeof owedAccount; amountAtoms: bigint; signature: string },
): Promise<boolean> {
  return addLedgerTransaction(tx, {
    ...transfer,
    externalId: transfer.transferId,
    entries: [
      { account: owedAccount[transfer.kind], amountAtoms: transfer.amountAtoms },
      { account: 'escrow', amountAtoms: -transfer.amountAtoms },
    ],
  })
}
