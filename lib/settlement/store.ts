// Settlement in SQL: receipts, written once.
import type { Receipt } from '@flow402/protocol/receipt'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

export async function addReceipt(tx: Tx, receipt: Receipt, nowMs: number): Promise<void> {
  await tx
    .insertInto('receipt')
    .values({ rental_id: receipt.rentalId, body: JSON.stringify(receipt), digest: receipt.digest, created_at: new Date(nowMs) })
    .onConflict((conflict) => conflict.column('rental_id').doNothing())
    .execute()
}

export async function findReceipt(db: Db, rentalId: string): Promise<Receipt | undefined> {
  const row = await db.selectFrom('receipt').select('body').where('rental_id', '=', rentalId).executeTakeFirst()
  return row?.body as Receipt | undefined
}

/** How long the usage chain of a rental is, and its newest hash. */
export async function findUsageSummary(db: Db | Tx, rentalId: string): Promise<{ records: number; head: string | null }> {
  const row = await db
    .selectFrom('usage_record')
    .select([
      (eb) => eb.fn.countAll<bigint>().as('records'),
      sql<string | null>`(array_agg(hash order by epoch desc, seq desc))[1]`.as('head'),
    ])
    .where('rental_id', '=', rentalId)
    .executeTakeFirstOrThrow()
  return { records: Number(row.records), head: row.head }
}
