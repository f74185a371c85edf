// The payment endpoints: the same verbs as renting and extending, one step at a time; and who may close the books.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { PaymentQuote } from '@flow402/protocol/payment'
import { decodePaymentRequiredHeader } from '@x402/core/http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { reconcilePayments } from '../../lib/payments/reconcile-payments.ts'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { readQuote } from '../../lib/rentals/quote-token.ts'
import { planFault } from '../support/chain-fault.ts'
import { type Answered, openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'

const adminToken = randomBytes(32).toString('base64url')
const admin = { authorization: `Bearer ${adminToken}` }
let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 200 }, settings: () => ({ ADMIN_TOKEN: adminToken }) })
})
afterAll(() => market.close())

type Headers = Record<string, string>
const post = (name: string, body: unknown, headers: Headers = {}) => market.ask('POST', `/api/payments/${name}`, body, headers)
const payloadOf = (header: string) => JSON.parse(Buffer.from(header, 'base64').toString()) as Record<string, unknown>

/** Asks for a price over the payment endpoint. */
async function quote(request: unknown = market.request(), headers: Headers = {}): Promise<Quoted> {
  const answer = await post('quote', request, headers)
  if (answer.status !== 200) throw new Error(`expected a 200 but got ${answer.status}: ${answer.text}`)
  const { paymentRequired, paymentId, rentalId, expiresAt, price } = PaymentQuote.parse(answer.body)
  const input = { body: request as ReturnType<TestHouse['request']> }
  const paid = { name: 'requestRental' as const, input, rentalId, paymentId, expiresAt, price }
  return { request, path: '/api/payments/quote', answer, paid: { ...paid, paymentRequired: paymentRequired as never } }
}

async function traces(): Promise<unknown> {
  const tables = ['payment', 'rental', 'ledger_transaction', 'idempotent_request']
  const [row] = await market.sql(`select ${tables.map((table) => `(select count(*)::int from ${table}) as ${table}`).join(', ')},
    (select sum(units_reserved)::int from offer) as units`)
  return { ...row, balances: await market.balances() }
}

test('a quote says in its body what the 402 says in its header, and leaves no trace', async () => {
  const before = await traces()
  const { answer, paid } = await quote(market.request({ units: 2, minutes: 30 }), { 'idempotency-key': 'k' })
  const required = decodePaymentRequiredHeader(String(answer.headers.get('payment-required')))
  expect(answer.body.paymentRequired).toEqual(required)
  expect(required).toMatchObject({ x402Version: 2, resource: { url: 'http://market.test/api/rentals' }, accepts: [{ amount: '60000' }] })
  expect(paid.price).toMatchObject({ prepaidAtoms: '60000', units: 2, minutes: 30 })
  const terms = await readQuote(market.house.keys, String(answer.body.quote))
  expect(terms).toMatchObject({ paymentId: paid.paymentId, rentalId: paid.rentalId, amountAtoms: '60000' })
  expect(required.accepts[0]?.extra?.quote).toBe(answer.body.quote)
  expect(await traces()).toEqual(before)
})

test('authorize says whether a payment would be taken, and takes nothing', async () => {
  const quoted = await quote()
  const header = await market.sign(quoted)
  const before = await traces()
  const yes = { isValid: true, payer: market.renter.address, paymentId: quoted.paid.paymentId }
  for (const payment of [header, payloadOf(header)])
    expect(await post('authorize', { request: quoted.request, payment })).toMatchObject({ status: 200, body: yes })
  expect((await post('authorize', { request: quoted.request }, { 'payment-signature': header })).body).toEqual(yes)

  const poor = await market.sign(await quote(), await market.wallet(1n))
  const other = { ...(quoted.request as object), minutes: 11 }
  const nos: [unknown, unknown, string][] = [
    [quoted.request, 'nonsense', 'payment_invalid'],
    [quoted.request, { ...payloadOf(header), x402Version: 1 }, 'payment_invalid'],
    [other, header, 'quote_mismatch'],
    [quoted.request, poor, 'payment_failed'],
  ]
  for (const [request, payment, code] of nos) {
    const { status, body } = await post('authorize', { request, payment })
    expect([status, body]).toEqual([200, { isValid: false, code, reason: expect.any(String) }])
  }
  expect(await traces()).toEqual(before)

  // What was taken already is still valid: completing it gives its outcome. Another payment for the same quote is not.
  const second = await market.sign(quoted, await market.wallet())
  expect((await post('complete', { request: quoted.request, payment: header })).status).toBe(201)
  expect((await post('authorize', { request: quoted.request, payment: header })).body).toEqual(yes)
  expect((await post('authorize', { request: quoted.request, payment: second })).body).toMatchObject({ code: 'payment_already_used' })
  const late = await quote()
  const lateHeader = await market.sign(late)
  await market.advance(91_000)
  expect((await post('authorize', { request: late.request, payment: lateHeader })).body).toMatchObject({ code: 'quote_expired' })
  await market.stop(quoted.paid.rentalId)
})

test('authorize that cannot be judged is 503, and without a payment 422', async () => {
  const quoted = await quote()
  const header = await market.sign(quoted)
  const twice = await post('authorize', { request: quoted.request, payment: header }, { 'payment-signature': header })
  for (const answer of [twice, await post('authorize', { request: quoted.request })])
    expect(answer).toMatchObject({ status: 422, body: { code: 'invalid_request', errors: [{ field: 'payment' }] } })
  await planFault(market.chain.rpcUrl, { refuse: 1_000 })
  const answer = await post('authorize', { request: quoted.request, payment: header })
  await planFault(market.chain.rpcUrl, {})
  expect(answer).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect(answer.headers.get('retry-after')).toBeTruthy()
})

/** An answer without what differs from one rental to the next. */
const shapeOf = ({ status, headers, body }: Answered) => ({
  status,
  headers: [...headers.keys()].sort(),
  members: Object.keys(body).sort(),
  code: body.code,
})

test('complete answers exactly what renting answers: 201, the same again, 402 without a payment, problems', async () => {
  const quoted = await quote()
  const header = await market.sign(quoted)
  const completed = await post('complete', { request: quoted.request, payment: payloadOf(header) })
  expect(completed.status, completed.text).toBe(201)
  expect(completed.headers.get('payment-response')).toBeTruthy()
  expect(completed.headers.get('location')).toBe(`/api/rentals/${quoted.paid.rentalId}`)
  const rented = await market.pay(quoted.request, header)
  expect(shapeOf(rented)).toEqual(shapeOf(completed))
  expect(rented.body.accessToken).toBe(completed.body.accessToken)
  expect(await market.sql(`select 1 from payment where id = '${quoted.paid.paymentId}'`)).toHaveLength(1)

  const [unpaid, there] = [await post('complete', { request: quoted.request }), await market.ask('POST', '/api/rentals', quoted.request)]
  expect(shapeOf(unpaid)).toEqual(shapeOf(there))
  expect(unpaid.status).toBe(402)
  for (const payment of ['nonsense', header]) {
    const request = market.request({ minutes: 11 })
    expect(shapeOf(await post('complete', { request, payment }))).toEqual(shapeOf(await market.pay(request, payment)))
  }
  await market.stop(quoted.paid.rentalId)
})

test('complete is 202 while the chain has not spoken, and then the rental', async () => {
  const quoted = await quote()
  const body = { request: quoted.request, payment: await market.sign(quoted) }
  const deaf = ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress']
  for (const method of deaf) await planFault(market.chain.rpcUrl, { refuse: 100_000 }, method)
  const pending = await post('complete', body, { 'idempotency-key': 'pending' })
  expect(pending).toMatchObject({ status: 202, body: { code: 'payment_pending', paymentId: quoted.paid.paymentId } })
  for (const method of deaf) await planFault(market.chain.rpcUrl, {}, method)
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  const done = await post('complete', body, { 'idempotency-key': 'pending' })
  expect([done.status, done.headers.get('idempotency-replayed')]).toEqual([201, null])
  await market.stop(quoted.paid.rentalId)
})

test('more minutes are quoted, authorized and completed by who holds the rental’s token, and by nobody else', async () => {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  const { rental: other } = await market.rent()
  const request = { rentalId: rental.id, minutes: 5 }
  const mine = market.bearer(rental.id)
  const quoted = await quote(request, mine)
  expect(quoted.answer.body).toMatchObject({ rentalId: rental.id, price: { prepaidAtoms: '5000', minutes: 5 } })
  expect(quoted.paid.paymentRequired.resource?.url).toBe(`http://market.test/api/rentals/${rental.id}/extend`)
  const payment = await market.sign(quoted)
  for (const [name, body] of [
    ['quote', request],
    ['authorize', { request, payment }],
    ['complete', { request, payment }],
  ] as const) {
    expect(await post(name, body)).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    for (const headers of [market.bearer(other.id), admin, providerBearer(market, market.machine)])
      expect(await post(name, body, headers)).toMatchObject({ status: 404, body: { code: 'rental_not_found' } })
  }
  const elsewhere = await post('authorize', { request: { rentalId: other.id, minutes: 5 }, payment }, market.bearer(other.id))
  expect(elsewhere.body).toMatchObject({ isValid: false, code: 'quote_mismatch' })
  expect((await post('authorize', { request, payment }, mine)).body).toMatchObject({ isValid: true })
  expect((await market.rental(rental.id)).minutes).toBe(10)
  const completed = await post('complete', { request, payment }, mine)
  expect(completed).toMatchObject({ status: 200, body: { id: rental.id, minutes: 15 } })
  expect(completed.headers.get('payment-response')).toBeTruthy()
  for (const each of [rental.id, other.id]) await market.stop(each)
})

/** A rental that has ended and whose last usage was not asked for yet. */
async function ended(): Promise<string> {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.stop(rental.id)
  return rental.id
}

/** Lets the machine hand in its last usage and the payment become final; no timer closes any books. */
async function handIn(): Promise<void> {
  for (const verb of [sendUnsentOrders, reconcilePayments, scanEscrow]) {
    await (verb as (house: TestHouse['house']) => Promise<unknown>)(market.house)
    await market.idle()
  }
}

test('settle closes the books of an ended rental at once: 409 before it ends, 202 while its last usage is awaited, then 200 always', async () => {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  const settle = (headers = market.bearer(rental.id)) => post('settle', { rentalId: rental.id }, headers)
  expect(await settle()).toMatchObject({ status: 409, body: { code: 'rental_cannot', state: 'running', action: 'settle' } })
  await market.stop(rental.id)
  const waiting = await settle()
  expect(waiting).toMatchObject({ status: 202, body: { state: 'ending' } })
  expect(waiting.headers.get('retry-after')).toBeTruthy()
  const settleOnceHandedIn = async () => {
    await handIn()
    return (await settle()).status
  }
  await expect.poll(settleOnceHandedIn).toBe(200)
  const [row] = await market.sql(`select books_closed_at from rental where id = '${rental.id}'`)
  expect(row?.books_closed_at).toBeTruthy()
  const closed = (await settle()).body
  const total = BigInt(String(closed.payoutAtoms)) + BigInt(String(closed.feeAtoms)) + BigInt(String(closed.refundAtoms))
  expect(total).toBe(10_000n)
  const books = await market.sql(`select count(*)::int as n from ledger_transaction where external_id = '${rental.id}' and kind = 'settle'`)
  await Promise.all(Array.from({ length: 5 }, () => settle()))
  expect(
    await market.sql(`select count(*)::int as n from ledger_transaction where external_id = '${rental.id}' and kind = 'settle'`),
  ).toEqual(books)
  await market.until(rental.id, 'settled')
  expect(await settle()).toMatchObject({ status: 200, body: { state: 'settled' } })
})

test('settle is for the renter, the provider whose machine ran it, and the admin; for everybody else the rental is not there', async () => {
  const id = await ended()
  const { rental: other } = await market.rent()
  const settle = (headers: Headers = {}) => post('settle', { rentalId: id }, headers)
  for (const headers of [market.bearer(id), providerBearer(market, market.machine), admin]) expect((await settle(headers)).status).toBe(202)
  expect(await settle()).toMatchObject({ status: 401, body: { code: 'unauthorized' } })

  const neighbour = await market.addMachine({}, 'neighbour')
  const { privateKey } = generateKeyPairSync('ed25519')
  const seconds = Math.floor(market.now() / 1000)
  const strangers: Headers[] = [
    market.bearer(other.id),
    { authorization: 'Bearer x' },
    { authorization: `Bearer ${adminToken}x` },
    providerBearer(market, neighbour),
    providerBearer(market, neighbour, { sub: market.machine.nodeId }),
    ...[
      { key: privateKey },
      { typ: 'JWT' },
      { alg: 'none' },
      { sub: market.unknownId('node') },
      { sub: '\u0000' },
      { aud: 'another market' },
      { exp: seconds - 1 },
      { exp: seconds + 400 },
      { exp: null },
    ].map((changes) => providerBearer(market, market.machine, changes)),
  ]
  for (const [index, headers] of strangers.entries())
    expect(await settle(headers), String(index)).toMatchObject({ status: 404, body: { code: 'rental_not_found' } })
  for (const headers of [admin, providerBearer(market, market.machine)])
    expect(await post('settle', { rentalId: market.unknownId('rental') }, headers)).toMatchObject({ status: 404 })

  await market.sql(`update node set status = 'suspended' where id = '${market.machine.nodeId}'`)
  expect((await settle(providerBearer(market, market.machine))).status).toBe(404)
  await market.sql(`update node set status = 'listed' where id = '${market.machine.nodeId}'`)
  for (const each of [id, other.id]) await market.stop(each)
})

test('where no admin token is set nobody is admin', async () => {
  const without = { ...market.house, env: { ...market.env, adminToken: undefined } }
  const { buildApi } = await import('../../api/app.ts')
  const id = await ended()
  const init = { method: 'POST', body: JSON.stringify({ rentalId: id }) }
  for (const token of ['undefined', adminToken]) {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` }
    expect((await buildApi(without).request('http://market.test/api/payments/settle', { ...init, headers })).status).toBe(404)
  }
})
