// Faults 19 to 21 and 27: a chain that forks or comes late, somebody who pays twice, and a fee payer that runs dry.
import { afterAll, beforeAll, expect } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { fault, tally } from '../support/faults.ts'
import { type Answered, openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'
import { settleAll, tickUntil } from '../support/settle-all.ts'

const price = 10_000n
const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 30 })
})
afterAll(() => market?.close())

const signatureOf = async (rentalId: string) =>
  String((await market.sql(`select signature from payment where rental_id = '${rentalId}'`))[0]?.signature)
const fateOf = async (signature: string) => (await market.sql(`select fate from escrow_movement where signature = '${signature}'`))[0]?.fate
const paidOut = async () =>
  (await market.sql(`select id, signature, amount_atoms::text as atoms from transfer where kind = 'payout' and status = 'confirmed'`)).map(
    (row) => JSON.stringify(row),
  )

/** The signed payment of a quote, sent past the market by whoever has it; answers its signature. */
async function sendPast(quoted: Quoted, header: string): Promise<string> {
  const proof = market.house.rail.readProof(header)
  const charge = { ...quoted.paid, amountAtoms: BigInt(quoted.paid.price.prepaidAtoms), ...market.house.payee }
  const outcome = await market.house.rail.settle(charge, proof.payload, async () => undefined)
  if (outcome.kind !== 'landed') throw new Error(`it did not land: ${JSON.stringify(outcome)}`)
  return outcome.signature
}

fault(19, 'a confirmed payment dropped by a fork', async () => {
  const { rental: earlier } = await market.rent()
  await market.until(earlier.id, 'running')
  await market.stop(earlier.id)
  await market.until(earlier.id, 'settled')
  const payouts = await paidOut()
  expect(payouts).toHaveLength(1)

  // It can land again: the same transaction is sent again and counts.
  const empty = (await market.balances()).escrow
  await planFault(market.chain.rpcUrl, { finalityStalls: true })
  const { rental: again } = await market.rent()
  const { dropped } = await planFault(market.chain.rpcUrl, { fork: await signatureOf(again.id) })
  expect(dropped).toEqual([await signatureOf(again.id)])
  expect((await market.balances()).escrow).toBe(empty)
  await planFault(market.chain.rpcUrl, { finalityStalls: false })
  await market.advance(31_000)
  await market.tick()
  expect((await market.balances()).escrow).toBe(empty + price)
  await market.stop(again.id)
  const landedAgain = await market.until(again.id, 'settled')
  expect(landedAgain.prepaidAtoms).toBe('10000')

  // It never can: everything that it did is undone.
  const [before, books] = [await market.balances(), await market.ledger()]
  const paidBefore = await paidOut()
  await planFault(market.chain.rpcUrl, { finalityStalls: true })
  const { rental: lost } = await market.rent()
  await market.until(lost.id, 'running')
  await planFault(market.chain.rpcUrl, { fork: await signatureOf(lost.id), forever: true })
  await planFault(market.chain.rpcUrl, { finalityStalls: false })
  const state = async () => (await market.sql(`select status::text from payment where rental_id = '${lost.id}'`))[0]?.status
  // Slots pass in real time: the transaction's time must be over before the rental's is.
  await tickUntil(market, 'the payment is undone', async () => (await state()) === 'expired', { stepMs: 1_000 })
  const undone = await market.until(lost.id, 'settled')
  expect(undone).toMatchObject({
    endReason: 'payment_reversed',
    prepaidAtoms: '0',
    chargedAtoms: '0',
    refundAtoms: '0',
    payoutAtoms: '0',
  })
  expect(await market.balances()).toEqual(before)
  expect(await market.ledger()).toEqual(books)
  expect(await paidOut()).toEqual(paidBefore)
  const [reversal] = await market.sql(
    `select count(*)::int as n from ledger_transaction where kind = 'reversal' and rental_id = '${lost.id}'`,
  )
  expect(reversal?.n).toBe(1)

  // The buyer may pay again.
  const { rental: anew } = await market.rent()
  await market.until(anew.id, 'running')
  const { settledRentals } = await settleAll(market)
  return `landed again: counted once (${landedAgain.state}); gone for good: ${undone.endReason}, ${reversal?.n} reversal, payouts as before (${paidBefore.length}), then a new payment works; ${settledRentals} settled`
})

fault(20, 'a payment that lands after its quote, its rental or its capacity is gone', async () => {
  const single = await market.addMachine({ unitsTotal: 1 }, 'single')
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  const path = `/api/rentals/${rental.id}/extend`
  const bearer = market.bearer(rental.id)
  const more = { minutes: 10 }
  const buyers = [await market.wallet(price), await market.wallet(price), await market.wallet(price), await market.wallet(price)] as const
  const [late, cancelled, soldOut, stopped] = buyers
  const refused: string[] = []
  const back: string[] = []

  // An extension that was accepted and whose transaction lands only after the rental was stopped.
  const held = await market.quote(more, path, bearer)
  await planFault(market.chain.rpcUrl, { refuse: 1 }, 'sendTransaction')
  const pending = await market.pay(more, await market.sign(held, stopped), path, bearer)
  expect(pending, pending.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  const unpaid = await market.quote(more, path, bearer)
  const unpaidHeader = await market.sign(unpaid, cancelled)
  await market.stop(rental.id)
  expect(await market.untilDecided(held.paid.paymentId)).toBe('settled')

  // An extension of a rental that is over.
  const answers = [await market.pay(more, unpaidHeader, path, bearer)]
  expect(answers[0]).toMatchObject({ status: 409, body: { code: 'rental_cannot' } })
  back.push(await sendPast(unpaid, unpaidHeader))

  // The last unit, which somebody else took meanwhile.
  const wanted = await market.quote(market.request({ offerId: single.offerId }))
  const wantedHeader = await market.sign(wanted, soldOut)
  await market.rent({ offerId: single.offerId })
  answers.push(await market.pay(wanted.request, wantedHeader))
  expect(answers[1]).toMatchObject({ status: 409, body: { code: 'sold_out' } })
  back.push(await sendPast(wanted, wantedHeader))

  // A quote whose time is over.
  const old = await market.quote()
  await market.advance(91_000)
  const oldHeader = await market.sign(old, late)
  answers.push(await market.pay(old.request, oldHeader))
  expect(answers[2], answers[2]?.text).toMatchObject({ body: { code: 'quote_expired' } })
  back.push(await sendPast(old, oldHeader))
  refused.push(...answers.map(statusAndCode))

  for (const { address } of [late, cancelled, soldOut]) expect(await market.usdcOf(address)).toBe(0n)
  await tickUntil(market, 'all are seen', async () => (await Promise.all(back.map(fateOf))).every((fate) => fate === 'waiting'))
  await market.advance(200_000)
  const allBack = async () => (await Promise.all(buyers.map(({ address }) => market.usdcOf(address)))).every((atoms) => atoms === price)
  await tickUntil(market, 'everybody has everything back', allBack, { stepMs: 1_000 })
  expect(await Promise.all(back.map(fateOf))).toEqual(['unmatched', 'unmatched', 'unmatched'])
  const late409 = await market.pay(more, await market.sign(held, stopped), path, bearer)
  expect(late409.status, late409.text).toBe(409)
  await settleAll(market)
  expect((await market.ledger()).unmatched).toBe(0n)
  return `refused with ${refused.join(', ')} and sent all the same: ${tally(await Promise.all(back.map(fateOf)))}; one that landed after the stop bought nothing; 4 of 4 wallets have every atom back`
})

fault(21, 'two wallets pay for the same rental', async () => {
  const [one, two] = [await market.wallet(price), await market.wallet(price)]
  const quoted = await market.quote()
  const headers = [await market.sign(quoted, one), await market.sign(quoted, two)]
  const answers = await Promise.all(headers.map((header) => market.pay(quoted.request, header)))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409])
  const loser = answers[0]?.status === 409 ? 0 : 1
  const [winning, losing] = loser === 0 ? [two, one] : [one, two]
  // The market never sent it; its signer does.
  expect(await market.usdcOf(losing.address)).toBe(price)
  const signature = await sendPast(quoted, headers[loser] ?? '')
  expect(await market.usdcOf(losing.address)).toBe(0n)
  await tickUntil(market, 'the second one is back', async () => (await market.usdcOf(losing.address)) === price, { stepMs: 1_000 })
  expect(await fateOf(signature)).toBe('unmatched')
  expect(await market.usdcOf(winning.address)).toBe(0n)
  expect((await market.rental(quoted.paid.rentalId)).prepaidAtoms).toBe('10000')
  const { payments } = await settleAll(market)
  expect(await market.sql(`select 1 from payment where rental_id = '${quoted.paid.rentalId}'`)).toHaveLength(1)
  return `answered ${answers.map(statusAndCode).join(' and ')}; the second landed all the same, was ${await fateOf(signature)} and went back whole; the rental was paid once (${payments} payments in all)`
})

fault(27, 'the fee payer runs out of SOL, the RPC limits its rate', async () => {
  const give = (lamports: number) => planFault(market.chain.rpcUrl, { giveSol: market.addresses.feePayer, lamports })
  const ask = () => market.ask('POST', '/api/rentals', market.request())
  const seen: string[] = []
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')

  await planFault(market.chain.rpcUrl, { drainSol: market.addresses.feePayer })
  await give(15_000_000)
  await market.advance(10_000)
  const paused = await ask()
  expect(paused, paused.text).toMatchObject({ status: 503, body: { code: 'quotes_paused' } })
  expect(Number(paused.headers.get('retry-after'))).toBeGreaterThan(0)
  seen.push(`too little SOL ${statusAndCode(paused)}, again after ${paused.headers.get('retry-after')} s`)

  // What runs is extended, used, stopped and settled all the same.
  const path = `/api/rentals/${rental.id}/extend`
  const more = await market.quote({ minutes: 5 }, path, market.bearer(rental.id))
  const extended = await market.pay({ minutes: 5 }, await market.sign(more), path, market.bearer(rental.id))
  expect(extended.status, extended.text).toBe(200)
  await market.advance(60_000)
  await market.machine.use(rental.id, 60)
  await market.stop(rental.id)
  const settled = await market.until(rental.id, 'settled')
  seen.push(`what ran was extended and ${settled.state}`)
  expect((await ask()).status).toBe(503)

  await give(100_000_000)
  await market.advance(10_000)
  expect((await ask()).status).toBe(402)
  await market.advance(10_000)
  await planFault(market.chain.rpcUrl, { refuse: 1 }, 'getBalance')
  const limited = await ask()
  expect(limited, limited.text).toMatchObject({ status: 503, body: { code: 'quotes_paused' } })
  await market.advance(10_000)
  const funded = await ask()
  expect(funded.status).toBe(402)
  seen.push(`a node that does not answer ${statusAndCode(limited)}`, `funded ${funded.status}`)
  const { rental: next } = await market.rent()
  await market.until(next.id, 'running')
  await settleAll(market)
  return seen.join('; ')
})
