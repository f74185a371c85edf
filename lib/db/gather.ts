// Gathering: what many ask of one hot statement at the same time goes to the database together, in one run and one commit.
import { type Db, inOneStatement, prepare } from './client.ts'

/** How many calls one run takes at most: as many as still answer within a few milliseconds. */
const most = 64
/** Fewer than so many are not divided between two runs: a run costs as much as several of its calls. */
const few = 8
/** How many runs of one statement may be under way: one that waits for a lock does not keep everybody waiting. */
const lanes = 2

/** The name of each value with its type in SQL. */
type Columns<Values> = { [Key in keyof Values & string]: string }
type Call<Values, Row> = { values: Values; resolve: (row: Row | undefined) => void; reject: (error: unknown) => void }
/** Who waits for the next run, how many take turns at running, and how many of those are at it. */
type Queue<Values, Row> = { waiting: Call<Values, Row>[]; awake: number; running: number }

/**
 * A statement that is asked for many at a time. Its text goes on after `with asked as (...)`, a relation with a row for each call: its
 * values, under their names in snake case, and `nth`, its number. Each call is answered with the row of its number; undefined without one.
 *
 * While two runs are under way the next calls wait and go together; a call that comes alone runs at once. Many that wait are divided between
 * both runs: all in one, they would keep one core busy, wait for its commit together and ask their next question together. No two calls of
 * one run have the same `key`. A run is one transaction: when the database refuses it, because of one call or by chance, each of its calls
 * runs alone, and the one at fault gets its own error. When nobody can tell what became of a run, each of its calls gets that error.
 */
export function gather<Values extends Record<string, unknown>, Row extends object>(
  name: string,
  { key, columns, text }: { key: keyof Values & string; columns: Columns<Values>; text: string },
): (db: Db, values: Values) => Promise<Row | undefined> {
  const keys = Object.keys(columns)
  const arrays = keys.map((each) => `:${each}::${columns[each]}[]`).join(', ')
  const names = keys.map((each) => each.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)).join(', ')
  // The limit never cuts anything off. It tells the planner, which cannot know how many there are, that they are few: so it looks rows up
  // by their keys instead of reading whole tables.
  const asked = `with asked as materialized (select * from unnest(${arrays}) with ordinality as asked (${names}, nth) limit :count), `
  const ask = prepare<Record<string, unknown>, Row & { nth: bigint }>(name, asked + text)

  async function run(db: Db, calls: Call<Values, Row>[]): Promise<void> {
    const values: Record<string, unknown> = { count: calls.length }
    for (const each of keys) values[each] = calls.map((call) => call.values[each])
    try {
      const rows = new Map((await inOneStatement(() => ask(db, values))).map((row) => [Number(row.nth), row]))
      for (const [index, call] of calls.entries()) call.resolve(rows.get(index + 1))
    } catch (error) {
      if (calls.length > 1 && wasRefused(error)) await Promise.all(calls.map((call) => run(db, [call])))
      else for (const call of calls) call.reject(error)
    }
  }

  const queues = new WeakMap<Db, Queue<Values, Row>>()

  return (db, values) => {
    const queue = queues.get(db) ?? { waiting: [], awake: 0, running: 0 }
    queues.set(db, queue)
    const { promise, resolve, reject } = Promise.withResolvers<Row | undefined>()
    queue.waiting.push({ values, resolve, reject })
    if (queue.awake < lanes) void runAll(db, queue)
    return promise
  }

  async function runAll(db: Db, queue: Queue<Values, Row>): Promise<void> {
    queue.awake++
    while (queue.waiting.length > 0) {
      // Those who ask in this same turn come along (and may all have gone with the other run).
      await new Promise((resolve) => setImmediate(resolve))
      const calls = takeShare(queue, key)
      if (calls.length === 0) continue
      queue.running++
      await run(db, calls)
      queue.running--
    }
    queue.awake--
  }
}

/** Those who go with the next run: their share of all who wait, each key once. The others wait on, in their order. */
function takeShare<Values, Row>(queue: Queue<Values, Row>, key: keyof Values): Call<Values, Row>[] {
  const share = Math.min(most, Math.max(few, Math.ceil(queue.waiting.length / (lanes - queue.running))))
  const chosen = new Map<unknown, Call<Values, Row>>()
  const later: Call<Values, Row>[] = []
  for (const call of queue.waiting) {
    if (chosen.size < share && !chosen.has(call.values[key])) chosen.set(call.values[key], call)
    else later.push(call)
  }
  queue.waiting = later
  return [...chosen.values()]
}

/** Whether the database itself said no, so that nothing was written: wrong data, a broken constraint, a lost tie or a lock not had in time. */
function wasRefused(error: unknown): boolean {
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : ''
  return /^(21|22|23|40|P0)...$|^55P03$/.test(code)
}
