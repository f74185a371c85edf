// Events in SQL: the outbox that the database itself fills, read in an order in which nothing is committed behind the reader.
import { sql } from 'kysely'
import type { Db } from './client.ts'

/** Where a reader stands: the transaction of an event and its number, as decimal strings. */
export type EventPosition = { xact: string; id: string }
/** One committed change of state; `fromStatus` is null for what was made anew. */
export type MarketEvent = {
  position: EventPosition
  noun: string
  nounId: string
  fromStatus: string | null
  toStatus: string
  atMs: number
}

/** The position after everything that is readable now. */
export async function findNewestEvent(db: Db): Promise<EventPosition> {
  const { rows } = await sql<{ xact: string }>`select pg_snapshot_xmin(pg_current_snapshot())::text as xact`.execute(db)
  return { xact: rows[0]?.xact ?? '0', id: '0' }
}

/** Events after a position, of transactions that began before every one that is still open; at most `limit`, in order. */
export async function findEvents(db: Db, after: EventPosition, limit: number): Promise<MarketEvent[]> {
  const { rows } = await sql<{
    id: bigint
    xact: string
    noun: string
    noun_id: string
    from_status: string | null
    to_status: string
    at: Date
  }>`
    select id, xact::text as xact, noun, noun_id, from_status, to_status, at from event
    where (xact, id) > (${after.xact}::xid8, ${after.id}::bigint) and xact < pg_snapshot_xmin(pg_current_snapshot())
    order by event.xact, event.id
    limit ${limit}`.execute(db)
  return rows.map((row) => ({
    position: { xact: row.xact, id: row.id.toString() },
    noun: row.noun,
    nounId: row.noun_id,
    fromStatus: row.from_status,
    toStatus: row.to_status,
    atMs: row.at.getTime(),
  }))
}
