// Checking statements: before the books of a rental close, its whole bill is computed anew from what its machine signed.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Engine, StatementVerdict } from '@flow402/rust-lib/engine'
import { decodeStatement } from '@flow402/rust-lib/statement'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { splitFor } from './close-books.ts'
import { makeStatement, meteredSecondsOf, type UsageRow } from './make-statement.ts'
import { inPortions } from './portions.ts'
import { type CheckedStatement, findUnstated, findUsage, saveStatements, type Unstated } from './store-statements.ts'

/** How many rentals are looked for at once, and how many records are in memory at most, but for one rental that has more. */
const batch = 500
const recordsAtOnce = 50_000
/** How soon a statement that does not hold is looked at again: somebody may have set its rows right. */
const firstRetryMs = 30_000
const slowestRetryMs = 3_600_000

type Deps = { db: Db; now: Now; engine: Pick<Engine, 'digests' | 'verifyStatement'> }

/**
 * Makes and checks the statement of every rental whose books could close; answers how many hold. One that does not is said aloud and kept:
 * the books of its rental stay open, and nothing is paid on it. `only` names one rental. Safe to repeat, by any number of workers.
 */
export async function checkStatements(deps: Deps, only?: string): Promise<number> {
  const found = await findUnstated(deps.db, deps.now(), batch, only)
  let good = 0
  for (const portion of inPortions(found, ({ records }) => records + 1, recordsAtOnce)) {
    const usage = await findUsage(
      deps.db,
      portion.map(({ rental }) => rental),
    )
    const checked: CheckedStatement[] = []
    for (const unstated of portion) {
      checked.push(checkOne(deps, unstated, usage.get(unstated.rental.id) ?? []))
      // Each may take long; requests go between.
      await nextTurn()
    }
    const saved = await saveStatements(deps.db, checked, deps.now())
    for (const { rental, refused } of checked) {
      if (!saved.has(rental.id)) continue
      if (refused) sayRefused(rental.id, refused)
      else good++
    }
  }
  return good
}

function checkOne(deps: Deps, { rental, checks }: Unstated, usage: readonly UsageRow[]): CheckedStatement {
  const meteredSeconds = meteredSecondsOf(rental, usage)
  const metered = { ...rental, meteredSeconds }
  const split = splitFor({ ...metered, hasRun: rental.startedAtMs !== null })
  const checked = { rental, meteredSeconds, records: usage.length }
  const refusedUntil = deps.now() + Math.min(firstRetryMs * 2 ** checks, slowestRetryMs)
  try {
    const statement = makeStatement({ ...metered, split }, usage, deps.engine)
    const root = Buffer.from(decodeStatement(statement).root).toString('hex')
    const verdict = deps.engine.verifyStatement(statement)
    if (verdict.ok) return { ...checked, root, refused: null }
    return { ...checked, root, refused: { ...inWords(verdict), checkAfterMs: refusedUntil } }
  } catch (error) {
    // What the rows hold can be written by no machine; anything else is a bug of ours, and no verdict.
    if (!(error instanceof RangeError)) throw error
    return { ...checked, root: null, refused: { fault: 'unwritable', record: 0, detail: error.message, checkAfterMs: refusedUntil } }
  }
}

function inWords({ fault, record, stated, computed }: StatementVerdict & { ok: false }): { fault: string; record: number; detail: string } {
  const place = record === 0 ? 'the bill' : `record ${record}`
  const figures = stated === undefined ? '' : `: it says ${stated}, and ${computed} follows`
  return { fault, record, detail: `${place} fails the check "${fault}"${figures}` }
}

function sayRefused(rental: string, { fault, record, detail }: NonNullable<CheckedStatement['refused']>): void {
  console.error(JSON.stringify({ level: 'error', event: 'statement_refused', rental, fault, record, detail }))
}
