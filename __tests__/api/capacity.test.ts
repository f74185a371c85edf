// Capacity: units are sold once, and whatever ends a rental gives them back once.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyBooks } from '../support/empty-books.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 4 } })
})
afterAll(() => market.close())

const available = async (offerId: string) => (await market.ask('GET', `/api/offers/${offerId}`)).body.unitsAvailable

test('a rental that is stopped before any machine had it gives its units back', async () => {
  const { rental } = await market.rent({ units: 4 })
  expect(rental.state).toBe('paid')
  expect(await available(market.machine.offerId)).toBe(0)
  expect((await market.stop(rental.id)).status).toBe(202)
  await market.until(rental.id, 'settled')
  expect(await available(market.machine.offerId)).toBe(4)
})

test('one that no machine took within ten minutes gives its units back too', async () => {
  const { rental } = await market.rent({ units: 2 })
  await market.advance(601_000)
  // In the hands of a worker that never comes back.
  await market.sql(`update rental set work_until = now() + interval '1 hour' where id = '${rental.id}'`)
  await market.until(rental.id, 'settled')
  expect(await available(market.machine.offerId)).toBe(4)
})

test('a machine cannot end a rental that was never given to it', async () => {
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  const status = { rentalId: quoted.paid.rentalId, epoch: 0, at: market.now(), readyAt: null, exitCode: null, detail: null }
  await market.machine.report({ kind: 'lease', status: { ...status, phase: 'removed', end: 'ordered' } })
  expect((await market.rental(quoted.paid.rentalId)).state).toBe('paid')
  expect(await available(market.machine.offerId)).toBe(3)
  await market.until(quoted.paid.rentalId, 'running')
  await market.stop(quoted.paid.rentalId)
  await market.until(quoted.paid.rentalId, 'settled')
  expect(await available(market.machine.offerId)).toBe(4)
})

test('a stop that arrives while the rental is being given to its machine ends it once, and the next rental is not held up', async () => {
  const first = await market.rent()
  const second = await market.rent()
  await Promise.all([market.stop(first.rental.id), market.tick(), market.stop(first.rental.id)])
  expect(await market.until(second.rental.id, 'running')).toMatchObject({ state: 'running' })
  await market.until(first.rental.id, 'settled')
  await market.stop(second.rental.id)
  await market.until(second.rental.id, 'settled')
  expect(await available(market.machine.offerId)).toBe(4)
})

test('a hundred orders that cannot be delivered do not keep others from going out', async () => {
  const gone = await market.addMachine({ unitsTotal: 100 }, 'gone')
  const { rental: lost } = await market.rent({ offerId: gone.offerId })
  await market.until(lost.id, 'running')
  gone.vanish()
  await market.stop(lost.id)
  const columns = (
    await market.sql(`select string_agg(quote_ident(column_name), ',') as c from information_schema.columns
    where table_name = 'rental' and column_name <> 'id' and table_schema = 'public'`)
  )[0]?.c
  // A hundred more of the same, older than everything else.
  await market.sql(`insert into rental (id, ${columns})
    select 'rnt_' || lpad(to_hex(n), 32, '0'), ${columns} from rental, generate_series(1, 100) n where rental.id = '${lost.id}'`)
  await market.sql(`update rental set units_held = false, created_at = created_at - interval '1 hour' where id < 'rnt_0000000001'`)
  await market.advance(70_000)
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.stop(rental.id)
  await market.tick()
  expect(market.machine.orders.filter((order) => order.rentalId === rental.id).at(-1)).toMatchObject({ desired: 'ended' })
})

test('a hundred buyers of the last unit: one gets it, ninety-nine are told sold_out and keep their money', async () => {
  const market = await openTestHouse({ clock: true, terms: { unitsTotal: 1 } })
  try {
    const quoted = await Promise.all(Array.from({ length: 100 }, () => market.quote()))
    const headers = await Promise.all(quoted.map((each) => market.sign(each)))
    const before = await market.balances()
    const watched: unknown[] = []
    const watching = setInterval(async () => watched.push((await market.sql('select units_reserved as n from offer'))[0]?.n), 50)
    const answers = await Promise.all(quoted.map((each, index) => market.pay(each.request, headers[index] as string)))
    clearInterval(watching)
    const won = answers.filter(({ status }) => status === 201)
    expect(won).toHaveLength(1)
    expect(answers.filter(({ body }) => body.code === 'sold_out')).toHaveLength(99)
    expect(before.renter - (await market.balances()).renter).toBe(10_000n)
    expect(watched.every((n) => n === 0 || n === 1)).toBe(true)
    expect((await market.sql('select count(*)::int as n from payment'))[0]?.n).toBe(1)
    const { id } = (won[0] as Answered).body.rental as { id: string }
    await market.until(id, 'running')
    await market.stop(id)
    await market.until(id, 'settled')
    expect(await market.ledger()).toEqual(emptyBooks)
  } finally {
    await market.close()
  }
})
