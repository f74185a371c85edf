// Model runs, as many as asked: npm run test:model -- [sequences, 10000] [seed] [path]. One process per core; a path replays one failure.
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import { inWords, type Ran, type Regression, replay, runSequences } from '../__tests__/model/run-sequences.ts'
import { runStatements } from '../__tests__/support/statements.ts'
import { migrateDatabase } from './migrate.ts'
import { removePostgres, startPostgres } from './postgres.ts'
import { stateDir } from './state.ts'

const template = 'flow402_model'
const [count = 10_000, seed = Math.floor(Math.random() * 1e9)] = process.argv.slice(2, 4).map(Number)
const path = process.argv[4]
const regressions = new URL('../__tests__/model/regressions.json', import.meta.url)
/** Set in the processes that this one starts: where the databases are. */
const adminUrl = process.env.FLOW402_MODEL_DATABASE

function urlOf(admin: string, database: string): string {
  const url = new URL(admin)
  url.pathname = `/${database}`
  return url.href
}

let databases = 0
const freshDatabaseAt = (admin: string) => async () => {
  const name = `model_${process.pid}_${++databases}`
  await runStatements(admin, `create database ${name} template ${template}`)
  const drop = async () => {
    await runStatements(admin, `drop database if exists ${name} with (force)`)
  }
  return { url: urlOf(admin, name), drop }
}

/** One worker's share, in a process of its own; its result is the last line that it writes, undefined when it was stopped. */
function runShare(admin: string, share: number, shareSeed: number, others: Set<ChildProcess>): Promise<Ran | undefined> {
  const args = [fileURLToPath(import.meta.url), String(share), String(shareSeed), ...(path ? [path] : [])]
  const child = spawn(process.execPath, args, {
    env: { ...process.env, FLOW402_MODEL_DATABASE: admin },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  others.add(child)
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      others.delete(child)
      if (signal) return resolve(undefined)
      if (code !== 0) return reject(new Error(`a worker ended with ${code}`))
      const ran = JSON.parse(said.trim().split('\n').at(-1) ?? '') as Ran
      // One failure is enough: the others need not go on.
      if (ran.failure) for (const other of others) other.kill()
      resolve(ran)
    })
  })
}

function together(all: Ran[], seconds: number): Ran {
  const total = (of: (ran: Ran) => number) => all.reduce((sum, ran) => sum + of(ran), 0)
  return {
    sequences: total((ran) => ran.sequences),
    commands: total((ran) => ran.commands),
    statements: total((ran) => ran.statements),
    crashes: total((ran) => ran.crashes),
    forks: total((ran) => ran.forks),
    seconds,
    failure: all.find((ran) => ran.failure)?.failure,
  }
}

async function runAll(): Promise<number> {
  const startedAt = performance.now()
  const dataDir = stateDir('model-postgres', String(process.pid))
  const postgres = await startPostgres({ dataDir, durable: false })
  try {
    await runStatements(postgres.url, `drop database if exists ${template}`, `create database ${template}`)
    await migrateDatabase(urlOf(postgres.url, template))
    for (const regression of JSON.parse(readFileSync(regressions, 'utf8')) as Regression[])
      await replay(regression, freshDatabaseAt(postgres.url))
    const workers = path ? 1 : Math.min(availableParallelism(), Math.ceil(count / 100))
    const others = new Set<ChildProcess>()
    const shares = Array.from({ length: workers }, (_, index) =>
      // Each process has its own stretch of seeds.
      runShare(postgres.url, Math.ceil(count / workers), seed + index * 100_000_000, others),
    )
    const ran = together(
      (await Promise.all(shares)).filter((ran) => ran !== undefined),
      (performance.now() - startedAt) / 1000,
    )
    console.log(`seed ${seed}, ${workers} processes: ${inWords(ran)}`)
    // Workers that were stopped from outside have shown nothing.
    if (!ran.failure && ran.sequences < count) console.error(`only ${ran.sequences} of ${count} sequences were run`)
    return ran.failure || ran.sequences < count ? 1 : 0
  } finally {
    await removePostgres(dataDir)
  }
}

if (adminUrl) {
  const ran = await runSequences({ count, seed, ...(path ? { path } : {}), freshDatabase: freshDatabaseAt(adminUrl) })
  process.stdout.write(`${JSON.stringify(ran)}\n`)
} else {
  process.exitCode = await runAll()
}
