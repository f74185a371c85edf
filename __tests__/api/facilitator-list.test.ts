// Several facilitators in order of preference: quotes fail over, a payment is settled by whoever manages its fee payer, and never twice.
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openFacilitator, type TestFacilitator } from '../support/facilitator.ts'
import { forgePayment } from '../support/forged-payment.ts'
import { openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
const price = 10_000n
let first: TestFacilitator
let second: TestFacilitator
/** Two with one fee payer. */
let twin: TestFacilitator
let otherTwin: TestFacilitator
let market: TestHouse
beforeAll(async () => {
  ;[first, second, twin] = await Promise.all([openFacilitator(devnet), openFacilitator(devnet), openFacilitator(devnet)])
  otherTwin = await openFacilitator(devnet, twin.signer)
  market = await openTestHouse({
    terms: { unitsTotal: 60 },
    slotMs: 50,
    settings({ rpcUrl }) {
      for (const each of all()) each.connect(rpcUrl)
      return {
        FACILITATOR_URL: `${all()
          .map(({ url }) => url)
          .join(', ')},local`,
      }
    },
  })
  for (const { address } of [first, second, twin]) await askFaucet(market.chain.faucetUrl, address, 0n)
})
afterAll(async () => {
  await market?.close()
  await Promise.all(all().map((each) => each?.close()))
})
afterEach(async () => {
  for (const each of all()) {
    each.behave()
    await each.up()
  }
  // Nobody is left out any more, and everybody is asked again before a quote names them.
  await market.advance(40_000)
})

const all = () => [first, second, twin, otherTwin]
const payerOf = (quoted: Quoted) => quoted.paid.paymentRequired.accepts[0]?.extra.feePayer
const settles = (each: TestFacilitator) => each.calls.filter((call) => call === 'settle').length
const asked = (each: TestFacilitator) => each.calls.filter((call) => call === 'supported').length
const down = (...these: TestFacilitator[]) => Promise.all(these.map((each) => each.down()))
const moved = async (before: bigint) => before - (await market.balances()).renter
const nothing = (id: string) => market.ask('GET', `/api/payments/${id}`)

/** After whatever happened: the payment settles, its header answers 201, and exactly one price left the wallet. */
async function expectPaidOnce(quoted: Quoted, header: string, before: bigint): Promise<void> {
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  const answer = await market.pay(quoted.request, header)
  expect(answer.status, answer.text).toBe(201)
  expect(await moved(before)).toBe(price)
}

test('while all are well the first of the list is named and settles; the others are not even asked', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  expect(payerOf(quoted)).toBe(first.address)
  const header = await market.sign(quoted)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
  expect(second.calls).toEqual([])
})

test('the first is down when a price is asked: the second is named, and the payment works', async () => {
  await down(first)
  const before = (await market.balances()).renter
  const [ofFirst, ofSecond] = [settles(first), settles(second)]
  const quoted = await market.quote()
  expect(payerOf(quoted)).toBe(second.address)
  const header = await market.sign(quoted)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
  expect([settles(first), settles(second)]).toEqual([ofFirst, ofSecond + 1])
})

test('all remote ones are down: our own is named, and the payment works', async () => {
  await down(...all())
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  expect(payerOf(quoted)).toBe(market.addresses.feePayer)
  const header = await market.sign(quoted)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
})

test('one that fails three times in a row is left out for 30 s without being asked, then tried again, and named when it is well', async () => {
  first.misbehave('supported', { status: 500, body: {} })
  for (let times = 0; times < 3; times++) expect(payerOf(await market.quote())).toBe(second.address)
  const before = asked(first)
  first.behave()
  for (let times = 0; times < 3; times++) expect(payerOf(await market.quote())).toBe(second.address)
  expect(asked(first)).toBe(before)
  await market.advance(31_000)
  first.misbehave('supported', { status: 500, body: {}, times: 1 })
  expect(payerOf(await market.quote())).toBe(second.address)
  // Half open: one failure more was enough.
  expect(payerOf(await market.quote())).toBe(second.address)
  expect(asked(first)).toBe(before + 1)
  await market.advance(31_000)
  expect(payerOf(await market.quote())).toBe(first.address)
})

test('one that takes longer than 5 s to say what it supports counts as failing, and many quotes at once ask it once', async () => {
  first.misbehave('supported', { status: 200, body: {}, delayMs: 7_000, times: 1 })
  const before = asked(first)
  const quotes = await Promise.all([market.quote(), market.quote(), market.quote(), market.quote()])
  expect(quotes.map(payerOf)).toEqual(Array(4).fill(second.address))
  expect(asked(first)).toBe(before + 1)
})

test('the one that was named dies before the payment: 503, nothing claimed or held, and the same header pays when it is back', async () => {
  const before = (await market.balances()).renter
  const held = await market.unitsReserved()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const judgedBySecond = second.calls.filter((call) => call === 'verify').length
  await down(first)
  const away = await market.pay(quoted.request, header)
  expect(away).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect(away.headers.get('retry-after')).toBeTruthy()
  expect((await nothing(quoted.paid.paymentId)).status).toBe(404)
  expect(await market.unitsReserved()).toBe(held)
  expect(second.calls.filter((call) => call === 'verify')).toHaveLength(judgedBySecond)
  await first.up()
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
})

test('the one that judged it dies before it can send: the claim waits, and the reconciler settles the same payment when it is back', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const payer = market.renter.address
  const ofSecond = settles(second)
  first.misbehave('verify', { status: 200, body: { isValid: true, payer }, after: true, afterwards: () => void first.down() })
  const answer = await market.pay(quoted.request, header)
  expect(answer, answer.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  expect(await moved(before)).toBe(0n)
  first.behave()
  await first.up()
  await expectPaidOnce(quoted, header, before)
  expect(settles(second)).toBe(ofSecond)
})

test('fault 13: a 500 before anything was sent leaves the claim, and the same transaction is settled later', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  first.misbehave('settle', { status: 500, body: { error: 'restarting' }, times: 1 })
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 202, body: { state: 'submitted' } })
  expect(await moved(before)).toBe(0n)
  await expectPaidOnce(quoted, header, before)
})

test('fault 14: an answer that comes long after the landing, to a second hand as well: paid once, found by its memo', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  first.misbehave('settle', { status: 504, body: {}, after: true, delayMs: 2_000 })
  const paying = market.pay(quoted.request, header)
  while ((await market.paymentState(quoted.paid.paymentId)) !== 'submitted') await new Promise((resolve) => setTimeout(resolve, 10))
  await market.advance(10_000)
  await market.tick()
  expect([201, 202]).toContain((await paying).status)
  await expectPaidOnce(quoted, header, before)
})

test('fault 15: one that says success while the chain has nothing activates nothing, and holds nothing once it can no longer land', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  first.misbehave('settle', { status: 200, body: { success: true, transaction: '2'.repeat(64), network: devnet, payer: '' } })
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('expired')
  expect(await moved(before)).toBe(0n)
  const isHeld = await market.sql(`select units_held from rental where id = '${quoted.paid.rentalId}'`)
  expect(isHeld).toEqual([{ units_held: false }])
})

test.each([
  ['duplicate_settlement', false],
  ['settlement_pending', true],
])('fault 16: %s about our own earlier attempt is no failure: the chain tells what became of it', async (errorReason, hasLanded) => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const body = { success: false, errorReason, transaction: '', network: devnet }
  first.misbehave('settle', { status: 200, body, after: hasLanded, times: 1 })
  const answer = await market.pay(quoted.request, header)
  expect(answer.status, answer.text).toBe(hasLanded ? 201 : 202)
  first.misbehave('verify', { status: 200, body: { isValid: false, invalidReason: errorReason }, times: 1 })
  await expectPaidOnce(quoted, header, before)
})

test('fault 16, when judging: who says duplicate_settlement of what was never claimed judges nothing, and the header pays later', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  first.misbehave('verify', { status: 200, body: { isValid: false, invalidReason: 'duplicate_settlement' }, times: 1 })
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect((await nothing(quoted.paid.paymentId)).status).toBe(404)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
})

test('one with the same fee payer judges and settles for its twin, before anything was sent', async () => {
  await down(first, second)
  for (const moment of ['before judging', 'before sending']) {
    const before = (await market.balances()).renter
    const quoted = await market.quote()
    expect(payerOf(quoted)).toBe(twin.address)
    const header = await market.sign(quoted)
    const [ofTwin, ofOther] = [settles(twin), settles(otherTwin)]
    const body = { isValid: true, payer: market.renter.address }
    if (moment === 'before judging') await twin.down()
    else twin.misbehave('verify', { status: 200, body, after: true, afterwards: () => void twin.down() })
    const answer = await market.pay(quoted.request, header)
    expect(answer.status, `${moment}: ${answer.text}`).toBe(201)
    await expectPaidOnce(quoted, header, before)
    expect([settles(twin), settles(otherTwin)]).toEqual([ofTwin, ofOther + 1])
    twin.behave()
    await twin.up()
    await market.advance(40_000)
  }
})

test('after an unknown outcome no twin replaces it: only the chain decides, and one transfer was made', async () => {
  await down(first, second)
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const ofOther = settles(otherTwin)
  twin.misbehave('settle', { status: 502, body: {}, after: true, times: 1 })
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  expect(settles(otherTwin)).toBe(ofOther)
  await expectPaidOnce(quoted, header, before)
})

test('a fee payer of nobody is refused; while one who might manage it is silent, nobody says so: 503', async () => {
  // What they manage has to be asked again after so long.
  await market.advance(400_000)
  const quoted = await market.quote()
  const { address: feePayer } = await market.wallet()
  const header = await forgePayment(quoted.paid.paymentRequired, market.renter, market.chain.rpcUrl, { feePayer })
  await down(second)
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  await second.up()
  expect(await market.pay(quoted.request, header)).toMatchObject({
    status: 402,
    body: { code: 'payment_failed', reason: 'invalid_exact_svm_fee_payer_not_managed_by_facilitator' },
  })
  expect((await nothing(quoted.paid.paymentId)).status).toBe(404)
})
