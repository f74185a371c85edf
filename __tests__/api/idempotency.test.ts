// Idempotency-Key over the API: one key, one deed, one answer; and never an answer for somebody who only knows the key.
import { randomUUID } from 'node:crypto'
import { endpoints, idempotencyProblems } from '@flow402/protocol/endpoints'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { claimMs } from '../../lib/idempotency/once.ts'
import { planFault } from '../support/chain-fault.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 200 } })
})
afterAll(() => market.close())

const keyed = (key: string) => ({ 'idempotency-key': key })
const idOf = (answer: Answered) => (answer.body.rental as { id: string }).id
const replayed = (answer: Answered) => answer.headers.get('idempotency-replayed')

async function countOf(table: string): Promise<number> {
  return Number((await market.sql(`select count(*)::int as n from ${table}`))[0]?.n)
}

/** What a replay must share with the first answer: everything but the mark. */
function whole({ status, text, headers }: Answered): unknown {
  return { status, text, headers: [...headers].filter(([name]) => name !== 'idempotency-replayed') }
}

test('W1: same key and body: the stored answer again, byte-identical', async () => {
  const key = randomUUID()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const first = await market.pay(quoted.request, header, '/api/rentals', keyed(key))
  expect(first.status, first.text).toBe(201)
  expect(replayed(first)).toBeNull()
  // By now the rental reads differently, but this answer stays what it was. The members of the body come in another order.
  await market.until(idOf(first), 'running')
  const body = Object.fromEntries(Object.entries(quoted.request as object).reverse())
  for (const sent of [key, `"${key}"`]) {
    const again = await market.pay(body, header, '/api/rentals', keyed(sent))
    expect(whole(again)).toEqual(whole(first))
    expect(replayed(again)).toBe('true')
    expect(again.headers.get('payment-response')).toBeTruthy()
  }
  await market.stop(idOf(first))
})

test('W1: same key, other body or path: 422, and nothing is done', async () => {
  const { rental } = await market.rent()
  const { rental: other } = await market.rent()
  const key = randomUUID()
  const headers = { ...market.bearer(rental.id), ...keyed(key) }
  const stopped = await market.ask('POST', `/api/rentals/${rental.id}/stop`, undefined, headers)
  expect(stopped.status).toBe(202)
  const again = await market.ask('POST', `/api/rentals/${rental.id}/stop`, undefined, headers)
  expect(whole(again)).toEqual(whole(stopped))
  expect(replayed(again)).toBe('true')
  const elsewhere = await market.ask('POST', `/api/rentals/${rental.id}/extend`, { minutes: 5 }, headers)
  expect(elsewhere).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
  // Another caller's key of the same name is another key.
  const theirs = await market.ask('POST', `/api/rentals/${other.id}/stop`, undefined, { ...market.bearer(other.id), ...keyed(key) })
  expect(theirs).toMatchObject({ status: 202, body: { id: other.id } })
})

test('W1: while it is in flight: 409 with Retry-After; a process that died frees the key when its lease is over', async () => {
  const { rental } = await market.rent()
  const key = randomUUID()
  const headers = { ...market.bearer(rental.id), ...keyed(key) }
  const stop = () => market.ask('POST', `/api/rentals/${rental.id}/stop`, undefined, headers)
  await stop()
  // As a process leaves it that died in the middle of its work.
  await market.sql(
    `update idempotent_request set answered_at = null, status = null, answer = null, claim_token = 'dead',
     claimed_until = to_timestamp(${(market.now() + claimMs) / 1000}) where key = '${key}'`,
  )
  const inFlight = await stop()
  expect(inFlight).toMatchObject({ status: 409, body: { code: 'idempotency_in_flight' } })
  expect(Number(inFlight.headers.get('retry-after'))).toBeGreaterThan(0)
  await market.advance(claimMs + 1)
  const after = await stop()
  expect(after.status).toBe(202)
  expect(replayed(after)).toBeNull()
  expect(replayed(await stop())).toBe('true')
})

test('fault 34: the same key 50 times at once on a paid rental: one execution, 49 are in flight, then the same bytes again', async () => {
  const key = randomUUID()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const [rentals, payments, before] = [await countOf('rental'), await countOf('payment'), await market.balances()]
  // The chain takes its time, so that the first is still at it when the last one comes.
  await planFault(market.chain.rpcUrl, { delayMs: 1_500, delays: 1 }, 'sendTransaction')
  const answers = await Promise.all(Array.from({ length: 50 }, () => market.pay(quoted.request, header, '/api/rentals', keyed(key))))
  const [first, ...rest] = answers.filter(({ status }) => status === 201)
  expect(rest).toEqual([])
  const others = answers.filter(({ status }) => status !== 201)
  expect(others.map(({ status, body }) => [status, body.code])).toEqual(Array(49).fill([409, 'idempotency_in_flight']))
  expect(first && idOf(first)).toBe(quoted.paid.rentalId)
  const again = await market.pay(quoted.request, header, '/api/rentals', keyed(key))
  expect(whole(again)).toEqual(whole(first as Answered))
  expect(replayed(again)).toBe('true')
  expect([await countOf('rental'), await countOf('payment')]).toEqual([rentals + 1, payments + 1])
  expect((await market.balances()).renter).toBe(before.renter - 10_000n)
  await market.stop(quoted.paid.rentalId)
})

test('an answer that was paid for goes to who sends that payment, never to who knows the key, and never takes a second payment', async () => {
  const key = randomUUID()
  const request = market.request()
  const quoted = await market.quote(request, '/api/rentals', keyed(key))
  const first = await market.pay(request, await market.sign(quoted), '/api/rentals', keyed(key))
  expect(first.status, first.text).toBe(201)
  const { accessToken } = first.body as { accessToken: string }

  const stranger = await market.wallet()
  const secondQuote = await market.quote(request)
  const before = await market.usdcOf(stranger.address)
  const second = await market.pay(request, await market.sign(secondQuote, stranger), '/api/rentals', keyed(key))
  const none = await market.ask('POST', '/api/rentals', request, keyed(key))
  for (const answer of [second, none]) {
    expect(answer).toMatchObject({ status: 422, body: { code: 'idempotency_key_reused' } })
    expect(answer.body.detail).toMatch(/already bought something/)
    expect(answer.body.detail).toMatch(/Nothing was charged/)
    expect(answer.text).not.toContain(accessToken)
  }
  expect(await market.usdcOf(stranger.address)).toBe(before)
  expect(await market.sql(`select 1 from payment where id = '${secondQuote.paid.paymentId}'`)).toHaveLength(0)
  await market.stop(idOf(first))
})

test('402 leaves the key free: first the price, then the payment, or after a refused payment another one', async () => {
  const key = randomUUID()
  const request = market.request()
  for (let round = 0; round < 2; round++) {
    const asked = await market.ask('POST', '/api/rentals', request, keyed(key))
    expect(asked.status).toBe(402)
    expect(asked.headers.get('payment-required')).toBeTruthy()
  }
  const poor = await market.wallet(1n)
  const refused = await market.pay(request, await market.sign(await market.quote(request), poor), '/api/rentals', keyed(key))
  expect(refused).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
  const paid = await market.pay(request, await market.sign(await market.quote(request)), '/api/rentals', keyed(key))
  expect(paid.status, paid.text).toBe(201)
  await market.stop(idOf(paid))
})

test('a judgement is kept, trouble of ours is not', async () => {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  const exec = (key: string) =>
    market.ask('POST', `/api/rentals/${rental.id}/exec`, { argv: ['true'] }, { ...market.bearer(rental.id), ...keyed(key) })
  const key = randomUUID()
  market.machine.isConnected = false
  expect(await exec(key)).toMatchObject({ status: 503, body: { code: 'node_unreachable' } })
  market.machine.isConnected = true
  const worked = await exec(key)
  expect([worked.status, replayed(worked)]).toEqual([200, null])
  expect(replayed(await exec(key))).toBe('true')

  const gone = randomUUID()
  const ask = () => market.ask('POST', '/api/rentals', market.request({ minutes: 1441 }), keyed(gone))
  const judged = await ask()
  expect(judged).toMatchObject({ status: 422, body: { code: 'duration_out_of_range' } })
  const again = await ask()
  expect(whole(again)).toEqual(whole(judged))
  expect(replayed(again)).toBe('true')
  await market.stop(rental.id)
})

test('a key that is none is 400 on every POST that changes something, and is not asked for anywhere else', async () => {
  for (const key of ['', 'a b', 'ä', 'k'.repeat(256), '"open'])
    expect(await market.ask('POST', '/api/rentals', market.request(), keyed(key)), key).toMatchObject({
      status: 400,
      body: { code: 'idempotency_key_invalid' },
    })
  expect((await market.ask('GET', '/api/offers', undefined, keyed('a b'))).status).toBe(200)
})

test('the description of every POST names the header and what it may be answered, but for those that change nothing', async () => {
  const { paths } = (await market.ask('GET', '/api/openapi.json')).body as { paths: Record<string, Record<string, unknown>> }
  const names: string[] = []
  for (const endpoint of Object.values(endpoints)) {
    const text = JSON.stringify(paths[endpoint.path]?.[endpoint.method])
    const isNamed = text.includes('"Idempotency-Key"')
    for (const code of idempotencyProblems) expect(text.includes(code), `${endpoint.path}: ${code}`).toBe(isNamed)
    if (isNamed) names.push(endpoint.path)
    else expect(endpoint.method === 'get' || 'isSafe' in endpoint, endpoint.path).toBe(true)
  }
  expect(names).toContain('/api/rentals')
  expect(names).not.toContain('/api/payments/quote')
})

test('a provider’s key is its machine’s, although it signs a new token for every call', async () => {
  const { rental } = await market.rent()
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
  const key = randomUUID()
  const settle = (seconds: number) => {
    const exp = Math.floor(market.now() / 1000) + seconds
    const headers = { ...providerBearer(market, market.machine, { exp }), ...keyed(key) }
    return market.ask('POST', '/api/payments/settle', { rentalId: rental.id }, headers)
  }
  expect([(await settle(100)).status, replayed(await settle(200))]).toEqual([200, 'true'])
})

test('without a key nothing is kept', async () => {
  const before = await countOf('idempotent_request')
  const { rental } = await market.rent()
  await market.stop(rental.id)
  expect(await countOf('idempotent_request')).toBe(before)
})
