// Fault 27: a fee payer that runs dry or spends too much. New rentals pause before it does, and those that run go on to their end.
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openFacilitator, type TestFacilitator } from '../support/facilitator.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
/** Below the 0.02 SOL at which quotes pause, and enough to bring what runs to its end. */
const littleLamports = 15_000_000
const plentyLamports = 100_000_000

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 50 })
})
afterAll(() => market.close())

const drain = () => planFault(market.chain.rpcUrl, { drainSol: market.addresses.feePayer })
const give = (lamports: number) => planFault(market.chain.rpcUrl, { giveSol: market.addresses.feePayer, lamports })
/** The guard looks again after ten seconds. */
const lookAgain = (house: TestHouse = market) => house.advance(10_000)
const ask = (house: TestHouse = market) => house.ask('POST', '/api/rentals', house.request())

test('fault 27: a fee payer with too little SOL pauses new quotes with 503, while what runs is extended, refunded and paid out', async () => {
  const before = await market.balances()
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await drain()
  await give(littleLamports)
  await lookAgain()
  const paused = await ask()
  expect(paused, paused.text).toMatchObject({ status: 503, body: { code: 'quotes_paused' } })
  expect(paused.headers.get('retry-after')).toBeTruthy()

  const path = `/api/rentals/${rental.id}/extend`
  const quoted = await market.quote({ minutes: 5 }, path, market.bearer(rental.id))
  const extended = await market.pay({ minutes: 5 }, await market.sign(quoted), path, market.bearer(rental.id))
  expect(extended.status, extended.text).toBe(200)
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
  expect((await market.balances()).escrow).toBe(before.escrow)
  expect(await market.ledger()).toEqual(emptyBooks)
  expect((await ask()).status).toBe(503)

  await give(plentyLamports)
  await lookAgain()
  expect((await ask()).status).toBe(402)
})

test('a fee payer that is empty when a payment comes is nothing against the payment: 503, nothing claimed, and the header pays later', async () => {
  const before = (await market.balances()).renter
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  await drain()
  expect(await market.pay(quoted.request, header)).toMatchObject({ status: 503, body: { code: 'chain_unavailable' } })
  expect((await market.ask('GET', `/api/payments/${quoted.paid.paymentId}`)).status).toBe(404)
  await give(plentyLamports)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  expect(before - (await market.balances()).renter).toBe(10_000n)
  await market.stop(quoted.paid.rentalId)
})

test('fault 27: an RPC that does not tell the balance pauses new quotes, for as long as it does not', async () => {
  await lookAgain()
  await planFault(market.chain.rpcUrl, { refuse: 1 }, 'getBalance')
  expect(await ask()).toMatchObject({ status: 503, body: { code: 'quotes_paused' } })
  await lookAgain()
  expect((await ask()).status).toBe(402)
})

test('what it spent in a day pauses new quotes until the day is over, also when others settle the payments', async () => {
  const facilitator: TestFacilitator = await openFacilitator(devnet)
  const thrifty = await openTestHouse({
    slotMs: 50,
    settings({ rpcUrl }) {
      facilitator.connect(rpcUrl)
      return { FACILITATOR_URL: facilitator.url, FEE_PAYER_DAILY_LAMPORTS: '10000' }
    },
  })
  try {
    await askFaucet(thrifty.chain.faucetUrl, facilitator.address, 0n)
    const { rental } = await thrifty.rent()
    await thrifty.until(rental.id, 'running')
    await lookAgain(thrifty)
    // The payment was another's to sponsor; payouts are ours.
    expect((await ask(thrifty)).status).toBe(402)
    await thrifty.advance(60_000)
    await thrifty.stop(rental.id)
    await thrifty.until(rental.id, 'settled')
    await expect
      .poll(async () => {
        await thrifty.tick()
        await lookAgain(thrifty)
        return (await ask(thrifty)).body.code
      })
      .toBe('quotes_paused')
    await thrifty.advance(86_400_000)
    expect((await ask(thrifty)).status).toBe(402)
  } finally {
    await thrifty.close()
    await facilitator.close()
  }
})
