// The ledger in SQL: insert-only double entry; the database itself refuses a transaction that does not sum to zero.
import { newId } from '@flow402/protocol/id'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

export type Account = 'escrow' | 'held' | 'provider' | 'fee' | 'refund'
export type LedgerKind = 'charge' | 'settle' | 'payout' | 'fee' | 'refund' | 'unmatched'
export type Entry = { account: Account; amountAtoms: bigint }

/** Adds one transaction with its entries; false when (kind, externalId) is booked already, which makes every posting safe to repeat. */
export async function addLedgerTransaction(
  tx: Tx,
  transaction: {
    kind: LedgerKind
    externalId: string
    rentalId: string
    currency: string
    signature: string | null
    entries: Entry[]
    nowMs: number
  },
): Promise<boolean> {
  const id = newId('ledgerTransaction', transaction.nowMs)
  const added = await tx
    .insertInto('ledger_transaction')
    .values({
      id,
      kind: transaction.kind,
      external_id: transaction.externalId,
      rental_id: transaction.rentalId,
      signature: transaction.signature,
      created_at: new Date(transaction.nowMs),
    })
    .onConflict((conflict) => conflict.columns(['kind', 'external_id']).doNothing())
    .executeTakeFirst()
  if (added.numInsertedOrUpdatedRows !== 1n) return false
  const entries = transaction.entries.filter((entry) => entry.amountAtoms !== 0n)
  await tx
    .insertInto('ledger_entry')
    .values(
      entries.map((entry) => ({
        transaction_id: id,
        account: entry.account,
        rental_id: transaction.rentalId,
        currency: transaction.currency,
        amount_atoms: entry.amountAtoms,
      })),
    )
    .execute()
  return true
}

/** The sum of every account over the whole ledger, in atoms. */
export async function sumAccounts(db: Db): Promise<Record<Account, bigint>> {
  const rows = await db
    .selectFrom('ledger_entry')
    .select(['account', sql<string>`sum(amount_atoms)`.as('sum')])
    .groupBy('account')
    .execute()
  const sums: Record<Account, bigint> = { escrow: 0n, held: 0n, provider: 0n, fee: 0n, refund: 0n }
  for (const row of rows) sums[row.account as Account] = BigInt(row.sum)
  return sums
}
