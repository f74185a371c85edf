// What became of a payment: the answer that x402 itself does not have.
import type { Payment } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import type { Db } from '../db/client.ts'
import { findPayment } from './store.ts'

/** A payment that was claimed once; Problem payment_not_found for a quote that nobody paid. */
export async function getPayment(deps: { db: Db }, id: string): Promise<Payment> {
  const payment = await findPayment(deps.db, id)
  if (!payment) throw new Problem('payment_not_found')
  const { rentalId, status, amountAtoms, signature } = payment
  return {
    id,
    rentalId,
    state: status,
    amountAtoms: amountAtoms.toString(),
    ...(signature && status === 'settled' ? { transaction: signature } : {}),
  }
}
