// npm run db:generate: writes lib/db/types.ts from a freshly migrated database; with --verify it only says whether the file is right.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { migrateDatabase } from './migrate.ts'
import { removePostgres, startPostgres } from './postgres.ts'
import { cloneDir, stateDir } from './state.ts'

/** Where the types of the schema are kept. */
export const typesFile = join(cloneDir, 'lib/db/types.ts')

/** Writes the types of a migrated database into `file`: int8 is bigint, tables are named in the singular. */
export async function generateTypes(databaseUrl: string, file: string): Promise<void> {
  const program = join(cloneDir, 'node_modules/kysely-codegen/dist/cli/bin.js')
  const what = ['--dialect', 'postgres', '--url', databaseUrl, '--exclude-pattern', 'migration', '--out-file', file]
  const how = ['--singularize', '--type-mapping', '{"int8":"bigint"}']
  await promisify(execFile)(process.execPath, [program, ...what, ...how], { cwd: cloneDir })
}

if (import.meta.main) {
  // Always a database of its own: what a developer's one has been through must not show.
  const dataDir = stateDir('types-postgres')
  const folder = mkdtempSync(join(tmpdir(), 'flow402-types-'))
  try {
    const postgres = await startPostgres({ dataDir, durable: false, databaseUrl: '' })
    await migrateDatabase(postgres.url)
    const isVerifying = process.argv.includes('--verify')
    const file = isVerifying ? join(folder, 'types.ts') : typesFile
    await generateTypes(postgres.url, file)
    const isRight = readFileSync(file, 'utf8') === readFileSync(typesFile, 'utf8')
    if (!isRight) console.error('lib/db/types.ts is not what the migrations give: run npm run db:generate.')
    else console.log(isVerifying ? 'lib/db/types.ts is what the migrations give.' : 'lib/db/types.ts is written.')
    process.exitCode = isRight ? 0 : 1
  } finally {
    rmSync(folder, { recursive: true, force: true })
    await removePostgres(dataDir)
  }
}
