// The database: one pool with every timeout set, typed by the generated schema.
import type { Socket } from 'node:net'
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
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
    const { stream } = (client as unknown as { connection: { stream: Socket } }).connection
    stream.setTimeout(options.silentMs ?? 20_000, () => stream.destroy())
  })
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool }) })
}

/** Throws when the database does not answer. */
export async function pingDatabase(db: Db): Promise<void> {
  await sql`select 1`.execute(db)
}

const retryable = new Set(['40001', '40P01'])

/** Runs `work` in one transaction; repeats it up to 3 times when PostgreSQL broke a tie (40001, 40P01). No network call may happen inside. */
export async function inTransaction<T>(db: Db, work: (tx: Tx) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (attempt >= 3 || !retryable.has(errorCode(error) ?? '')) throw error
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
