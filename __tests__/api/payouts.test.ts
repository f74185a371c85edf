// Payouts: a provider is paid to its own address, from the sum on and as often as it chose, each earning once.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { planFault } from '../support/chain-fault.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 50 }, slotMs: 60 })
})
afterAll(() => market.close())

const path = () => `/api/nodes/${market.machine.nodeId}/payouts`
const asProvider = () => providerBearer(market, market.machine)
const choose = (minAtoms: string, intervalSeconds: number, headers: Record<string, string> = asProvider()) =>
  market.ask('POST', path(), { minAtoms, intervalSeconds }, headers)
const payouts = async () => (await market.ask('GET', path(), undefined, asProvider())).body

/** A rental that ran for five minutes and ended: 5,000 atoms charged, 4,750 of them the provider's. */
async function fiveMinutes(): Promise<string> {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.advance(300_000)
  await market.machine.use(rental.id, 300)
  await market.stop(rental.id)
  return rental.id
}

test('the rule is the provider’s: its own key or the admin’s token sets it, nobody else’s', async () => {
  expect((await market.ask('POST', path(), { minAtoms: '1', intervalSeconds: 0 })).status).toBe(401)
  const { rental } = await market.rent()
  expect((await choose('1', 0, market.bearer(rental.id))).status).toBe(404)
  const other = await market.addMachine({}, 'other')
  expect((await choose('1', 0, providerBearer(market, other))).status).toBe(404)
  expect(await choose('-1', 0)).toMatchObject({ status: 422 })
  expect(await choose('10000', 0)).toMatchObject({ status: 200, body: { policy: { minAtoms: '10000', intervalSeconds: 0 } } })
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
})

test('below the minimum earnings wait, and the rental settles with a receipt that says so; above it one transfer pays for all of them', async () => {
  expect((await choose('10000', 0)).status).toBe(200)
  const before = (await market.balances()).provider
  const ids = [await fiveMinutes(), await fiveMinutes()]
  for (const id of ids) await market.until(id, 'settled')
  const receipt = (await market.ask('GET', `/api/rentals/${ids[0]}/receipt`, undefined, market.bearer(ids[0] ?? ''))).body
  expect(receipt.transfers).toContainEqual(expect.objectContaining({ kind: 'payout', amountAtoms: '4750', transaction: null }))
  expect((await market.balances()).provider).toBe(before)
  expect(await payouts()).toMatchObject({ owedAtoms: '9500', paidAtoms: '0', lastPayoutAt: null })

  ids.push(await fiveMinutes())
  await market.until(ids[2] ?? '', 'settled')
  const giveUpAt = Date.now() + 20_000
  while ((await payouts()).paidAtoms !== '14250' && Date.now() < giveUpAt) await market.tick()
  expect(await payouts()).toMatchObject({ owedAtoms: '0', onItsWayAtoms: '0', paidAtoms: '14250' })
  expect((await market.balances()).provider).toBe(before + 14_250n)
  expect(await market.sql(`select count(*)::int as n from transfer where kind = 'payout'`)).toEqual([{ n: 1 }])
  expect(await market.ledger()).toEqual(emptyBooks)
})

test('two workers at once bundle every earning into one transfer only', async () => {
  expect((await choose('0', 0)).status).toBe(200)
  await planFault(market.chain.rpcUrl, { finalityStalls: true })
  const ids = [await fiveMinutes(), await fiveMinutes(), await fiveMinutes()]
  await market.idle()
  await planFault(market.chain.rpcUrl, { finalityStalls: false })
  // The books close, and payouts are made by many hands at once.
  const giveUpAt = Date.now() + 20_000
  for (;;) {
    await Promise.all([market.tick(), payOutEarnings(market.house), payOutEarnings(market.house), payOutEarnings(market.house)])
    const open = await market.sql(`select 1 from earning left join transfer on transfer.id = earning.transfer_id
      where earning.rental_id in (${ids.map((id) => `'${id}'`)}) and transfer.status is distinct from 'confirmed'`)
    const known = await market.sql(`select 1 from earning where rental_id in (${ids.map((id) => `'${id}'`)})`)
    if (known.length === 3 && open.length === 0) break
    if (Date.now() > giveUpAt) throw new Error('they are never paid')
  }
  const [sums] = await market.sql(`select
    (select sum(amount_atoms)::int from earning) as earned,
    (select sum(amount_atoms)::int from transfer where kind = 'payout') as paid`)
  expect(sums?.paid).toBe(sums?.earned)
  for (const id of ids) await market.until(id, 'settled')
  expect(await market.ledger()).toEqual(emptyBooks)
})

test('with an interval the next payout waits for it', async () => {
  expect((await choose('0', 3600)).status).toBe(200)
  const before = (await market.balances()).provider
  const id = await fiveMinutes()
  await market.until(id, 'settled')
  for (let beat = 0; beat < 5; beat++) await market.tick()
  expect((await market.balances()).provider).toBe(before)
  await market.advance(3_600_000)
  const giveUpAt = Date.now() + 20_000
  while ((await payouts()).owedAtoms !== '0' && Date.now() < giveUpAt) await market.tick()
  while ((await payouts()).onItsWayAtoms !== '0' && Date.now() < giveUpAt) await market.tick()
  expect((await market.balances()).provider).toBe(before + 4_750n)
})

test('a payout that cannot arrive stays owed and visible, keeps nobody waiting for a receipt, and goes out when it can', async () => {
  expect((await choose('0', 0)).status).toBe(200)
  const before = (await market.balances()).provider
  await planFault(market.chain.rpcUrl, { freeze: market.addresses.provider })
  const id = await fiveMinutes()
  const giveUpAt = Date.now() + 40_000
  while ((await market.rental(id)).state !== 'settled' && Date.now() < giveUpAt) {
    await market.advance(10_000)
    await market.tick()
  }
  expect((await market.rental(id)).state).toBe('settled')
  const [waiting] = await market.sql(`select status, last_error from transfer where rental_id = '${id}' and kind = 'payout'`)
  expect(waiting?.status).not.toBe('confirmed')
  expect(String(waiting?.last_error)).toMatch(/\w/)
  await planFault(market.chain.rpcUrl, { thaw: market.addresses.provider })
  while ((await payouts()).onItsWayAtoms !== '0' && Date.now() < giveUpAt) {
    await market.advance(30_000)
    await market.tick()
  }
  expect((await market.balances()).provider).toBe(before + 4_750n)
  expect(await market.ledger()).toEqual(emptyBooks)
})
