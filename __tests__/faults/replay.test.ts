// Faults 34, 54 and 63: the same key again and again, a database that only reads, and every event told once more.
import { randomUUID } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject } from 'vitest'
import { type EventPosition, findEvents } from '../../lib/db/events.ts'
import { followEvents } from '../../lib/follow-events.ts'
import { cloneDir } from '../../scripts/state.ts'
import { planFault } from '../support/chain-fault.ts'
import { readHistory } from '../support/chain-history.ts'
import { fault, tally } from '../support/faults.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'
import { openReplicaHouse, type Replica } from '../support/replica-house.ts'
import { settleAll } from '../support/settle-all.ts'
import { runStatements } from '../support/statements.ts'

const price = 10_000n
const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)

fault(34, 'the same idempotency key 50 times at once', async () => {
  const house = await openReplicaHouse({ terms: { unitsTotal: 10 } })
  try {
    const replicaOf = (index: number) => house.replicas[index % house.replicas.length] as Replica
    const before = (await house.balances()).renter
    const key = { 'idempotency-key': randomUUID() }
    const quoted = await house.quote()
    const header = await house.sign(quoted)
    const countOf = async (table: string) => Number((await house.sql(`select count(*)::int as n from ${table}`))[0]?.n)
    const had = [await countOf('rental'), await countOf('payment')]
    // The chain takes its time, so that the first is still at it when the last one comes.
    await planFault(house.chain.rpcUrl, { delayMs: 4_000, delays: 1 }, 'sendTransaction')
    const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => house.pay(quoted, header, replicaOf(index), key)))
    const done = answers.filter(({ status }) => status === 201)
    expect(done).toHaveLength(1)
    const others = answers.filter(({ status }) => status !== 201)
    expect(others.map(statusAndCode)).toEqual(Array(49).fill('409 idempotency_in_flight'))
    for (const { headers } of others) expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    const replays = await Promise.all(Array.from({ length: 50 }, (_, index) => house.pay(quoted, header, replicaOf(index), key)))
    for (const replay of replays) {
      expect(replay.status, replay.text).toBe(201)
      expect(replay.text).toBe(done[0]?.text)
      expect(replay.headers.get('payment-response')).toBe(done[0]?.headers.get('payment-response'))
      expect(replay.headers.get('idempotency-replayed')).toBe('true')
    }
    expect([await countOf('rental'), await countOf('payment')]).toEqual(had.map((n) => n + 1))
    expect(before - (await house.balances()).renter).toBe(price)
    const { landedIn } = await house.checkEmpty()
    expect(landedIn).toBe(1)
    return `${tally(answers.map(statusAndCode))}; then ${tally(replays.map(statusAndCode))}, ${new Set(replays.map(({ text }) => text)).size} text, the same bytes as the first; ${landedIn} transfer on chain`
  } finally {
    await house.close()
  }
})

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 60 }, slotMs: 40 })
})
afterAll(() => market?.close())

/** Ends every connection: the market finds a database that only reads, as after a failover to a standby, or one that writes again. */
async function turn(isReadOnly: boolean): Promise<void> {
  const name = new URL(market.databaseUrl).pathname.slice(1)
  await runStatements(
    inject('adminDatabaseUrl'),
    `alter database ${name} ${isReadOnly ? 'set default_transaction_read_only = on' : 'reset default_transaction_read_only'}`,
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`,
  )
  await expect.poll(async () => (await market.ask('GET', '/api/offers')).status).toBe(200)
}

fault(54, 'failover to a database that lags', async () => {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const midway = await market.quote()
  const midwayHeader = await market.sign(midway)

  // It turns in the middle of a payment: what was sent lands, and nobody can write it down.
  await planFault(market.chain.rpcUrl, { delayMs: 1_500, delays: 1 }, 'sendTransaction')
  const paying = market.pay(midway.request, midwayHeader)
  await expect.poll(() => market.paymentState(midway.paid.paymentId), { interval: 10 }).toBe('submitted')
  await turn(true)
  const interrupted = await paying
  const path = `/api/rentals/${rental.id}/extend`
  const more = await market.quote({ minutes: 5 }, path, market.bearer(rental.id))
  const answers = [
    interrupted,
    await market.pay(quoted.request, header),
    await market.pay({ minutes: 5 }, await market.sign(more), path, market.bearer(rental.id)),
    await market.stop(rental.id),
    await market.ask('GET', '/api/health'),
  ]
  for (const answer of answers) {
    expect(answer.status, answer.text).toBe(503)
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  }
  for (const answer of answers.slice(0, 4)) expect(answer.body.code, answer.text).toBe('database_unavailable')
  // Nothing is half done: what was not claimed was not sent, what was claimed waits, and the timers say that they cannot write.
  expect(before - (await market.balances()).renter).toBe(price)
  expect((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).status).toBe(404)
  expect(await market.paymentState(midway.paid.paymentId)).toBe('submitted')
  await expect(market.tick()).rejects.toMatchObject({ code: '25006' })

  await turn(false)
  expect((await market.ask('GET', '/api/health')).status).toBe(200)
  expect(await market.untilDecided(midway.paid.paymentId)).toBe('settled')
  const after = [await market.pay(midway.request, midwayHeader), await market.pay(quoted.request, header)]
  expect(after.map(({ status }) => status)).toEqual([201, 201])
  expect(before - (await market.balances()).renter).toBe(2n * price)
  const { landedIn } = await settleAll(market)
  expect(landedIn).toBe(3)

  // Money is read where it is written: there is one database, and one place that opens it.
  const settings = readFileSync(join(cloneDir, '.env.example'), 'utf8').matchAll(/^#? ?([A-Z][A-Z0-9_]+)=/gm)
  const databases = [...settings]
    .map(([, name]) => String(name))
    .filter((name) => /DATABASE|POSTGRES|PG|REPLICA|STANDBY|READ_ONLY/.test(name))
  expect(databases).toEqual(['DATABASE_URL'])
  const openers = ['api', 'app', 'clock', 'gateway', 'lib']
    .flatMap((folder) => sourcesIn(join(cloneDir, folder)))
    .filter((file) => /openDatabase\(|new pg\.|new Pool\(/.test(readFileSync(file, 'utf8')))
    .map((file) => file.slice(cloneDir.length + 1))
  expect(openers.toSorted()).toEqual(['lib/db/client.ts', 'lib/wiring.ts'])
  return `read-only: ${tally(answers.map(statusAndCode))} with Retry-After, timers refused (25006); writable again: ${tally(after.map(statusAndCode))}, ${landedIn} paid once each; ${databases.join()} is the only database, opened in ${openers.length} files`
})

fault(63, 'every event consumed again', async () => {
  // Something of everything: ended, refunded in part, unmatched, and one that still runs.
  for (const seconds of [0, 120, 300]) {
    const { rental } = await market.rent()
    await market.until(rental.id, 'running')
    await market.advance(seconds * 1_000)
    if (seconds > 0) await market.machine.use(rental.id, seconds)
    await market.stop(rental.id)
    await market.until(rental.id, 'settled')
  }
  await settleAll(market)
  const { rental: running } = await market.rent()
  await market.until(running.id, 'running')
  for (let beat = 0; beat < 3; beat++) await market.tick()

  const state = async () => ({
    books: await market.ledger(),
    balances: await market.balances(),
    onChain: (await readHistory(market.chain.rpcUrl, market.addresses.escrow, market.env.usdcMint)).map(({ signature }) => signature),
    orders: market.machine.orders.length,
    rows: await Promise.all(
      [
        'rental',
        'payment',
        'transfer',
        'earning',
        'ledger_transaction',
        'ledger_entry',
        'ledger_hold',
        'ledger_hold_end',
        'receipt',
        'escrow_movement',
        'event',
      ].map(async (table) => {
        const [row] = await market.sql(`select count(*)::int as n from ${table}`)
        return `${table} ${row?.n}`
      }),
    ),
  })
  await expect
    .poll(async () => {
      await market.tick()
      return (await market.sql(`select 1 from payment where rental_id = '${running.id}' and finalized_at is not null`)).length
    })
    .toBe(1)
  const before = await state()
  const start: EventPosition = { xact: '0', id: '0' }
  const told = (await findEvents(market.house.db, start, 10_000)).length
  expect(told).toBeGreaterThan(40)
  const works: string[] = []
  for (let pass = 0; pass < 2; pass++) {
    const follow = followEvents(market.house, start)
    for (let work = await follow(); work.size > 0; work = await follow()) {
      works.push(...work)
      // Whatever work was told, and more: every timer, for each told thing, twice at once.
      for (const _ of work) await Promise.all([market.tick(), market.tick()])
    }
  }
  // And one event after the other, as a consumer would that lost its place each time.
  for (const { position } of await findEvents(market.house.db, start, 10_000)) {
    const work = await followEvents(market.house, position)()
    if (work.size > 0) await market.tick()
  }
  expect(new Set(works)).toEqual(new Set(['assign', 'orders', 'books', 'transfers', 'escrow', 'receipts']))
  expect(await state()).toEqual(before)
  await settleAll(market)
  return `${told} events told ${2 + told} times over, work ${[...new Set(works)].join(', ')}: same rows (${before.rows.join(', ')}), same ${before.onChain.length} transactions on chain, same balances`
})

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesIn(path)
    return /\.tsx?$/.test(entry.name) && !/\.test\.tsx?$/.test(entry.name) ? [path] : []
  })
}
