// Journal: what this node promised and did, on disk before and after each step; a kill at any moment loses nothing.
import { DatabaseSync } from 'node:sqlite'
import { LeaseEnd, LeasePhase, LeaseSpec, type LeaseStatus } from '@flow402/protocol/lease'
import type { SignedUsage } from '@flow402/protocol/usage'
import { z } from 'zod'

/** One lease: the latest order, how far it has come, and its usage chain. `ready` anchors its clock; seconds of paid time count from there. */
export const LeaseRow = z.strictObject({
  rentalId: z.string(),
  epoch: z.int(),
  revision: z.int(),
  desired: z.enum(['running', 'ended']),
  paidSeconds: z.int(),
  spec: LeaseSpec,
  phase: LeasePhase,
  /** Unix ms, this host's uptime in seconds, its boot, and how far the container's uptime is ahead of the host's. */
  ready: z.strictObject({ atMs: z.number(), uptime: z.number(), bootId: z.string(), uptimeAhead: z.number() }).nullable(),
  end: LeaseEnd.nullable(),
  exitCode: z.int().nullable(),
  detail: z.string().nullable(),
  usage: z.strictObject({ seq: z.int(), toSecond: z.int(), hash: z.string(), final: z.boolean() }),
  updatedAtMs: z.int(),
})
export type LeaseRow = z.infer<typeof LeaseRow>

/** A report that waits for the market's acknowledgement. */
export type OutboxItem = { kind: 'lease'; status: LeaseStatus } | { kind: 'usage'; usage: SignedUsage }

/** An open journal. `save` writes a lease and what is to be reported of it in one transaction. */
export type Journal = {
  lease: (rentalId: string, epoch: number) => LeaseRow | null
  /** The lease of the highest epoch. */
  newest: (rentalId: string) => LeaseRow | null
  all: () => LeaseRow[]
  save: (row: LeaseRow, reports: OutboxItem[]) => void
  outbox: (afterId: number) => { id: number; item: OutboxItem }[]
  acknowledge: (upToId: number) => void
  onReport: (listener: (() => void) | null) => void
  /** Forgets leases that were removed before that time. */
  forget: (beforeMs: number) => void
  close: () => void
}

/** Another agent of the same home is running. */
export class HomeInUse extends Error {}

/** Opens the journal and locks it for this process; the lock ends with the process, however it ends. */
export function openJournal(file: string): Journal {
  const db = new DatabaseSync(file)
  try {
    db.exec('PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;')
    db.exec(`BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS lease (rental_id TEXT, epoch INTEGER, phase TEXT, updated_at_ms INTEGER, row TEXT, PRIMARY KEY (rental_id, epoch));
      CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, item TEXT);
      COMMIT;`)
  } catch (error) {
    db.close()
    if (/locked|busy/i.test(String(error))) throw new HomeInUse('another agent of this home is running')
    throw error
  }
  const select = db.prepare('SELECT row FROM lease WHERE rental_id = ? AND epoch = ?')
  const selectNewest = db.prepare('SELECT row FROM lease WHERE rental_id = ? ORDER BY epoch DESC LIMIT 1')
  const selectAll = db.prepare('SELECT row FROM lease ORDER BY rental_id, epoch')
  const upsert = db.prepare('INSERT OR REPLACE INTO lease (rental_id, epoch, phase, updated_at_ms, row) VALUES (?, ?, ?, ?, ?)')
  const insertReport = db.prepare('INSERT INTO outbox (item) VALUES (?)')
  const selectOutbox = db.prepare('SELECT id, item FROM outbox WHERE id > ? ORDER BY id LIMIT 500')
  const deleteOutbox = db.prepare('DELETE FROM outbox WHERE id <= ?')
  const deleteOld = db.prepare("DELETE FROM lease WHERE phase = 'removed' AND updated_at_ms < ?")
  const parse = (found: unknown) => (found ? LeaseRow.parse(JSON.parse((found as { row: string }).row)) : null)
  let listener: (() => void) | null = null

  return {
    lease: (rentalId, epoch) => parse(select.get(rentalId, epoch)),
    newest: (rentalId) => parse(selectNewest.get(rentalId)),
    all: () => selectAll.all().map((found) => parse(found) as LeaseRow),
    save(row, reports) {
      db.exec('BEGIN IMMEDIATE')
      try {
        upsert.run(row.rentalId, row.epoch, row.phase, row.updatedAtMs, JSON.stringify(row))
        for (const report of reports) insertReport.run(JSON.stringify(report))
        db.exec('COMMIT')
      } catch (error) {
        db.exec('ROLLBACK')
        throw error
      }
      if (reports.length > 0) listener?.()
    },
    outbox: (afterId) =>
      selectOutbox.all(afterId).map((found) => ({ id: Number(found.id), item: JSON.parse(String(found.item)) as OutboxItem })),
    acknowledge: (upToId) => void deleteOutbox.run(upToId),
    onReport(next) {
      listener = next
    },
    forget: (beforeMs) => void deleteOld.run(beforeMs),
    close: () => db.close(),
  }
}
