// How long a full audit of a million ledger entries takes.
import { plantBooks } from '../__tests__/support/planted-books.ts'
import { runStatements } from '../__tests__/support/statements.ts'
import { runAudit } from '../lib/audit/run-audit.ts'
import { openDatabase } from '../lib/db/client.ts'
import type { BenchPostgres } from './bench-database.ts'
import { median } from './measure.ts'

const entriesPerRental = 12

export type AuditFigures = { entries: number; seconds: number[] }

/** Plants books of at least `entries` entries and audits them `rounds` times; throws when they are not clean. */
export async function measureAudit(postgres: BenchPostgres, options: { rounds: number; entries: number }): Promise<AuditFigures> {
  const url = await postgres.makeDatabase('bench_audit', true)
  await plantBooks(url, Math.ceil(options.entries / entriesPerRental))
  // What the database does by itself to tables that grew over weeks: now, and not in the middle of an audit.
  await runStatements(url, 'vacuum analyze', 'checkpoint')
  const db = openDatabase(url, { max: 4, silentMs: 660_000 })
  const figures: AuditFigures = { entries: 0, seconds: [] }
  try {
    await runAudit({ db, now: Date.now })
    for (let round = 0; round < options.rounds; round++) {
      const report = await runAudit({ db, now: Date.now })
      const wrong = report.lines.filter(({ holds }) => !holds)
      if (wrong.length > 0) throw new Error(`the books are wrong: ${wrong.map(({ code, figure }) => `${code} ${figure}`).join('; ')}`)
      figures.entries = report.entries
      figures.seconds.push(report.tookMs / 1000)
    }
  } finally {
    await db.destroy()
  }
  return figures
}

/** The figures as a line of a table. */
export function auditLine({ entries, seconds }: AuditFigures) {
  return {
    what: `full audit of ${entries.toLocaleString('en-US')} entries, clean`,
    seconds: median(seconds),
    best: Math.min(...seconds),
    worst: Math.max(...seconds),
    aim: '< 2 s',
  }
}
