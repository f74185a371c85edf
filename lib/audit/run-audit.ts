// The audit: everything is recomputed from the rows themselves, at one instant, and every invariant gets its line.
import { type AuditLine, type AuditReport, auditCodes } from '@flow402/protocol/audit'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { type AuditFacts, auditLines } from './audit-lines.ts'
import { askAtOneInstant, type Question } from './store.ts'
import { sumEscrowPostings, sumRentals, sumTransactions } from './store-books.ts'
import { readCatalog, readNewestCheck } from './store-catalog.ts'
import { readEvents, readHolds, readPayments, readRentals, readStatements, readTransfers } from './store-states.ts'

/** How many connections share the work: one for each core of a small machine. */
const lanes = 2
/** How long a payment may be undecided without a word why, in ms: the time of several tries. */
export const patienceMs = 300_000

/** Recomputes every invariant. Reads only; a market of a million ledger entries takes some two seconds of two cores. */
export async function runAudit(deps: { db: Db; now: Now }): Promise<AuditReport> {
  const startedAt = performance.now()
  const nowMs = deps.now()
  const facts: Partial<AuditFacts> = {}
  const into = <K extends keyof AuditFacts>(name: K, ask: Question<AuditFacts[K]>): Question<void> => {
    return async (tx) => {
      facts[name] = await ask(tx)
    }
  }
  // The long ones first, so that the short ones fill the rest.
  await askAtOneInstant(deps.db, lanes, [
    into('rentals', sumRentals),
    into('books', sumEscrowPostings),
    into('events', readEvents),
    into('entries', sumTransactions),
    into('payments', (tx) => readPayments(tx, nowMs, patienceMs)),
    into('holds', readHolds),
    into('catalog', readCatalog),
    into('transfers', readTransfers),
    into('statements', readStatements),
    into('courses', (tx) => readRentals(tx, nowMs)),
    into('check', readNewestCheck),
  ])
  const lines = inOrder(auditLines(facts as AuditFacts, nowMs))
  return {
    at: new Date(nowMs).toISOString(),
    tookMs: Math.round(performance.now() - startedAt),
    entries: Number((facts as AuditFacts).entries.entries),
    holds: lines.every((line) => line.holds),
    lines,
  }
}

function inOrder(lines: AuditLine[]): AuditLine[] {
  return lines.toSorted((a, b) => auditCodes.indexOf(a.code) - auditCodes.indexOf(b.code))
}
