// A chain that loses answers, comes late or is away: no payment is lost, none is asked for twice, and nothing runs unpaid.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type PlannedFault, planFault } from '../support/chain-fault.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'

const forEver = 100_000
let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 50 })
})
afterAll(() => market.close())

const fault = (plan: PlannedFault, method?: string) => planFault(market.chain.rpcUrl, plan, method)
const faulty = ['sendTransaction', 'getSignatureStatuses', 'getTransaction', 'simulateTransaction', 'getLatestBlockhash'] as const
afterEach(async () => {
  for (const method of [undefined, ...faulty, 'getBlockHeight', 'getSignaturesForAddress']) await fault({}, method)
})

/** What must be true after any fault: 201 for the same header, one payment moved, one container ordered. */
async function expectPaidOnce(quoted: { request: unknown; paid: { rentalId: string; paymentId: string } }, header: string, before: bigint) {
  const again = await market.pay(quoted.request, header)
  expect(again.status, again.text).toBe(201)
  expect((again.body.rental as { id: string }).id).toBe(quoted.paid.rentalId)
  expect(before - (await market.balances()).renter).toBe(10_000n)
  await market.until(quoted.paid.rentalId, 'running')
  expect(new Set(market.machine.orders.filter((o) => o.rentalId === quoted.paid.rentalId).map((o) => o.epoch))).toEqual(new Set([1]))
  await market.stop(quoted.paid.rentalId)
  await market.until(quoted.paid.rentalId, 'settled')
  expect(await market.ledger()).toEqual(emptyBooks)
}

test('a lost answer to sendTransaction is not a lost payment: the chain tells that it landed', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ dropResponses: 1 }, 'sendTransaction')
  const answer = await market.pay(quoted.request, header)
  expect([201, 202]).toContain(answer.status)
  await market.untilDecided(quoted.paid.paymentId)
  await expectPaidOnce(quoted, header, before)
})

test('while the chain cannot be asked the answer is 202, and the same header is 201 as soon as it can', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ dropResponses: 1 }, 'sendTransaction')
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress']) await fault({ refuse: forEver }, method)
  const answer = await market.pay(quoted.request, header)
  expect(answer).toMatchObject({ status: 202, body: { code: 'payment_pending', paymentId: quoted.paid.paymentId } })
  expect(await market.paymentState(quoted.paid.paymentId)).toBe('submitted')
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress']) await fault({}, method)
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  await expectPaidOnce(quoted, header, before)
})

test('a payment whose signature nobody kept is found by its memo', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress']) await fault({ refuse: forEver }, method)
  expect((await market.pay(quoted.request, header)).status).toBe(202)
  await market.sql(`update payment set signature = null where id = '${quoted.paid.paymentId}'`)
  for (const method of ['getSignatureStatuses', 'getTransaction', 'getSignaturesForAddress']) await fault({}, method)
  // The transaction is on chain already, so it would be refused now; only its memo leads to it.
  await fault({ refuse: forEver }, 'sendTransaction')
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  await fault({}, 'sendTransaction')
  await expectPaidOnce(quoted, header, before)
})

test('answers of the chain that come late change nothing', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ delayMs: 300, delays: 30 })
  const answers = await Promise.all([market.pay(quoted.request, header), market.pay(quoted.request, header)])
  expect(answers.map(({ status }) => status)).toEqual([201, 201])
  await fault({})
  await expectPaidOnce(quoted, header, before)
})

test('a chain that is away when the payment arrives is 503: nothing is claimed or held, and the same header pays once it is back', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const held = await market.unitsReserved()
  await fault({ refuse: forEver })
  const away = await market.pay(quoted.request, header)
  expect(away).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect(away.headers.get('retry-after')).toBeTruthy()
  expect(await market.unitsReserved()).toBe(held)
  expect((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).status).toBe(404)
  await fault({})
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await expectPaidOnce(quoted, header, before)
})

test('a chain that cannot say until when the payment may land makes nothing be claimed, and the same payment works later', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ refuse: 1 }, 'getLatestBlockhash')
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).status).toBe(404)
  await expectPaidOnce(quoted, header, before)
})

test('a send that never reached the chain is sent again, the same transaction', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ refuse: 1 }, 'sendTransaction')
  const answer: Answered = await market.pay(quoted.request, header)
  expect(answer).toMatchObject({ status: 202, body: { state: 'submitted' } })
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  await expectPaidOnce(quoted, header, before)
})

test('what can never land is given up past its last height: nothing was charged and the units are free again', async () => {
  const before = (await market.balances()).renter
  const held = await market.unitsReserved()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await fault({ refuse: forEver }, 'sendTransaction')
  expect((await market.pay(quoted.request, header)).status).toBe(202)
  expect(await market.unitsReserved()).toBe(held + 1)
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('expired')
  expect(await market.unitsReserved()).toBe(held)
  expect((await market.balances()).renter).toBe(before)
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
})

test('a wallet without the money is told so before anything is claimed', async () => {
  const poor = await market.wallet(1n)
  const quoted = await market.quote()
  const answer = await market.pay(quoted.request, await market.sign(quoted, poor))
  expect(answer).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
  expect(answer.headers.get('payment-required')).toBeNull()
  expect((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).status).toBe(404)
})

test('transfers out of the escrow survive a chain that loses answers: each is made once', async () => {
  const before = await market.balances()
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.stop(rental.id)
  await fault({ dropResponses: 3 }, 'sendTransaction')
  await fault({ refuse: 4 }, 'getSignatureStatuses')
  const giveUpAt = Date.now() + 40_000
  while ((await market.rental(rental.id)).state !== 'settled') {
    if (Date.now() > giveUpAt) throw new Error('the rental is not settled')
    await market.advance(3_000)
    await market.tick()
  }
  const after = await market.balances()
  expect(after.escrow).toBe(before.escrow)
  expect(before.renter - after.renter).toBe(1_000n)
  expect(after.provider + after.fee - before.provider - before.fee).toBe(1_000n)
  expect(await market.ledger()).toEqual(emptyBooks)
})
