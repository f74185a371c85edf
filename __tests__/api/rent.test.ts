// Renting over the API: what a payment buys, and everything that it must not buy.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 } })
})
afterAll(() => market.close())

const tables = ['rental', 'payment', 'ledger_transaction', 'ledger_entry', 'transfer', 'usage_record', 'receipt']

async function counts(): Promise<Record<string, unknown>> {
  const [row] = await market.sql(`select ${tables.map((table) => `(select count(*)::int from ${table}) as ${table}`).join(', ')}`)
  return row ?? {}
}

async function reserved(): Promise<unknown> {
  const [row] = await market.sql(`select units_reserved from offer where id = '${market.machine.offerId}'`)
  return row?.units_reserved
}

test('a rental goes from offer to receipt, and every atom that was paid is accounted for', async () => {
  const offers = await market.ask('GET', '/api/offers')
  expect(offers.body.items).toMatchObject([{ id: market.machine.offerId, online: true, unitsAvailable: 40 }])
  const before = await market.balances()
  const rowsBefore = await counts()

  const quoted = await market.quote(market.request({ units: 2, minutes: 30 }))
  expect(quoted.answer.headers.get('content-type')).toContain('application/problem+json')
  expect(quoted.paid.price).toMatchObject({ prepaidAtoms: '60000', units: 2, minutes: 30, feeBps: 500, currency: 'USDC' })
  expect(await counts()).toEqual(rowsBefore)
  expect(await reserved()).toBe(0)

  const created = await market.pay(quoted.request, await market.sign(quoted))
  expect(created.status).toBe(201)
  expect(created.headers.get('payment-response')).toBeTruthy()
  expect(created.headers.get('cache-control')).toBe('private, no-store')
  expect(created.body).toMatchObject({ rental: { id: quoted.paid.rentalId, state: 'paid', prepaidAtoms: '60000' } })
  const { id } = created.body.rental as { id: string }
  expect((await market.balances()).escrow).toBe(before.escrow + 60_000n)
  expect(await reserved()).toBe(2)

  await market.until(id, 'running')
  await market.advance(600_000)
  await market.machine.use(id, 600)
  const stopped = await market.stop(id)
  expect(stopped.status).toBe(202)
  expect(stopped.body).toMatchObject({ state: 'ending', endReason: 'stopped' })

  const settled = await market.until(id, 'settled')
  expect(settled.meteredSeconds).toBe(600)
  // 2 units at 60,000 atoms an hour for 600 s, of which 5 % are the fee.
  expect(settled).toMatchObject({ chargedAtoms: '20000', feeAtoms: '1000', payoutAtoms: '19000', refundAtoms: '40000' })
  const total = BigInt(settled.payoutAtoms) + BigInt(settled.feeAtoms) + BigInt(settled.refundAtoms)
  expect(total).toBe(BigInt(settled.prepaidAtoms))
  expect(await market.balances()).toEqual({
    escrow: before.escrow,
    fee: before.fee + 1_000n,
    provider: before.provider + 19_000n,
    renter: before.renter - 20_000n,
  })
  expect(await market.ledger()).toEqual(emptyBooks)
  expect(await reserved()).toBe(0)

  const receipt = await market.ask('GET', `/api/rentals/${id}/receipt`, undefined, market.bearer(id))
  expect(receipt.status).toBe(200)
  expect((receipt.body.transfers as { kind: string }[]).map(({ kind }) => kind).sort()).toEqual(['charge', 'fee', 'payout', 'refund'])
})

test('the same payment sent 20 times at once is one payment for one rental, and every answer names that rental', async () => {
  const before = await market.balances()
  const rowsBefore = await counts()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const answers = await Promise.all(Array.from({ length: 20 }, () => market.pay(quoted.request, header)))
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(201))
  expect(new Set(answers.map(({ body }) => (body.rental as { id: string }).id))).toEqual(new Set([quoted.paid.rentalId]))
  expect(new Set(answers.map(({ body }) => body.accessToken)).size).toBe(1)
  expect((await market.balances()).renter).toBe(before.renter - 10_000n)
  expect(await counts()).toMatchObject({ rental: Number(rowsBefore.rental) + 1, payment: Number(rowsBefore.payment) + 1 })
  await market.stop(quoted.paid.rentalId)
})

test('a payment buys the request that was quoted and no other', async () => {
  const before = await market.balances()
  const quoted = await market.quote()
  const answer = await market.pay(market.request({ minutes: 11 }), await market.sign(quoted))
  expect(answer).toMatchObject({ status: 422, body: { code: 'quote_mismatch' } })
  expect((await market.balances()).renter).toBe(before.renter)
})

test('a payment cannot be used again for another quote', async () => {
  const [first, second] = [await market.quote(), await market.quote()]
  const used = await market.sign(first)
  expect((await market.pay(first.request, used)).status).toBe(201)
  const before = await market.balances()
  // The transaction of the first payment, wrapped as if it paid the second quote.
  const payload = JSON.parse(Buffer.from(used, 'base64').toString())
  const [accepted] = second.paid.paymentRequired.accepts
  const replayed = Buffer.from(JSON.stringify({ ...payload, accepted })).toString('base64')
  expect(await market.pay(second.request, replayed)).toMatchObject({ status: 409, body: { code: 'payment_already_used' } })
  expect((await market.balances()).renter).toBe(before.renter)
  expect(await market.sql(`select 1 from rental where id = '${second.paid.rentalId}'`)).toHaveLength(0)
  await market.stop(first.paid.rentalId)
})

test('what is sold out is refused before anything is charged, even when it was quoted while it was free', async () => {
  const small = await market.addMachine({ unitsTotal: 1 }, 'small')
  const wanted = { offerId: small.offerId, units: 1, minutes: 10 }
  const other = await market.wallet()
  const [first, second] = [await market.quote(wanted), await market.quote(wanted)]
  const [header, otherHeader] = await Promise.all([market.sign(first), market.sign(second, other)])
  expect((await market.pay(wanted, header)).status).toBe(201)
  const before = await market.usdcOf(other.address)
  expect(await market.pay(wanted, otherHeader)).toMatchObject({ status: 409, body: { code: 'sold_out' } })
  expect(await market.ask('POST', '/api/rentals', wanted)).toMatchObject({ status: 409, body: { code: 'sold_out', unitsAvailable: 0 } })
  expect(await market.usdcOf(other.address)).toBe(before)
  await market.stop(first.paid.rentalId)
})

test('a quote that was not paid in time pays for nothing', async () => {
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await market.advance(91_000)
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 410, body: { code: 'quote_expired' } })
})

test('every wrong request is refused with problem+json that says what is wrong', async () => {
  const json = { 'content-type': 'application/json' }
  const wrong: [Promise<{ status: number; headers: Headers; body: Record<string, unknown> }>, number, string][] = [
    [market.ask('POST', '/api/rentals', { ...market.request(), price: 1 }), 422, 'invalid_request'],
    [market.ask('POST', '/api/rentals', market.request({ units: 0 })), 422, 'invalid_request'],
    [market.ask('POST', '/api/rentals', '{', json), 400, 'invalid_json'],
    [market.ask('POST', '/api/rentals', 'a=1', { 'content-type': 'text/plain' }), 415, 'unsupported_media_type'],
    [market.ask('POST', '/api/rentals', `{"pad":"${'x'.repeat(64 * 1024)}"}`, json), 413, 'too_large'],
    [market.ask('POST', '/api/rentals', market.request({ offerId: market.unknownId('offer') })), 404, 'offer_not_found'],
    [market.ask('POST', '/api/rentals', market.request({ minutes: 1441 })), 422, 'duration_out_of_range'],
    [market.pay(market.request(), 'nonsense'), 422, 'payment_invalid'],
    [market.ask('GET', `/api/rentals/${market.unknownId('rental')}`), 401, 'unauthorized'],
    [market.ask('GET', `/api/rentals/${market.unknownId('rental')}`, undefined, { authorization: 'Bearer x' }), 404, 'rental_not_found'],
    [market.ask('GET', `/api/payments/${market.unknownId('payment')}`), 404, 'payment_not_found'],
    [market.ask('GET', '/api/nowhere'), 404, 'not_found'],
    [market.ask('POST', '/api/offers', {}), 405, 'method_not_allowed'],
  ]
  for (const [asked, status, code] of wrong) {
    const answer = await asked
    expect(answer.body).toMatchObject({ status, code, type: `/errors#${code}` })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
  }
})

test('a 405 says which methods are possible', async () => {
  const answer = await market.ask('DELETE', '/api/rentals')
  expect(answer).toMatchObject({ status: 405, body: { code: 'method_not_allowed' } })
  expect(answer.headers.get('allow')).toBe('POST')
})
