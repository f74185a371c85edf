// Migrations: brings a database to the newest schema in db/migrations; npm run db:migrate does it from the command line.
import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import { startPostgres } from './postgres.ts'
import { stateDir } from './state.ts'

const folder = fileURLToPath(new URL('../db/migrations', import.meta.url))

/** Applies what is missing, one at a time under an advisory lock. Answers the names of what it applied. */
export async function migrateDatabase(url: string): Promise<string[]> {
  const applied = await runner({
    databaseUrl: url,
    dir: folder,
    direction: 'up',
    migrationsTable: 'migration',
    checkOrder: true,
    log: () => undefined,
  })
  return applied.map(({ name }) => name)
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
