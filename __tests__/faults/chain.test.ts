// Faults 17, 19 to 21 and 27: a chain that forgets, forks or comes late, nodes that lag and lie, and a fee payer that runs dry.
import { createSolanaRpc } from '@solana/kit'
import { afterAll, beforeAll, describe, expect } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { fault, tally } from '../support/faults.ts'
import { type Answered, openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'
import { type LyingNode, openLyingNode } from '../support/lying-node.ts'
import { settleAll, tickUntil } from '../support/settle-all.ts'

const price = 10_000n
const forEver = 100_000
const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)

describe('nodes', () => {
  let market: TestHouse
  let node: LyingNode
  beforeAll(async () => {
    market = await openTestHouse({
      terms: { unitsTotal: 20 },
      slotMs: 25,
      async settings({ rpcUrl, viewUrl }) {
        node = await openLyingNode(rpcUrl)
        return { SOLANA_RPC_URL: node.url, SOLANA_RPC_WITNESS_URLS: viewUrl }
      },
    })
  })
  afterAll(async () => {
    await market?.close()
    await node?.close()
  })

  const primary = (plan: Parameters<typeof planFault>[1], method?: string) => planFault(market.chain.rpcUrl, plan, method)
  const witness = (plan: Parameters<typeof planFault>[1], method?: string) => planFault(market.chain.viewUrl, plan, method)
  const reads = ['getTransaction', 'getSignaturesForAddress', 'getSignatureStatuses']

  /** Waits until the chain is past the last height of a payment by so much that nobody could still wait for it. */
  async function untilPast(paymentId: string): Promise<void> {
    const [row] = await market.sql(`select last_valid_block_height::text as height from payment where id = '${paymentId}'`)
    // One of them may be behind, for the test's own reasons.
    const nodes = [market.chain.rpcUrl, market.chain.viewUrl].map((url) => createSolanaRpc(url))
    const isPast = async () => {
      const heights = await Promise.all(nodes.map((rpc) => rpc.getBlockHeight({ commitment: 'finalized' }).send()))
      return heights.some((height) => height > BigInt(String(row?.height)))
    }
    await expect.poll(isPast, { timeout: 30_000 }).toBe(true)
  }
  /** What the market says of a payment after several looks at it. */
  async function afterLooks(paymentId: string): Promise<unknown> {
    for (let look = 0; look < 4; look++) {
      await market.advance(9_000)
      await market.tick()
    }
    return market.paymentState(paymentId)
  }

  fault(17, 'RPC nodes that lag, lie or disagree', async () => {
    const words: string[] = []

    // The first node denies what landed, long after it could have landed; the other one has it.
    node.lies = true
    const denied = await market.quote()
    const first = await market.pay(denied.request, await market.sign(denied))
    expect([201, 202], first.text).toContain(first.status)
    await untilPast(denied.paid.paymentId)
    await market.advance(31_000)
    expect(await afterLooks(denied.paid.paymentId)).toBe('settled')
    expect(node.denied).toBeGreaterThan(3)
    node.lies = false
    words.push(`denied ${node.denied} times by one node, known to the other: settled, past its last height too`)

    // The first node lags behind, the other does not answer: nobody knows, so nothing is decided; then the other one has it.
    const before = (await market.balances()).renter
    const lagged = await market.quote()
    const header = await market.sign(lagged)
    for (const method of reads) await Promise.all([primary({ refuse: forEver }, method), witness({ refuse: forEver }, method)])
    const second = await market.pay(lagged.request, header)
    expect(second, second.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
    expect(before - (await market.balances()).renter).toBe(price)
    await primary({ lagSlots: 1_000 })
    for (const method of reads) await primary({}, method)
    await untilPast(lagged.paid.paymentId)
    const meanwhile = await afterLooks(lagged.paid.paymentId)
    expect(meanwhile).toBe('submitted')
    for (const method of reads) await witness({}, method)
    expect(await market.untilDecided(lagged.paid.paymentId)).toBe('settled')
    words.push(`one behind and one silent: ${meanwhile}, then settled by the word of the other`)
    await primary({ lagSlots: 0 })

    // The first node says truly that nothing landed and nothing can land; the other is not that far. No terminal word from one node.
    await primary({ refuse: forEver }, 'sendTransaction')
    const never = await market.quote()
    expect((await market.pay(never.request, await market.sign(never))).status).toBe(202)
    await witness({ lagSlots: 1_000 })
    await untilPast(never.paid.paymentId)
    const waits = await afterLooks(never.paid.paymentId)
    expect(waits).toBe('submitted')
    await witness({ lagSlots: 0 })
    expect(await market.untilDecided(never.paid.paymentId)).toBe('expired')
    await primary({}, 'sendTransaction')
    words.push(`absent for one node, the other behind: ${waits}, and expired only when both know it`)

    const { payments, landedIn } = await settleAll(market)
    expect([payments, landedIn]).toEqual([3, 2])
    return words.join('; ')
  })
})

describe('a chain that changes its mind', () => {
  let market: TestHouse
  beforeAll(async () => {
    market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 30 })
  })
  afterAll(() => market?.close())

  const signatureOf = async (rentalId: string) =>
    String((await market.sql(`select signature from payment where rental_id = '${rentalId}'`))[0]?.signature)
  const fateOf = async (signature: string) =>
    (await market.sql(`select fate from escrow_movement where signature = '${signature}'`))[0]?.fate
  const paidOut = async () =>
    (
      await market.sql(`select id, signature, amount_atoms::text as atoms from transfer where kind = 'payout' and status = 'confirmed'`)
    ).map((row) => JSON.stringify(row))

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
})
