// A database that is away: 503 meanwhile, nothing lost, and the market recovers by itself.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type ChaosProxy, proxyBefore } from '../support/chaos-proxy.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
let wire: ChaosProxy
beforeAll(async () => {
  market = await openTestHouse({
    terms: { unitsTotal: 40 },
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
afterEach(() => wire.mend())

const reads = ['/api/offers', '/api/payments/pay_00000000000000000000000000000000', '/api/offers/ofr_00000000000000000000000000000000']

test('while it is away every answer is 503 problem+json, and afterwards everything is as before', async () => {
  const { rental } = await market.rent()
  wire.cut()
  const answers = await Promise.all([
    ...reads.map((path) => market.ask('GET', path)),
    market.ask('POST', '/api/rentals', market.request()),
    market.ask('GET', `/api/rentals/${rental.id}`, undefined, market.bearer(rental.id)),
    market.stop(rental.id),
  ])
  for (const answer of answers) {
    expect(answer, answer.text).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('retry-after')).toBeTruthy()
  }
  expect(await market.ask('GET', '/api/health')).toMatchObject({ status: 503, body: { code: 'not_ready' } })
  await wire.mend()
  expect((await market.ask('GET', '/api/health')).status).toBe(200)
  expect((await market.stop(rental.id)).status).toBe(202)
  await market.until(rental.id, 'settled')
})

test('a database that breaks anywhere on the way of a payment loses nothing: the same header is 201 in the end, paid once', async () => {
  for (let breakAfterMs = 0; breakAfterMs <= 24; breakAfterMs += 3) {
    const before = (await market.balances()).renter
    const quoted = await market.quote()
    const header = await market.sign(quoted)
    const paying = market.pay(quoted.request, header)
    await new Promise((resolve) => setTimeout(resolve, breakAfterMs))
    wire.cut()
    const first = await paying
    expect([201, 202, 503], first.text).toContain(first.status)
    // Until every connection has noticed.
    await new Promise((resolve) => setTimeout(resolve, 50))
    await wire.mend()
    // Nothing happens by itself in this house: a claim that was left behind is taken up by the reconciler.
    for (let tries = 0; tries < 40; tries++) {
      const told = await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)
      if (told.status === 404 || told.body.state === 'settled') break
      await market.advance(9_000)
      await market.tick()
    }
    const again = await market.pay(quoted.request, header)
    expect(again.status, again.text).toBe(201)
    expect(before - (await market.balances()).renter).toBe(10_000n)
    await market.until(quoted.paid.rentalId, 'running')
    await market.stop(quoted.paid.rentalId)
    await market.until(quoted.paid.rentalId, 'settled')
  }
  expect(await market.ledger()).toEqual(emptyBooks)
  expect((await market.balances()).escrow).toBe(0n)
})
