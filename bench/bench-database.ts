// A PostgreSQL for benchmarks: the embedded one with every safety on, and databases in it that are made anew each time.
import { runStatements } from '../__tests__/support/statements.ts'
import { migrateDatabase } from '../scripts/migrate.ts'
import { type Postgres, removePostgres, startPostgres } from '../scripts/postgres.ts'
import { stateDir } from '../scripts/state.ts'

export type BenchPostgres = Awaited<ReturnType<typeof openBenchPostgres>>

/** Starts a durable PostgreSQL of its own; `stop` removes it with all its data. */
export async function openBenchPostgres() {
  const dataDir = stateDir('bench-postgres', String(process.pid))
  const server: Postgres = await startPostgres({ dataDir, durable: true, databaseUrl: '' })
  const [settings] = await runStatements(
    server.url,
    "select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit",
  )
  if (settings?.fsync !== 'on' || settings.commit !== 'on') throw new Error('this PostgreSQL gives up safety for speed')
  return {
    ...server,
    /** An empty database; a migrated one when it is for the market. */
    async makeDatabase(name: string, isMarket: boolean): Promise<string> {
      await runStatements(server.url, `drop database if exists ${name} with (force)`, `create database ${name}`)
      const url = new URL(server.url)
      url.pathname = `/${name}`
      if (isMarket) await migrateDatabase(url.href)
      return url.href
    },
    async stop(): Promise<void> {
      await server.stop()
      await removePostgres(dataDir)
    },
  }
}
