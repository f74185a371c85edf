// Faults 18, 22 and 61: processes that die at every named point, or stand still with work in hand, while another replica goes on.
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect } from 'vitest'
import type { CrashName } from '../../lib/crash.ts'
import { readHistory } from '../support/chain-history.ts'
import { fault, tally } from '../support/faults.ts'
import type { Answered, Quoted } from '../support/house.ts'
import { waitFor } from '../support/real-house.ts'
import { openReplicaHouse, type Replica, type ReplicaHouse } from '../support/replica-house.ts'

let house: ReplicaHouse
let doors: Replica
let worker: Replica
beforeAll(async () => {
  house = await openReplicaHouse({ terms: { unitsTotal: 40 }, slotMs: 100 })
  ;[doors, worker] = house.replicas as [Replica, Replica]
})
afterAll(() => house?.close())

/** Where each point is passed: in the hands of the request that pays, or of the clock. A new point belongs here too, or this does not compile. */
const passedBy: Record<CrashName, 'request' | 'clock'> = {
  claimed: 'request',
  signed: 'request',
  broadcast: 'request',
  landed: 'request',
  paid: 'clock',
  assigned: 'clock',
  transfer_signed: 'clock',
  transfer_sent: 'clock',
}
const pointsOf = (by: 'request' | 'clock') => (Object.keys(passedBy) as CrashName[]).filter((name) => passedBy[name] === by)

const secondsSince = (ms = 0) => Math.ceil((Date.now() - ms) / 1000)

const outgoing = async () => {
  const history = await readHistory(house.chain.rpcUrl, house.addresses.escrow, house.env.usdcMint)
  return history.filter(({ deltas }) => (deltas.get(house.addresses.escrow) ?? 0n) < 0n)
}

fault(
  18,
  'kill -9 at every named point',
  async () => {
    const words: string[] = []
    const before = (await house.balances()).renter
    // A replica without a clock takes the payment and dies; the other one, which lives, must find what it left.
    const left: { point: CrashName; quoted: Quoted; header: string; diedAt: number }[] = []
    for (const point of pointsOf('request')) {
      await worker.start({ role: 'gateway', crash: point })
      const quoted = await house.quote()
      const header = await house.sign(quoted)
      const answer = await house.pay(quoted, header, worker).catch(() => undefined)
      expect(answer).toBeUndefined()
      expect(await worker.ended()).toBe('SIGKILL')
      left.push({ point, quoted, header, diedAt: Date.now() })
    }
    for (const { point, quoted, header, diedAt } of left) {
      await house.until(quoted.paid.rentalId, 'running', 30_000)
      const again = await house.pay(quoted, header)
      expect(again, again.text).toMatchObject({ status: 201, body: { rental: { id: quoted.paid.rentalId } } })
      words.push(`${point} ${again.status} within ${secondsSince(diedAt)} s`)
    }
    expect(before - (await house.balances()).renter).toBe(10_000n * BigInt(left.length))
    await house.checkEmpty()

    // Only the one that is to die has a clock, so it is the one that passes the point; then it is started again.
    await doors.start({ role: 'gateway' })
    const dead: { point: CrashName; rentalId: string; diedAt: number }[] = []
    for (const point of pointsOf('clock')) {
      await worker.start({ role: 'clock', crash: point })
      const quoted = await house.quote()
      const first: Answered | undefined = await house.pay(quoted, await house.sign(quoted)).catch(() => undefined)
      expect(first?.status).toBe(201)
      const { rentalId } = quoted.paid
      if (point.startsWith('transfer')) {
        await house.until(rentalId, 'running')
        await house.stop(rentalId)
      }
      expect(await worker.ended()).toBe('SIGKILL')
      dead.push({ point, rentalId, diedAt: Date.now() })
      // What it held in the middle of paying out stays held for the longest; meanwhile the next one may die.
      if (point.startsWith('transfer')) continue
      await worker.start({ role: 'clock' })
      await house.until(rentalId, 'running', 30_000)
      words.push(`${point} running within ${secondsSince(dead.at(-1)?.diedAt)} s`)
      await house.stop(rentalId)
      await house.until(rentalId, 'settled', 30_000)
    }
    await worker.start({ role: 'clock' })
    for (const { point, rentalId, diedAt } of dead.filter(({ point }) => point.startsWith('transfer'))) {
      await house.until(rentalId, 'settled', 30_000)
      words.push(`${point} settled within ${secondsSince(diedAt)} s`)
    }
    const { landedIn, landedOut, settledRentals } = await house.checkEmpty()
    return `${words.join(', ')}; ${landedIn} payments, ${settledRentals} settled rentals, ${landedOut} transfers out, none twice`
  },
  180_000,
)

fault(22, 'two workers run one refund, one dies between broadcast and commit', async () => {
  await doors.start({ role: 'gateway' })
  await worker.start({ role: 'clock', crash: 'transfer_sent' })
  const before = (await outgoing()).length
  const { id } = await house.rent()
  await house.stop(id)
  expect(await worker.ended()).toBe('SIGKILL')
  // It died after the broadcast: what it had signed is stored, and lands whether or not anybody lives.
  const stored = await house.sql(
    `select id, kind::text, status::text, signature from transfer where rental_id = '${id}' and signature is not null`,
  )
  expect(stored.map(({ status }) => status)).not.toContain('confirmed')
  // The dead hand lets go at once, so that both take up the same work at the same time.
  await Promise.all([doors.start({ role: 'gateway,clock' }), worker.start({ role: 'clock' })])
  await house.sql(`update transfer set work_until = now() where rental_id = '${id}'`)
  await house.until(id, 'settled', 40_000)
  await house.checkEmpty()
  const sent = (await outgoing()).slice(before)
  const settled = await house.sql(`select id, signature from transfer where rental_id = '${id}'`)
  for (const { id: transfer, signature } of stored) expect(settled).toContainEqual({ id: transfer, signature })
  expect(sent.map(({ memos }) => memos.join()).sort()).toEqual(settled.map(({ id: transfer }) => String(transfer)).sort())
  return `${stored.length} signed before the kill (${tally(stored.map(({ kind }) => kind))}), ${sent.length} landed after it, with the same signatures`
})

fault(61, 'a worker stands still with a job in hand, past its lease', async () => {
  // The worker alone has a clock, and is cut from the chain by silence while it holds transfers.
  await doors.start({ role: 'gateway' })
  await worker.start({ role: 'clock' })
  const { id } = await house.rent()
  await house.until(id, 'running')
  worker.chain.stall()
  await house.stop(id)
  const inHand = () => house.sql(`select id, work_token from transfer where rental_id = '${id}' and work_token is not null`)
  await waitFor('the worker to hold transfers', async () => (await inHand()).length > 0)
  const held = await inHand()
  worker.freeze()
  const frozenAt = Date.now()
  await doors.start({ role: 'gateway,clock' })
  await house.until(id, 'settled', 60_000)
  const tookOverMs = Date.now() - frozenAt
  expect(tookOverMs).toBeLessThan(60_000)
  const books = async () =>
    JSON.stringify(
      await house.sql(`select id, status::text, signature, attempts, confirmed_at from transfer where rental_id = '${id}' order by id`),
    )
  const before = await books()
  // It comes back in the belief that the job is still its own.
  worker.thaw()
  await worker.chain.mend()
  await sleep(3_000)
  expect(worker.isRunning()).toBe(true)
  expect(await books()).toBe(before)
  await house.checkEmpty()
  return `${held.length} transfers in hand, taken over and settled after ${Math.round(tookOverMs / 1000)} s, the old hand changed nothing`
})
