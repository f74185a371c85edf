// The receipt of a settled rental.
import { Problem } from '@flow402/protocol/problem'
import type { Receipt } from '@flow402/protocol/receipt'
import type { Db } from '../db/client.ts'
import { findReceipt } from './store.ts'

/** The receipt; Problem receipt_not_ready before the rental is settled. Who may see it was checked at the door. */
export async function getReceipt(deps: { db: Db }, rentalId: string): Promise<Receipt> {
  const receipt = await findReceipt(deps.db, rentalId)
  if (!receipt) throw new Problem('receipt_not_ready')
  return receipt
}
