// Faults 11 and 13 to 16: a facilitator that fails, is late, lies, or finds the account empty; what the chain says decides, once, on two replicas.
import { setTimeout as sleep } from 'node:timers/promises'
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import { type ChaosProxy, proxyBefore } from '../support/chaos-proxy.ts'
import { openFacilitator, type TestFacilitator } from '../support/facilitator.ts'
import { fault, tally } from '../support/faults.ts'
import type { Answered, Quoted } from '../support/house.ts'
import { waitFor } from '../support/real-house.ts'
import { openReplicaHouse, type Replica, type ReplicaHouse } from '../support/replica-house.ts'
import { sendUsdc } from '../support/send-usdc.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'

let house: ReplicaHouse
let facilitator: TestFacilitator
let wire: ChaosProxy
beforeAll(async () => {
  facilitator = await openFacilitator(devnet)
  wire = await proxyBefore(facilitator.url)
  house = await openReplicaHouse({
    terms: { unitsTotal: 40 },
    slotMs: 50,
    settings({ rpcUrl }) {
      facilitator.connect(rpcUrl)
      return { FACILITATOR_URL: wire.through(facilitator.url) }
    },
  })
  await askFaucet(house.chain.faucetUrl, facilitator.address, 0n)
})
afterAll(async () => {
  await house?.close()
  await wire?.close()
  await facilitator?.close()
})
afterEach(async () => {
  facilitator.behave()
  await wire.mend()
  for (const { chain } of house.replicas) await chain.mend()
})

const stateOf = async (quoted: Quoted) =>
  String((await house.sql(`select status::text as s from payment where id = '${quoted.paid.paymentId}'`))[0]?.s ?? 'none')
const callsOf = (name: string) => facilitator.calls.filter((call) => call === name).length

/** Sends the same header to both replicas, again and again, until it is decided; answers everything that it was told. */
async function insist(quoted: Quoted, header: string, told: Answered[] = [], isOver = (answer: Answered) => answer.status === 201) {
  for (const giveUpAt = Date.now() + 45_000; ; await sleep(250)) {
    const answers = await Promise.all(house.replicas.map((replica) => house.pay(quoted, header, replica)))
    told.push(...answers)
    if (answers.every(isOver)) return told
    if (Date.now() > giveUpAt) throw new Error(`it stays ${tally(answers.map(({ text }) => text))}`)
  }
}

/** What must be true after any of these faults: no 402 ever, one transfer, one rental that one machine runs once. */
async function paidOnce(quoted: Quoted, told: Answered[], before: bigint): Promise<string> {
  for (const answer of told) expect([201, 202, 503], answer.text).toContain(answer.status)
  expect(new Set(told.filter(({ status }) => status === 201).map(({ body }) => body.accessToken)).size).toBe(1)
  const { rentalId } = quoted.paid
  await house.until(rentalId, 'running')
  expect(before - (await house.balances()).renter).toBe(10_000n)
  const epochs = new Set(house.machine.orders.filter((order) => order.rentalId === rentalId).map(({ epoch }) => epoch))
  expect(epochs).toEqual(new Set([1]))
  const bookings = await house.sql(`select 1 from ledger_transaction where rental_id = '${rentalId}' and kind = 'charge'`)
  expect(bookings).toHaveLength(1)
  await house.checkEmpty()
  return `activated ${epochs.size === 1 ? 'once' : `${epochs.size} times`}, booked ${bookings.length}x`
}

fault(13, 'the facilitator fails before it broadcast', async () => {
  const before = (await house.balances()).renter
  const quoted = await house.quote()
  const header = await house.sign(quoted)
  facilitator.misbehave('settle', { status: 500, body: { error: 'down' }, times: 2 })
  const settlesBefore = callsOf('settle')
  const first = await house.pay(quoted, header)
  const claim = async () =>
    house.sql(`select id, message_hash, amount_atoms, payload, created_at from payment where id = '${quoted.paid.paymentId}'`)
  const claimed = await claim()
  expect(first, first.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  const told = await insist(quoted, header, [first])
  expect(await claim()).toEqual(claimed)
  const settles = callsOf('settle') - settlesBefore
  expect(settles).toBeGreaterThanOrEqual(3)
  return `first ${first.status}, then the same payload sent ${settles} times under one unchanged claim: ${await paidOnce(quoted, told, before)}`
})

fault(14, 'the facilitator answers late or not at all, after the landing', async () => {
  const words: string[] = []

  // 504 after it landed, while nobody can ask the chain.
  let before = (await house.balances()).renter
  let quoted = await house.quote()
  let header = await house.sign(quoted)
  facilitator.misbehave('settle', { status: 504, body: {}, after: true, delayMs: 700, times: 1 })
  let paying = house.pay(quoted, header)
  await waitFor('the payment to land', async () => (await house.balances()).renter < before)
  for (const { chain } of house.replicas) chain.cut()
  const pending = await paying
  expect(pending, pending.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  for (const { chain } of house.replicas) await chain.mend()
  let told = await insist(quoted, header, [pending])
  words.push(`504: ${pending.status}, found on chain, ${await paidOnce(quoted, told, before)}`)

  // The answer is lost on the way.
  before = (await house.balances()).renter
  quoted = await house.quote()
  header = await house.sign(quoted)
  wire.watch((chunk, { direction }) => (direction === 'out' && chunk.includes('/settle') ? 'drop_answer' : 'pass'))
  const lost = await house.pay(quoted, header)
  await wire.mend()
  told = await insist(quoted, header, [lost])
  words.push(`answer lost: ${lost.status}, ${await paidOnce(quoted, told, before)}`)

  // The answer comes when another replica has taken the claim over and finished it.
  before = (await house.balances()).renter
  quoted = await house.quote()
  header = await house.sign(quoted)
  facilitator.misbehave('settle', {
    status: 200,
    body: { success: false, errorReason: 'timeout', transaction: '', network: devnet },
    after: true,
    delayMs: 11_000,
    times: 1,
  })
  paying = house.pay(quoted, header)
  await waitFor('another hand to settle it', async () => (await stateOf(quoted)) === 'settled', 20_000)
  const others = await house.pay(quoted, header, house.replicas[1])
  const late = await paying
  told = await insist(quoted, header, [late, others])
  words.push(`11 s late: ${others.status} by the other replica, ${late.status} by its own, ${await paidOnce(quoted, told, before)}`)
  return words.join('; ')
})

fault(15, 'the facilitator says success and the chain has nothing', async () => {
  const before = (await house.balances()).renter
  const held = await house.unitsReserved()
  const [landed] = await house.sql(`select signature from payment where status = 'settled' limit 1`)
  const lies: [which: string, transaction: string][] = [
    ['an invented transaction', '1'.repeat(64)],
    ['the transaction of another payment', String(landed?.signature)],
  ]
  const lied: { which: string; quoted: Quoted; header: string; first: Answered }[] = []
  for (const [which, transaction] of lies) {
    const quoted = await house.quote()
    const header = await house.sign(quoted)
    facilitator.misbehave('settle', { status: 200, body: { success: true, transaction, network: devnet, payer: house.renter.address } })
    const first = await house.pay(quoted, header)
    expect(first, first.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
    lied.push({ which, quoted, header, first })
  }
  const words: string[] = []
  for (const { which, quoted, header, first } of lied) {
    await waitFor('the payment to end', async () => ['expired', 'rejected'].includes(await stateOf(quoted)), 45_000)
    expect(house.machine.orders.filter(({ rentalId }) => rentalId === quoted.paid.rentalId)).toHaveLength(0)
    const again = await house.pay(quoted, header, house.replicas[1])
    expect(again, again.text).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
    words.push(`${which}: ${first.status}, never activated, ${await stateOf(quoted)} past its last height`)
  }
  expect(await house.unitsReserved()).toBe(held)
  expect((await house.balances()).renter).toBe(before)
  await house.check()
  return `${words.join('; ')}; units free again, nothing charged`
})

fault(16, 'the facilitator says duplicate of our own earlier try', async () => {
  const duplicate = { status: 200, body: { success: false, errorReason: 'duplicate_settlement', transaction: '', network: devnet } }
  // It did settle the first time, and says so of the second.
  let before = (await house.balances()).renter
  let quoted = await house.quote()
  let header = await house.sign(quoted)
  facilitator.misbehave('settle', { ...duplicate, after: true })
  const landed = await house.pay(quoted, header)
  const settled = await paidOnce(quoted, await insist(quoted, header, [landed]), before)

  // It remembers a try that never landed.
  facilitator.behave()
  before = (await house.balances()).renter
  quoted = await house.quote()
  header = await house.sign(quoted)
  facilitator.misbehave('settle', { ...duplicate, times: 2 })
  const unsent = await house.pay(quoted, header)
  expect(unsent, unsent.text).toMatchObject({ status: 202, body: { code: 'payment_pending' } })
  const told = await insist(quoted, header, [unsent])
  return `after the landing: ${landed.status}, ${settled}; of a try that never landed: ${unsent.status}, asked again, ${await paidOnce(quoted, told, before)}`
})

fault(11, 'the buyer empties the account between judging and settling', async () => {
  const buyer = await house.wallet(10_000n)
  const elsewhere = await house.wallet(0n)
  const held = await house.unitsReserved()
  const quoted = await house.quote()
  const header = await house.sign(quoted, buyer)
  // What was judged is held back on its way to be settled.
  wire.watch((chunk, { direction }) => {
    if (direction === 'out' && chunk.includes('/verify')) setImmediate(() => wire.delay({ out: 1_500 }))
    return 'pass'
  })
  const paying = house.pay(quoted, header)
  await waitFor('the claim', async () => (await stateOf(quoted)) !== 'none')
  const reservedMeanwhile = await house.unitsReserved()
  await sendUsdc({ rpcUrl: house.chain.rpcUrl, usdcMint: house.env.usdcMint }, buyer, { to: elsewhere.address, atoms: 10_000n })
  const first = await paying
  expect([202, 402], first.text).toContain(first.status)
  await wire.mend()
  await waitFor('the payment to end', async () => ['expired', 'rejected'].includes(await stateOf(quoted)), 45_000)
  expect(reservedMeanwhile).toBe(held + 1)
  expect(await house.unitsReserved()).toBe(held)
  expect(house.machine.orders.filter(({ rentalId }) => rentalId === quoted.paid.rentalId)).toHaveLength(0)
  const again = await house.pay(quoted, header, house.replicas[1] as Replica)
  expect(again, again.text).toMatchObject({ status: 402, body: { code: 'payment_failed' } })
  await house.check()
  return `${first.status}, then ${await stateOf(quoted)}: never active, ${reservedMeanwhile - held} unit held meanwhile and free again, nothing charged`
})
