// A facilitator that somebody else runs: it may settle for us, but nothing that it says is believed about money.
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openFacilitator, type TestFacilitator } from '../support/facilitator.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
let market: TestHouse
let facilitator: TestFacilitator
beforeAll(async () => {
  facilitator = await openFacilitator(devnet)
  market = await openTestHouse({
    terms: { unitsTotal: 40 },
    slotMs: 50,
    settings({ rpcUrl }) {
      facilitator.connect(rpcUrl)
      return { FACILITATOR_URL: facilitator.url }
    },
  })
  await askFaucet(market.chain.faucetUrl, facilitator.address, 0n)
})
afterAll(async () => {
  await market?.close()
  await facilitator?.close()
})
afterEach(() => facilitator.behave())

test('a remote facilitator settles, its own fee payer pays the network, and the rental runs', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  expect(quoted.paid.paymentRequired.accepts[0]?.extra.feePayer).toBe(facilitator.address)
  const answer = await market.pay(quoted.request, await market.sign(quoted))
  expect(answer.status, answer.text).toBe(201)
  expect(before - (await market.balances()).renter).toBe(10_000n)
  await market.until(quoted.paid.rentalId, 'running')
  await market.stop(quoted.paid.rentalId)
  await market.until(quoted.paid.rentalId, 'settled')
})

test('one that says success but sent nothing activates nothing, and past the last height nothing is held either', async () => {
  const before = (await market.balances()).renter
  const held = await market.unitsReserved()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const [landed] = await market.sql(`select signature from payment where status = 'settled' limit 1`)
  // Once with a signature that is nowhere, once with the one of another's payment.
  facilitator.misbehave('settle', {
    status: 200,
    body: { success: true, transaction: landed?.signature, network: devnet, payer: market.renter.address },
  })
  const answer = await market.pay(quoted.request, header)
  expect(answer).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  facilitator.misbehave('settle', { status: 200, body: { success: true, transaction: '1'.repeat(64), network: devnet, payer: '' } })
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('expired')
  expect(await market.unitsReserved()).toBe(held)
  expect((await market.balances()).renter).toBe(before)
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
})

test.each([
  ['answers 500 after it landed', { status: 500, body: { error: 'down' }, after: true }],
  [
    'says that it failed after it landed',
    { status: 200, body: { success: false, errorReason: 'x', transaction: '', network: devnet }, after: true },
  ],
  [
    'names another transaction after it landed',
    { status: 200, body: { success: true, transaction: '1'.repeat(64), network: devnet }, after: true },
  ],
])('one that %s loses no payment: it is found by its memo', async (_, how) => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  facilitator.misbehave('settle', how)
  expect([201, 202]).toContain((await market.pay(quoted.request, header)).status)
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  expect(before - (await market.balances()).renter).toBe(10_000n)
})

test('one that settles late is waited for with 202, and a second hand that is told "not valid" meanwhile burns nothing', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  facilitator.misbehave('settle', { status: 500, body: {}, after: true, delayMs: 1_500, times: 1 })
  const paying = market.pay(quoted.request, header)
  while ((await market.paymentState(quoted.paid.paymentId)) !== 'submitted') await new Promise((resolve) => setTimeout(resolve, 10))
  facilitator.misbehave('verify', { status: 200, body: { isValid: false, invalidReason: 'already_processed' } })
  await market.advance(10_000)
  await market.tick()
  expect(['submitted', 'settled']).toContain(await market.paymentState(quoted.paid.paymentId))
  await paying
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  expect(before - (await market.balances()).renter).toBe(10_000n)
})

test('one whose /verify fails for a moment is asked again', async () => {
  facilitator.misbehave('verify', { status: 500, body: { error: 'restarting' }, times: 2 })
  const quoted = await market.quote()
  expect((await market.pay(quoted.request, await market.sign(quoted))).status).toBe(201)
})

test('one whose /verify stays broken is 503 with nothing claimed, and the header pays once it works', async () => {
  facilitator.misbehave('verify', { status: 500, body: { isValid: false, invalidReason: 'unexpected_error' } })
  const held = await market.unitsReserved()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect(await market.unitsReserved()).toBe(held)
  facilitator.behave()
  expect((await market.pay(quoted.request, header)).status).toBe(201)
})

test.each([200, 400])('one that says "not valid" with %i ends it: payment_failed, no units held, nothing settled', async (status) => {
  facilitator.misbehave('verify', { status, body: { isValid: false, invalidReason: 'blocked_wallet' } })
  const [held, before] = [await market.unitsReserved(), (await market.balances()).renter]
  const quoted = await market.quote()
  const settles = facilitator.calls.filter((call) => call === 'settle').length
  const answer = await market.pay(quoted.request, await market.sign(quoted))
  expect(answer).toMatchObject({ status: 402, body: { code: 'payment_failed', reason: 'blocked_wallet' } })
  expect(await market.unitsReserved()).toBe(held)
  expect((await market.balances()).renter).toBe(before)
  expect(facilitator.calls.filter((call) => call === 'settle')).toHaveLength(settles)
})

test('without a facilitator there is no price: 503, not 500', async () => {
  await market.advance(400_000)
  await market.tick()
  facilitator.misbehave('supported', { status: 500, body: {} })
  expect(await market.ask('POST', '/api/rentals', market.request())).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
})
