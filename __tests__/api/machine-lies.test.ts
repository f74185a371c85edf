// A machine that lies, errs or belongs to somebody else: what it says counts only as far as the market can vouch for it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import type { Machine } from '../support/machine.ts'

let market: TestHouse
let other: Machine
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 } })
  other = await market.addMachine({}, 'other')
})
afterAll(() => market.close())

async function running(machine: Machine = market.machine): Promise<string> {
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'running')
  return rental.id
}

async function settle(rentalId: string) {
  await market.stop(rentalId)
  const settled = await market.until(rentalId, 'settled')
  const { payoutAtoms, feeAtoms, refundAtoms, prepaidAtoms } = settled
  expect(BigInt(payoutAtoms) + BigInt(feeAtoms) + BigInt(refundAtoms)).toBe(BigInt(prepaidAtoms))
  return settled
}

const metered = async (rentalId: string) => (await market.rental(rentalId)).meteredSeconds
const usage = (machine: Machine, signed: ReturnType<Machine['signUsage']>) => machine.report({ kind: 'usage', usage: signed })

test('over-reported usage is billed for no longer than the rental ran by the market’s own clock', async () => {
  const id = await running()
  await market.advance(100_000)
  await market.machine.use(id, 599)
  const settled = await settle(id)
  expect(settled.meteredSeconds).toBeLessThan(110)
})

test('usage beyond any number is refused and does not block what follows', async () => {
  const id = await running()
  await market.advance(70_000)
  const chain = { ...market.machine.leases.get(id)?.chain } as { seq: number; toSecond: number; hash: string; final: boolean }
  await usage(market.machine, market.machine.signUsage(id, Number.MAX_SAFE_INTEGER))
  Object.assign(market.machine.leases.get(id)?.chain ?? {}, chain)
  await market.machine.use(id, 60)
  expect(await metered(id)).toBe(60)
  await settle(id)
})

test.each([
  ['a gap in the sequence', { seq: 3 }],
  ['a gap in the seconds', { fromSecond: 30 }],
  ['another epoch', { epoch: 2 }],
  ['another chain', { prevHash: 'f'.repeat(64) }],
  ['seconds that run backwards', { fromSecond: 0, toSecond: -5 }],
])('usage with %s counts for nothing', async (_, altered) => {
  const id = await running()
  await market.advance(70_000)
  await usage(market.machine, market.machine.signUsage(id, 60, false, altered))
  expect(await metered(id)).toBe(0)
  await settle(id)
})

test('another machine’s usage, and usage under another machine’s name, count for nothing', async () => {
  const id = await running()
  await market.advance(70_000)
  const genuine = market.machine.signUsage(id, 60)
  await usage(other, genuine)
  expect(await metered(id)).toBe(0)
  await usage(market.machine, { ...genuine, record: { ...genuine.record, nodeId: other.nodeId } })
  expect(await metered(id)).toBe(0)
  await usage(market.machine, { ...genuine, hash: 'a'.repeat(64) })
  expect(await metered(id)).toBe(0)
  await usage(market.machine, genuine)
  expect(await metered(id)).toBe(60)
  await settle(id)
})

test('usage that comes after the books are closed changes nothing', async () => {
  const id = await running()
  await market.advance(70_000)
  const settled = await settle(id)
  const lease = market.machine.leases.get(id)
  if (lease) lease.chain.final = false
  await usage(market.machine, market.machine.signUsage(id, 600, true))
  expect(await market.rental(id)).toEqual(settled)
})

test('a lease report of another machine, or of another epoch, changes nothing', async () => {
  const id = await running()
  const status = { ...market.machine.statusOf(id), phase: 'removed' as const, end: 'exited' as const }
  await other.report({ kind: 'lease', status })
  await market.machine.report({ kind: 'lease', status: { ...status, epoch: 7 } })
  await market.machine.report({ kind: 'lease', status: { ...status, rentalId: market.unknownId('rental') } })
  expect((await market.rental(id)).state).toBe('running')
  await settle(id)
})

test.each([
  ['in the past', -86_400_000],
  ['in the future', 86_400_000],
  ['before all time', Number.MIN_SAFE_INTEGER],
  ['after all time', Number.MAX_SAFE_INTEGER],
])('a machine that says it was ready %s starts the clock between its order and now', async (_, offsetMs) => {
  market.machine.startsAtOnce = false
  const { rental } = await market.rent()
  await market.until(rental.id, 'starting')
  const readyAt = Math.abs(offsetMs) > 1e12 ? offsetMs : market.now() + offsetMs
  await market.machine.ready(rental.id, readyAt)
  market.machine.startsAtOnce = true
  const { startedAt, paidUntil, createdAt } = await market.rental(rental.id)
  expect(Date.parse(String(startedAt))).toBeGreaterThanOrEqual(Date.parse(createdAt))
  expect(Date.parse(String(startedAt))).toBeLessThanOrEqual(market.now())
  expect(Date.parse(String(paidUntil)) - Date.parse(String(startedAt))).toBe(600_000)
  await settle(rental.id)
})

test('a machine that says ready twice starts one clock', async () => {
  const id = await running()
  const { startedAt } = await market.rental(id)
  await market.advance(30_000)
  await market.machine.ready(id)
  expect((await market.rental(id)).startedAt).toBe(startedAt)
  await settle(id)
})

test('a machine that comes back after it was lost changes no books and frees its units', async () => {
  const machine = await market.addMachine({ unitsTotal: 1 }, 'returns')
  const id = await running(machine)
  await market.advance(65_000)
  await machine.use(id, 60)
  machine.disconnect()
  await market.advance(361_000)
  const settled = await market.until(id, 'settled')
  expect(settled).toMatchObject({ endReason: 'node_lost', chargedAtoms: '1000' })
  await machine.connect()
  await machine.use(id, 400, true)
  await machine.end(id, 'exited')
  await market.events.connected(machine.nodeId)
  await market.tick()
  expect({ ...(await market.rental(id)), node: null }).toEqual({ ...settled, node: null })
  expect((await market.ask('GET', `/api/offers/${machine.offerId}`)).body).toMatchObject({ unitsAvailable: 1 })
})

test('what a failing workload says may hold anything', async () => {
  market.machine.startsAtOnce = false
  const { rental } = await market.rent()
  await market.until(rental.id, 'starting')
  await market.machine.end(rental.id, 'failed', { detail: 'exec: \u0000bad\ud800 file' })
  market.machine.startsAtOnce = true
  expect(await market.until(rental.id, 'settled')).toMatchObject({ endReason: 'start_failed', refundAtoms: '10000' })
})

test('books that cannot be closed keep nobody else from being paid', async () => {
  const poisoned = await running()
  const healthy = await running()
  await market.sql(`update rental set prepaid_atoms = prepaid_atoms + 50000 where id = '${poisoned}'`)
  await market.stop(poisoned)
  await market.stop(healthy)
  await market.until(healthy, 'settled')
  expect((await market.rental(poisoned)).state).toBe('ending')
  await market.sql(`update rental set prepaid_atoms = prepaid_atoms - 50000 where id = '${poisoned}'`)
  await market.advance(6_000)
  await market.until(poisoned, 'settled')
  expect(await market.ledger()).toEqual(emptyBooks)
})
