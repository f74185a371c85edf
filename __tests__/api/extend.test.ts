// Extending: every payment counts once, buys time for the rental it was made for, and comes back when it bought nothing.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 50 })
})
afterAll(() => market.close())

async function running(): Promise<string> {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  return rental.id
}

const path = (id: string) => `/api/rentals/${id}/extend`
const quote = (id: string, minutes = 5) => market.quote({ minutes }, path(id), market.bearer(id))
const extend = (id: string, header: string, minutes = 5) => market.pay({ minutes }, header, path(id), market.bearer(id))

async function expectBalanced() {
  expect(await market.ledger()).toEqual(emptyBooks)
  expect((await market.balances()).escrow).toBe(0n)
}

test('two extensions paid at once both count, and each header counts once however often it is sent', async () => {
  const id = await running()
  const paidUntil = Date.parse(String((await market.rental(id)).paidUntil))
  const quotes = await Promise.all([quote(id, 5), quote(id, 7)])
  const [first, second] = await Promise.all(quotes.map((each) => market.sign(each)))
  const answers = await Promise.all([
    ...Array.from({ length: 5 }, () => extend(id, String(first), 5)),
    ...Array.from({ length: 5 }, () => extend(id, String(second), 7)),
  ])
  expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
  const extended = await market.rental(id)
  expect(extended).toMatchObject({ minutes: 22, prepaidAtoms: '22000' })
  expect(Date.parse(String(extended.paidUntil)) - paidUntil).toBe(12 * 60_000)
  await market.tick()
  expect(market.machine.leases.get(id)?.order.paidSeconds).toBe(22 * 60)
  await market.stop(id)
  await market.until(id, 'settled')
  await expectBalanced()
})

test('an extension that lands after the rental ended buys nothing and goes back in full to who paid it', async () => {
  const id = await running()
  const friend = await market.wallet()
  const quoted = await quote(id)
  const header = await market.sign(quoted, friend)
  const before = await market.usdcOf(friend.address)
  // It lands, but nobody hears of it until the rental is over and settled.
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress'])
    await planFault(market.chain.rpcUrl, { refuse: 100_000 }, method)
  expect(await extend(id, header)).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  await market.stop(id)
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress'])
    await planFault(market.chain.rpcUrl, {}, method)
  await market.until(id, 'settled')
  while ((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).body.state !== 'settled') {
    await market.advance(3_000)
    await market.tick()
  }
  const giveUpAt = Date.now() + 30_000
  while ((await market.ledger()).escrow !== 0n && Date.now() < giveUpAt) {
    await market.advance(3_000)
    await market.tick()
  }
  expect(await market.usdcOf(friend.address)).toBe(before)
  expect(await market.rental(id)).toMatchObject({ state: 'settled', minutes: 10, prepaidAtoms: '10000' })
  expect(await extend(id, header)).toMatchObject({ status: 409, body: { code: 'payment_too_late', refundedAtoms: '5000' } })
  await expectBalanced()
})

test('refunds go back to each wallet that paid, the newest payment first', async () => {
  const id = await running()
  const friend = await market.wallet()
  const [mine, theirs] = [(await market.balances()).renter, await market.usdcOf(friend.address)]
  expect((await extend(id, await market.sign(await quote(id), friend))).status).toBe(200)
  await market.advance(12 * 60_000)
  await market.machine.use(id, 12 * 60)
  await market.stop(id)
  const settled = await market.until(id, 'settled')
  // 12 of 15 minutes were used: the friend's 5 come back but for 2, the renter's 10 are spent.
  expect(settled).toMatchObject({ chargedAtoms: '12000', refundAtoms: '3000' })
  expect(await market.usdcOf(friend.address)).toBe((theirs ?? 0n) - 2_000n)
  expect((await market.balances()).renter).toBe(mine)
  await expectBalanced()
})

test('a refund larger than the newest payment goes on to the one before', async () => {
  const id = await running()
  const friend = await market.wallet()
  const before = [(await market.balances()).renter, await market.usdcOf(friend.address)] as const
  expect((await extend(id, await market.sign(await quote(id), friend))).status).toBe(200)
  await market.advance(4 * 60_000)
  await market.machine.use(id, 4 * 60)
  await market.stop(id)
  await market.until(id, 'settled')
  expect(await market.usdcOf(friend.address)).toBe(before[1])
  expect((await market.balances()).renter).toBe(before[0] + 6_000n)
  await expectBalanced()
})

test('an extension needs the rental’s token and a payment made for this rental', async () => {
  const [id, other] = [await running(), await running()]
  expect(await market.ask('POST', path(id), { minutes: 5 })).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
  expect(await market.ask('POST', path(id), { minutes: 5 }, market.bearer(other))).toMatchObject({
    status: 404,
    body: { code: 'rental_not_found' },
  })
  const header = await market.sign(await quote(other))
  expect(await extend(id, header)).toMatchObject({ status: 422, body: { code: 'quote_mismatch' } })
  expect(await extend(other, header, 6)).toMatchObject({ status: 422, body: { code: 'quote_mismatch' } })
  // A payment for an extension opens no rental, and one for a rental extends nothing.
  expect(await market.pay({ minutes: 5 }, header)).toMatchObject({ status: 422 })
  const rent = await market.quote()
  expect(await market.pay(rent.request, await market.sign(rent), path(id), market.bearer(id))).toMatchObject({ status: 422 })
  for (const each of [id, other]) {
    expect((await market.rental(each)).minutes).toBe(10)
    await market.stop(each)
    await market.until(each, 'settled')
  }
})

test('a rental that is over cannot be extended, neither quoted nor paid', async () => {
  const id = await running()
  const quoted = await quote(id)
  const header = await market.sign(quoted)
  await market.stop(id)
  const before = (await market.balances()).renter
  expect(await extend(id, header)).toMatchObject({ status: 409, body: { code: 'rental_cannot' } })
  expect(await market.ask('POST', path(id), { minutes: 5 }, market.bearer(id))).toMatchObject({
    status: 409,
    body: { code: 'rental_cannot' },
  })
  expect((await market.balances()).renter).toBe(before)
  await market.until(id, 'settled')
})
