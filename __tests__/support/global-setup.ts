// Before the tests: one PostgreSQL for the whole run and one migrated database in it, of which every test gets copies.
import { existsSync, readdirSync } from 'node:fs'
import type { TestProject } from 'vitest/node'
import { migrateDatabase } from '../../scripts/migrate.ts'
import { removePostgres, startPostgres } from '../../scripts/postgres.ts'
import { isAlive, stateDir } from '../../scripts/state.ts'
import { runStatements } from './statements.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    adminDatabaseUrl: string
    templateDatabase: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  await removeLeftovers()
  const dataDir = stateDir('test-postgres', String(process.pid))
  const postgres = await startPostgres({ dataDir, durable: false })
  const template = `flow402_template_${process.pid}`
  await runStatements(postgres.url, `drop database if exists ${template}`, `create database ${template}`)
  const templateUrl = new URL(postgres.url)
  templateUrl.pathname = `/${template}`
  await migrateDatabase(templateUrl.href)
  project.provide('adminDatabaseUrl', postgres.url)
  project.provide('templateDatabase', template)

  return async () => {
    if (postgres.source === 'DATABASE_URL') await runStatements(postgres.url, `drop database if exists ${template} with (force)`)
    else await removePostgres(dataDir)
  }
}

/** Runs that were killed could not end their PostgreSQL. */
async function removeLeftovers(): Promise<void> {
  const folder = stateDir('test-postgres')
  for (const pid of existsSync(folder) ? readdirSync(folder) : []) {
    if (!isAlive(Number(pid))) await removePostgres(stateDir('test-postgres', pid))
  }
}
