// npm run audit: recomputes every invariant of the market's money and prints it with its figure; exits 1 when one does not hold.
import type { AuditReport } from '@flow402/protocol/audit'
import { runAudit } from '../lib/audit/run-audit.ts'
import { openDatabase } from '../lib/db/client.ts'
import { readRunning } from './state.ts'

/** The report as one screen of aligned lines. */
export function auditText({ lines, holds, entries, tookMs, at }: AuditReport): string {
  const width = Math.max(...lines.map(({ title }) => title.length))
  const rows = lines.flatMap(({ code, title, holds: isRight, figure, wrong }) => [
    `${isRight ? 'ok  ' : 'FAIL'}  ${code}  ${title.padEnd(width)}  ${figure}`,
    ...wrong.map((text) => `          ${''.padEnd(width)}  ! ${text}`),
  ])
  const failed = lines.filter((line) => !line.holds).map(({ code }) => code)
  const end = holds ? 'Every invariant holds.' : `Not right: ${failed.join(', ')}.`
  return [...rows, `${end} ${entries.toLocaleString('en-US')} entries in ${(tookMs / 1000).toFixed(2)} s, as of ${at}.`].join('\n')
}

if (import.meta.main) {
  const databaseUrl = process.env.DATABASE_URL ?? readRunning()?.databaseUrl
  if (!databaseUrl) {
    console.error('No market runs from this clone: start it with npm run up, or name its database with DATABASE_URL.')
    process.exit(2)
  }
  const db = openDatabase(databaseUrl, { max: 4, silentMs: 660_000 })
  try {
    const report = await runAudit({ db, now: Date.now })
    console.log(auditText(report))
    process.exitCode = report.holds ? 0 : 1
  } catch (error) {
    // Not knowing is not the same as being right.
    console.error(`The audit could not be made: ${(error as Error).message}`)
    process.exitCode = 2
  } finally {
    await db.destroy()
  }
}
