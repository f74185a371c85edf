// The database: one pool with every timeout set, typed by the generated schema.
import type { Socket } from 'node:net'
import { CompiledQuery, Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import pg from 'pg'
import type { DB } from './types.ts'

export type Db = Kysely<DB>
export type Tx = Transaction<DB>

const int8Oid = 20
/** The role of the application (db/migrations/0002): it can add to the books and change nothing in them. */
const appRole = 'flow402_app'

/**
 * Opens a pool that works as the application's role. Amounts (int8) come back as bigint, times as Date.
 * A statement may take 15 s, a lock 2 s, an idle transaction 10 s; a dead client's query is noticed within 10 s.
 * A server that says nothing at all for `silentMs` (20 s) is given up, and its connections with it.
 */
export function openDatabase(url: string, options: { max?: number; silentMs?: number } = {}): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: options.max ?? 16,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 15_000,
    application_name: 'flow402',
    statement_timeout: 15_000,
    lock_timeout: 2_000,
    idle_in_transaction_session_timeout: 10_000,
    options: `-c client_connection_check_interval=10s -c role=${appRole}`,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8Oid ? (value: string) => BigInt(value) : pg.types.getTypeParser(oid, format as 'text'),
    } as pg.CustomTypesConfig,
  })
  // An idle connection that breaks is replaced at its next use; without a listener it would end the process.
  pool.on('error', (error) => console.error(JSON.stringify({ level: 'warn', event: 'database_connection_lost', message: error.message })))
  // A connection may also break while it is in use but between two statements; nobody listens then unless we do.
  // Silence longer than any statement may take means that the server is gone without a word.
  pool.on('connect', (client) => {
    client.on('error', () => undefined)
    nameStatements(client)
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    stream.setTimeout(options.silentMs ?? 20_000, () => stream.destroy())
  })
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
}

/** Text of every prepared statement -> its name. */
const names = new Map<string, string>()

/**
 * A statement of a hot path: built once, and parsed and planned once per connection (a named prepared statement). Its values are written
 * `:name` in the text, with a cast where PostgreSQL cannot tell their type. Answers its rows.
 */
export function prepare<Values extends Record<string, unknown>, Row>(
  name: string,
  text: string,
): (db: Db | Tx, values: Values) => Promise<Row[]> {
  const keys: string[] = []
  const numbered = text.replace(/(?<![:\w]):([a-z]\w*)/gi, (_, key: string) => {
    if (!keys.includes(key)) keys.push(key)
    return `$${keys.indexOf(key) + 1}`
  })
  names.set(numbered, name)
  return async (db, values) => {
    const parameters = keys.map((key) => values[key])
    return (await db.executeQuery<Row>(CompiledQuery.raw(numbered, parameters))).rows
  }
}

/** The query builder knows no names: they are added on the way to the server. */
function nameStatements(client: pg.PoolClient): void {
  const query = client.query.bind(client) as (query: string | pg.QueryConfig, values?: unknown[]) => Promise<pg.QueryResult>
  const named = (text: string, values?: unknown[]) => {
    const name = names.get(text)
    return name === undefined ? query(text, values) : query({ name, text, ...(values ? { values } : {}) })
  }
  client.query = named as typeof client.query
}

/** Throws when the database does not answer, or only reads: a standby is none that money can be taken on. */
export async function pingDatabase(db: Db): Promise<void> {
  const { rows } = await sql<{ mode: string }>`select current_setting('transaction_read_only') as mode`.execute(db)
  if (rows[0]?.mode !== 'off') throw new Error('the database only reads')
}

/** How long at most the loser of a tie waits before its first repeat, in ms. */
const tieBreakMs = 20
const retryable = new Set(['40001', '40P01'])

/** Runs `work` in one transaction; repeats it up to 3 times when PostgreSQL broke a tie (40001, 40P01). No network call may happen inside. */
export function inTransaction<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  return inOneStatement(() => db.transaction().execute(work))
}

/** Runs a single statement, which is a transaction by itself; repeats it as `inTransaction` does. */
export async function inOneStatement<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= 3 || !retryable.has(errorCode(error) ?? '')) throw error
      // Those who lost to each other must not meet again at the same moment.
      await new Promise((resolve) => setTimeout(resolve, Math.random() * tieBreakMs * attempt))
    }
  }
}

/** Whether a write failed because the row exists already, and by which constraint. */
export function brokenUnique(error: unknown): string | undefined {
  return errorCode(error) === '23505' ? ((error as { constraint?: string }).constraint ?? 'unknown') : undefined
}

function errorCode(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : undefined
}
