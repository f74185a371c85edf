// Faults 53, 55, 59 and 60: a database that breaks off in the middle of a statement, has no room, locks, or carries old snapshots; and no Redis.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect } from 'vitest'
import { openDatabase } from '../../lib/db/client.ts'
import { takeUndecidedPayments } from '../../lib/payments/store.ts'
import { takeTransfers } from '../../lib/payments/store-transfers.ts'
import { cloneDir } from '../../scripts/state.ts'
import { type ChaosProxy, proxyBefore, type Verdict } from '../support/chaos-proxy.ts'
import { checkMarket, untilQuiet } from '../support/checker.ts'
import { fault, tally } from '../support/faults.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'
import { statementsIn } from '../support/postgres-wire.ts'

let market: TestHouse
let wire: ChaosProxy
beforeAll(async () => {
  market = await openTestHouse({
    terms: { unitsTotal: 200 },
    slotMs: 50,
    async settings({ databaseUrl }) {
      wire = await proxyBefore(databaseUrl)
      return { DATABASE_URL: wire.through(databaseUrl) }
    },
  })
})
afterAll(async () => {
  await market?.close()
  await wire?.close()
})

const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)

async function settleAll() {
  for (const { id } of await market.sql(`select id from rental where status in ('paid', 'starting', 'running')`))
    await market.stop(String(id))
  await untilQuiet(market, {
    async meanwhile() {
      await market.advance(9_000)
      await market.tick()
    },
  })
  return checkMarket(market)
}

fault(
  53,
  'the connection cut at every statement of a payment',
  async () => {
    const words: string[] = []
    const modes: [words: string, verdict: Verdict][] = [
      ['cut before it', 'cut'],
      ['its answer lost', 'drop_answer'],
    ]
    for (const [mode, verdict] of modes) {
      const first: string[] = []
      for (let statement = 1; ; statement++) {
        const before = (await market.balances()).renter
        const quoted = await market.quote()
        const header = await market.sign(quoted)
        let seen = 0
        let wasCut = false
        wire.watch((chunk, { direction }) => {
          if (direction === 'back' || wasCut) return 'pass'
          seen += statementsIn(chunk)
          wasCut = seen >= statement
          return wasCut ? verdict : 'pass'
        })
        const answer = await market.pay(quoted.request, header)
        await wire.mend()
        expect([201, 202, 503], answer.text).toContain(answer.status)
        // Nothing happens by itself in this house: what was left behind is taken up by the reconciler.
        for (let tries = 0; tries < 60; tries++) {
          const told = await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)
          if (told.status === 404 || told.body.state === 'settled') break
          await market.advance(9_000)
          await market.tick()
        }
        const again = await market.pay(quoted.request, header)
        expect(again.status, again.text).toBe(201)
        expect(before - (await market.balances()).renter).toBe(10_000n)
        if (!wasCut) break
        first.push(statusAndCode(answer))
        expect(statement).toBeLessThan(60)
      }
      expect(first.length).toBeGreaterThan(3)
      words.push(`${first.length} statements ${mode}: ${tally(first)}`)
    }
    const { payments, landedIn } = await settleAll()
    return `${words.join('; ')}; ${payments} payments, ${landedIn} transfers, each 201 in the end and paid once`
  },
  180_000,
)

fault(55, 'every connection taken, a table locked, a transaction left idle', async () => {
  const hand = new pg.Client({ connectionString: market.databaseUrl })
  await hand.connect()
  // A transaction of the market's own that is left idle: ended by the database after its time.
  const own = openDatabase(market.databaseUrl, { max: 1 })
  const idle = own
    .transaction()
    .execute(async (tx) => {
      await sql`select 1`.execute(tx)
      await new Promise((resolve) => setTimeout(resolve, 11_000))
      await sql`select 1`.execute(tx)
    })
    .then(
      () => 'lived on',
      (error: Error & { code?: string }) => error.code ?? error.message,
    )
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const before = (await market.balances()).renter
  try {
    await hand.query('begin')
    await hand.query('lock table offer, payment in access exclusive mode')
    const startedAt = performance.now()
    const asked = Array.from({ length: 48 }, () => market.ask('GET', '/api/offers'))
    const paying = market.pay(quoted.request, header)
    const health = await market.ask('GET', '/api/health')
    const answers = await Promise.all([...asked, paying])
    const longestMs = Math.round(performance.now() - startedAt)
    await hand.query('rollback')
    for (const answer of [...answers, health]) {
      expect(answer.status, answer.text).toBe(503)
      expect(answer.headers.get('retry-after')).toBeTruthy()
    }
    expect(longestMs).toBeLessThan(15_000)
    expect((await market.ask('GET', '/api/health')).status).toBe(200)
    expect((await market.balances()).renter).toBe(before)
    const after = await market.pay(quoted.request, header)
    expect(after.status, after.text).toBe(201)
    await market.stop(quoted.paid.rentalId)
    const ended = await idle
    expect(ended).not.toBe('lived on')
    await settleAll()
    return `${tally(answers.map(statusAndCode))} with Retry-After within ${longestMs} ms, health ${statusAndCode(health)}; then ${after.status}; the idle transaction was ended (${ended})`
  } finally {
    await hand.end()
    await own.destroy()
  }
})

fault(59, 'an old snapshot held open while the queue turns over', async () => {
  for (let n = 0; n < 10; n++) await market.rent()
  const poll = async () => {
    const took: number[] = []
    for (let n = 0; n < 30; n++) {
      const startedAt = performance.now()
      const take = { token: `poll ${n}`, nowMs: market.now(), leaseMs: 0, limit: 20 }
      await takeUndecidedPayments(market.house.db, take)
      await takeTransfers(market.house.db, { ...take, onlyRefunds: false })
      took.push(performance.now() - startedAt)
    }
    return took.sort((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0
  }
  const fresh = await poll()
  const report = new pg.Client({ connectionString: market.databaseUrl })
  await report.connect()
  try {
    await report.query('begin isolation level repeatable read')
    await report.query('select count(*) from rental')
    const turns = 400
    for (const table of ['rental', 'payment', 'transfer'])
      await market.sql(
        `do $$ begin for n in 1..${turns} loop update ${table} set work_until = now() - interval '1 hour'; commit; end loop; end $$`,
      )
    const [dead] = await market.sql(
      `select sum(n_dead_tup)::int as n, (select max(age(backend_xmin)) from pg_stat_activity where datname = current_database())::int as age
       from pg_stat_user_tables`,
    )
    const bloated = await poll()
    expect(bloated).toBeLessThan(100)
    // The market's own sessions can hold no snapshot for long.
    const limits = await sql<{ name: string; setting: string }>`
      select name, setting from pg_settings where name in ('statement_timeout', 'idle_in_transaction_session_timeout')`.execute(
      market.house.db,
    )
    for (const { name, setting } of limits.rows) expect(Number(setting), name).toBeGreaterThan(0)
    for (const { name, setting } of limits.rows) expect(Number(setting), name).toBeLessThanOrEqual(15_000)
    for (const { id } of await market.sql(`select id from rental where status in ('paid', 'starting', 'running')`))
      await market.stop(String(id))
    await settleAll()
    return `snapshot ${dead?.age} transactions old: a look at the queue takes ${bloated.toFixed(1)} ms (before ${fresh.toFixed(1)} ms); sessions of the market end after ${limits.rows.map(({ setting }) => `${Number(setting) / 1000} s`).join(' and ')}`
  } finally {
    await report.end()
  }
})

fault(60, 'Redis gone, slow or wrong', async () => {
  const manifest = JSON.parse(readFileSync(join(cloneDir, 'package-lock.json'), 'utf8')) as { packages: Record<string, unknown> }
  const packages = Object.keys(manifest.packages).filter((path) => /(^|\/)(io)?redis($|-)|\/@redis\/|\/keyv|\/valkey/.test(path))
  expect(packages).toEqual([])
  const folders = ['api', 'app', 'clock', 'components', 'gateway', 'lib', 'packages', 'scripts']
  const files = folders.flatMap((folder) => sourcesIn(join(cloneDir, folder)))
  expect(files.length).toBeGreaterThan(100)
  const users = [...files, join(cloneDir, 'server.ts'), join(cloneDir, '.env.example')].filter((file) =>
    /\b(io)?redis\b|\bvalkey\b/i.test(readFileSync(file, 'utf8')),
  )
  expect(users).toEqual([])
  return `not applicable: there is none; ${files.length} source files and .env.example name no Redis, and of ${Object.keys(manifest.packages).length} packages none is a client of one`
})

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesIn(path)
    return /\.(ts|tsx|mjs)$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name) ? [path] : []
  })
}
