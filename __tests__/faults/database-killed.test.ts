// Faults 52 and 56: PostgreSQL killed in the middle of commits, and out of disk; a PostgreSQL of this test's own, in a memory file system of its own.
import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { migrateDatabase } from '../../scripts/migrate.ts'
import { type Postgres, removePostgres, startPostgres } from '../../scripts/postgres.ts'
import { isAlive } from '../../scripts/state.ts'
import { fault, tally } from '../support/faults.ts'
import type { Answered, Quoted } from '../support/house.ts'
import { statementsIn } from '../support/postgres-wire.ts'
import { waitFor } from '../support/real-house.ts'
import { openReplicaHouse, type Replica, type ReplicaHouse } from '../support/replica-house.ts'
import { runStatements } from '../support/statements.ts'

const diskMb = 400
let disk: string
let postgres: Postgres
let house: ReplicaHouse

const dataDir = () => join(disk, 'cluster')
const port = () => Number(new URL(postgres.url).port)

/** Starts the same PostgreSQL again, in the same place; answers after how many ms it answered. */
async function startAgain(): Promise<number> {
  const startedAt = performance.now()
  postgres = await startPostgres({ dataDir: dataDir(), databaseUrl: '', port: port() })
  return Math.round(performance.now() - startedAt)
}

/** Kills PostgreSQL with all its processes, as the end of its host would. */
function killPostgres(): void {
  const all = [postgres.pid, ...childrenOf(postgres.pid)]
  for (const pid of all) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        // pid (name) state ppid; the name may hold anything.
        return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[1]) === parent
      } catch {
        return false
      }
    })
}

beforeAll(async () => {
  // Under /var/tmp, because PostgreSQL's own user must be able to reach it.
  disk = mkdtempSync('/var/tmp/flow402-disk-')
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${diskMb}m,mode=755`, 'flow402-disk', disk])
  chmodSync(disk, 0o755)
  postgres = await startPostgres({ dataDir: dataDir(), databaseUrl: '' })
  await migrateDatabase(postgres.url)
  house = await openReplicaHouse({ terms: { unitsTotal: 400 }, databaseUrl: postgres.url })
})
afterAll(async () => {
  await house?.close()
  if (postgres) await removePostgres(dataDir())
  if (!disk) return
  // Lazily: the log that PostgreSQL was started with is still open in this process.
  execFileSync('umount', ['--lazy', disk])
  rmSync(disk, { recursive: true, force: true })
})

const statusAndCode = (answer: Answered | undefined) =>
  answer ? (answer.body.code ? `${answer.status} ${answer.body.code}` : `${answer.status}`) : 'no answer'
const replicaOf = (index: number) => house.replicas[index % house.replicas.length] as Replica

/** PostgreSQL ends by itself when its log cannot grow; whether it did or not, it answers afterwards. */
async function revive(): Promise<void> {
  await waitFor('PostgreSQL to answer', async () => {
    if (!isAlive(postgres.pid)) await startAgain()
    return runStatements(postgres.url, 'select 1').then(
      () => true,
      () => false,
    )
  })
}

async function signedQuotes(count: number): Promise<{ quoted: Quoted; header: string }[]> {
  return Promise.all(
    Array.from({ length: count }, async () => {
      const quoted = await house.quote()
      return { quoted, header: await house.sign(quoted) }
    }),
  )
}

async function insist(payments: { quoted: Quoted; header: string }[]): Promise<string[]> {
  const answers = await Promise.all(payments.map(({ quoted, header }, index) => house.payUntilKnown(quoted, header, replicaOf(index))))
  return answers.map(statusAndCode)
}

fault(
  52,
  'kill -9 of PostgreSQL in the middle of commits',
  async () => {
    const before = (await house.balances()).renter
    const words: string[] = []
    const [kills, buyers] = [3, 12]
    const first: string[] = []
    const final: string[] = []
    for (let kill = 1; kill <= kills; kill++) {
      const payments = await signedQuotes(buyers)
      // In the middle of them: each statement of a payment commits something, and of this one nobody is told what became of it.
      const wanted = kill * buyers
      let statements = 0
      let killedAt = 0
      for (const { database } of house.replicas) {
        database.watch((chunk, { direction }) => {
          if (direction === 'out') statements += statementsIn(chunk)
          if (statements >= wanted && killedAt === 0) {
            killedAt = performance.now()
            setImmediate(killPostgres)
          }
          return 'pass'
        })
      }
      const answers = await Promise.all(
        payments.map(({ quoted, header }, index) => house.pay(quoted, header, replicaOf(index)).catch(() => undefined)),
      )
      first.push(...answers.map(statusAndCode))
      expect(killedAt).toBeGreaterThan(0)
      for (const { database } of house.replicas) database.watch(undefined)
      await waitFor('PostgreSQL to be gone', async () => !isAlive(postgres.pid))
      const recoveredMs = await startAgain()
      final.push(...(await insist(payments)))
      words.push(`${recoveredMs} ms`)
    }
    expect(new Set(final)).toEqual(new Set(['201']))
    expect(before - (await house.balances()).renter).toBe(10_000n * BigInt(kills * buyers))
    const { payments, landedIn } = await house.checkEmpty(90_000)
    return `${kills} kills under ${buyers} buyers each: ${tally(first)}; up again after ${words.join(', ')}; then ${tally(final)}, ${payments} payments, ${landedIn} transfers`
  },
  180_000,
)

fault(
  56,
  'the disk of the database full',
  async () => {
    const filler = join(disk, 'filler')
    const fill = () => {
      const { bavail, bsize } = statfsSync(disk)
      try {
        writeFileSync(filler, Buffer.alloc(bavail * bsize))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    }
    const ordersBefore = house.machine.orders.length
    const countOf = async (table: string) => Number((await house.sql(`select count(*)::int as n from ${table}`))[0]?.n)

    // The tables cannot grow: whoever comes when the last page is full is refused, and not one of them is half done.
    fill()
    const full: { quoted: Quoted; header: string; answer: Answered }[] = []
    for (let tries = 0; tries < 200 && !full.some(({ answer }) => answer.status === 503); tries++) {
      const quoted = await house.quote()
      const header = await house.sign(quoted)
      full.push({ quoted, header, answer: await house.pay(quoted, header, replicaOf(tries)) })
    }
    const refused = full.filter(({ answer }) => answer.status === 503)
    expect(refused.length).toBeGreaterThan(0)
    for (const { quoted } of refused)
      expect(house.machine.orders.slice(ordersBefore).filter(({ rentalId }) => rentalId === quoted.paid.rentalId)).toHaveLength(0)
    rmSync(filler)
    await revive()
    const afterTables = await insist(full)
    expect(new Set(afterTables)).toEqual(new Set(['201']))

    // The log cannot grow: PostgreSQL itself ends, and nothing is written at all.
    const rowsBefore = [await countOf('rental'), await countOf('payment'), await countOf('ledger_entry')]
    const [late] = await signedQuotes(1)
    if (!late) throw new Error('no quote')
    fill()
    let lost: string | undefined
    for (let megabytes = 0; megabytes < 64 && !lost; megabytes++)
      lost = await runStatements(postgres.url, `select pg_logical_emit_message(false, 'fill', repeat('x', 1000000))`).then(
        () => undefined,
        (error: Error) => error.message,
      )
    expect(lost).toBeTruthy()
    const answer = await house.pay(late.quoted, late.header)
    expect(answer.status, answer.text).toBe(503)
    rmSync(filler)
    await revive()
    expect([await countOf('rental'), await countOf('payment'), await countOf('ledger_entry')]).toEqual(rowsBefore)
    const [afterLog] = await insist([late])
    expect(afterLog).toBe('201')
    const { payments, landedIn } = await house.checkEmpty(90_000)
    return `tables: ${tally(full.map(({ answer }) => statusAndCode(answer)))}, none half done, then ${tally(afterTables)}; log: ${statusAndCode(answer)}, no row written, then ${afterLog}; ${payments} payments, ${landedIn} transfers`
  },
  180_000,
)
