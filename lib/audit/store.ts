// How the audit asks: one instant of the database, read by several connections at once; what is wrong in it, and what weighs the same.
import { randomBytes } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

/** A question to the frozen database. */
export type Question<T> = (tx: Tx) => Promise<T>

const longestMs = 600_000

/**
 * Answers every question as of the same instant, on `lanes` connections; the first questions are asked first. Nothing can be written
 * meanwhile by these connections.
 */
export async function askAtOneInstant<T>(db: Db, lanes: number, questions: readonly Question<T>[]): Promise<T[]> {
  const waiting = questions.map((ask, index) => ({ ask, index }))
  const answers: T[] = []
  const lane = async (tx: Tx) => {
    await setUp(tx)
    for (let next = waiting.shift(); next; next = waiting.shift()) answers[next.index] = await next.ask(tx)
  }
  await readOnly(db, async (first) => {
    const { rows } = await sql<{ snapshot: string }>`select pg_export_snapshot() as snapshot`.execute(first)
    const snapshot = rows[0]?.snapshot ?? ''
    const others = Array.from({ length: lanes - 1 }, () =>
      readOnly(db, async (tx) => {
        // It must be the first statement, and it takes no parameters.
        await sql`set transaction snapshot ${sql.lit(snapshot)}`.execute(tx)
        await lane(tx)
      }),
    )
    // The snapshot is there as long as the first connection is.
    await settled([lane(first), ...others])
  })
  return answers
}

function readOnly(db: Db, work: (tx: Tx) => Promise<void>): Promise<void> {
  return db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(work)
}

/** Large hashes in memory instead of on disk, no time lost with compiling, and as long as a large market takes. */
async function setUp(tx: Tx): Promise<void> {
  await sql`select set_config('work_mem', '128MB', true), set_config('jit', 'off', true),
    set_config('statement_timeout', ${String(longestMs)}, true), set_config('idle_in_transaction_session_timeout', ${String(longestMs)}, true),
    set_config('max_parallel_workers_per_gather', '0', true)`.execute(tx)
}

/** Waits for all, also when one fails: a connection must not be used after its transaction is over. */
async function settled(works: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(works)).find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}

/** The single row of a question. */
export async function oneRow<R>(tx: Tx, query: RawBuilder<R>): Promise<R> {
  const { rows } = await query.execute(tx)
  if (rows.length !== 1) throw new Error(`one row was expected, not ${rows.length}`)
  return rows[0] as R
}

/** How many are wrong, and up to three of them. */
export type Wrong = { count: bigint; examples: string[] }

export const none: Wrong = { count: 0n, examples: [] }

/** Columns `<name>` and `<name>_examples`: rows for which `when` is true, and up to three of their ids. */
export function wrong(when: RawBuilder<unknown>, id: RawBuilder<unknown>, name: string): RawBuilder<unknown> {
  const examples = sql.ref(`${name}_examples`)
  return sql`count(*) filter (where ${when}) as ${sql.ref(name)}, (array_agg(${id}) filter (where ${when}))[1:3] as ${examples}`
}

/** What `wrong` selected. */
export function wrongFrom(row: Record<string, unknown>, name: string): Wrong {
  return { count: BigInt(row[name] as bigint), examples: (row[`${name}_examples`] as string[] | null) ?? [] }
}

/** Answers a question that selects `wrong(...)` under the name "wrong" and nothing else. */
export async function findWrong(tx: Tx, query: RawBuilder<Record<string, unknown>>): Promise<Wrong> {
  return wrongFrom(await oneRow(tx, query), 'wrong')
}

/** A number drawn for one audit, for hashtextextended: nobody can write rows whose weights cancel each other. */
export const newSalt = (): RawBuilder<bigint> => sql`${randomBytes(8).readBigInt64BE().toString()}::bigint`

/** The weight of what has these texts, in this order; one that is null weighs as an empty one. */
export function weightOf(salt: RawBuilder<bigint>, ...texts: RawBuilder<unknown>[]): RawBuilder<bigint> {
  return texts.reduce<RawBuilder<bigint>>((seed, text) => sql`hashtextextended(coalesce(${text}, ''), ${seed})`, salt)
}

/**
 * Of rows `(weight bigint, atoms bigint)`: how many (`rows`), and the sums of their atoms weighed with two numbers of 31 bits (`one`, `other`),
 * from an even hash of a key. When both sums of two relations are equal, so are the sums of their atoms under every single key, but for a
 * chance of 2^-62. Atoms are taken in two halves, so that no product overflows.
 */
export function weighed(rows: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    select count(*) as rows, coalesce(sum(a * low) + sum(a * high) * 1073741824, 0) as one,
      coalesce(sum(b * low) + sum(b * high) * 1073741824, 0) as other
    from (
      select (weight >> 33) & 2147483647 as a, weight & 2147483647 as b, atoms % 1073741824 as low, atoms / 1073741824 as high
      from (select * from (${rows}) each offset 0) keyed
    ) halves`
}
