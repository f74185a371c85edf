// Usage in SQL: the node's signed records, insert-only, one row per (rental, epoch, seq).
import type { SignedUsage } from '@flow402/protocol/usage'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

/** The newest record of a rental: where the chain and the seconds stand. */
export type UsageHead = { seq: number; toSecond: number; hash: string; final: boolean }

export async function findUsageHead(db: Db | Tx, rentalId: string, epoch: number): Promise<UsageHead | undefined> {
  const row = await db
    .selectFrom('usage_record')
    .select(['seq', 'to_second', 'hash', 'final'])
    .where('rental_id', '=', rentalId)
    .where('epoch', '=', epoch)
    .orderBy('seq', 'desc')
    .executeTakeFirst()
  return row && { seq: row.seq, toSecond: row.to_second, hash: row.hash, final: row.final }
}

/**
 * Adds records of one rental, in one statement with what follows from them: the seconds so far, and whether its usage is closed now. The
 * caller has the rental locked; one that is neither running nor ending keeps its own figures.
 */
export async function addUsage(
  tx: Tx,
  usages: readonly SignedUsage[],
  rental: { meteredSeconds: number; closesUsage: boolean; nowMs: number },
): Promise<void> {
  const [first] = usages
  if (!first) return
  const now = sql`${new Date(rental.nowMs)}::timestamptz`
  const { rentalId, epoch } = first.record
  await sql`
    with added as (
      insert into usage_record
        (rental_id, epoch, seq, from_second, to_second, at_ms, final, prev_hash, hash, signature, received_at)
      select ${rentalId}, ${epoch}::integer, each.*, ${now}
      from unnest(
        ${usages.map(({ record }) => record.seq)}::integer[], ${usages.map(({ record }) => record.fromSecond)}::integer[],
        ${usages.map(({ record }) => record.toSecond)}::integer[], ${usages.map(({ record }) => record.at)}::bigint[],
        ${usages.map(({ record }) => record.final)}::boolean[], ${usages.map(({ record }) => record.prevHash)}::text[],
        ${usages.map(({ hash }) => hash)}::text[], ${usages.map(({ signature }) => signature)}::text[]
      ) as each
    )
    update rental set metered_seconds = ${rental.meteredSeconds}::integer,
      usage_closed_at = case when ${rental.closesUsage}::boolean then ${now} else usage_closed_at end
    where id = ${rentalId} and status in ('running', 'ending')`.execute(tx)
}
