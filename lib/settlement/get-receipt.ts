// The receipt of a settled rental, and its statement by itself.
import { Problem } from '@flow402/protocol/problem'
import type { Receipt } from '@flow402/protocol/receipt'
import type { Db } from '../db/client.ts'
import { type ReadDeps, readReceipts, statementsOf } from './read-receipts.ts'
import { findReceipt, type StoredReceipt } from './store.ts'

/** The receipt; Problem receipt_not_ready before the rental is settled. Who may see it was checked at the door. */
export async function getReceipt(deps: ReadDeps, rentalId: string, { withStatement }: { withStatement: boolean }): Promise<Receipt> {
  const { value } = await readReceipts(deps, [await storedReceipt(deps, rentalId)], withStatement).next()
  return value as Receipt
}

/** The statement's bytes. Problems: receipt_not_ready; no_statement for a rental from before there were any. */
export async function getStatement(deps: ReadDeps, rentalId: string): Promise<Uint8Array> {
  const { version } = await storedReceipt(deps, rentalId)
  const statement = version === 1 ? undefined : (await statementsOf(deps, [rentalId])).get(rentalId)
  if (!statement) throw new Problem('no_statement')
  return statement
}

async function storedReceipt(deps: { db: Db }, rentalId: string): Promise<StoredReceipt> {
  const receipt = await findReceipt(deps.db, rentalId)
  if (!receipt) throw new Problem('receipt_not_ready')
  return receipt
}
