// Migrations: brings a database to the newest schema in db/migrations; npm run db:migrate does it from the command line.
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import { startPostgres } from './postgres.ts'
import { stateDir } from './state.ts'

const migrationsDir = fileURLToPath(new URL('../db/migrations', import.meta.url))

/**
 * How long a migration may wait for a lock, in ms. Whoever comes after it waits behind it, so it gives up before PostgreSQL looks for
 * deadlocks (1 s) and before the market's own statements give up (2 s), and tries again: a long report delays it, and not the market.
 */
const lockWithinMs = 500
const tryAgainMs = 500
/** A lock not got in time, and a deadlock that it lost. */
const inTheWay = new Set(['55P03', '40P01'])

/**
 * Applies what is missing of `dir`, one at a time under an advisory lock, each in one transaction. Answers the names of what its last try applied.
 * One that cannot get its locks is tried again until `patienceMs` (60 s) are over; then it throws PostgreSQL's error, and nothing of it is applied.
 */
export async function migrateDatabase(url: string, options: { dir?: string; patienceMs?: number } = {}): Promise<string[]> {
  const giveUpAt = Date.now() + (options.patienceMs ?? 60_000)
  for (;;) {
    try {
      const more = await runner({
        databaseUrl: { connectionString: url, lock_timeout: lockWithinMs },
        dir: options.dir ?? migrationsDir,
        direction: 'up',
        migrationsTable: 'migration',
        checkOrder: true,
        log: () => undefined,
      })
      return more.map(({ name }) => name)
    } catch (error) {
      if (!inTheWay.has((error as { code?: string }).code ?? '') || Date.now() > giveUpAt) throw error
      await sleep(tryAgainMs)
    }
  }
}

if (import.meta.main) {
  const postgres = await startPostgres({ dataDir: stateDir('postgres') })
  try {
    const applied = await migrateDatabase(postgres.url)
    console.log(applied.length === 0 ? 'The schema is up to date.' : applied.map((name) => `applied ${name}`).join('\n'))
  } finally {
    // One that was running before belongs to somebody else.
    if (postgres.source !== 'found running') await postgres.stop()
  }
}
