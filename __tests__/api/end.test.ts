// How a rental ends, and what it then costs: a machine that fails, goes away, comes back or lies.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sendAllOrders } from '../../lib/provisioning/send-orders.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 } })
})
afterAll(() => market.close())

test('a rental that never became ready costs nothing and its units are free again', async () => {
  const machine = await market.addMachine({ unitsTotal: 1 }, 'fails')
  machine.startsAtOnce = false
  const before = await market.balances()
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'starting')
  await machine.end(rental.id, 'failed', { detail: 'no such program' })
  const settled = await market.until(rental.id, 'settled')
  expect(settled).toMatchObject({ endReason: 'start_failed', endDetail: 'no such program', chargedAtoms: '0', refundAtoms: '10000' })
  expect(await market.balances()).toEqual(before)
  const offer = await market.ask('GET', `/api/offers/${machine.offerId}`)
  expect(offer.body).toMatchObject({ unitsAvailable: 1 })
})

test('one that is not ready within ten minutes of payment is refunded in full', async () => {
  const machine = await market.addMachine({}, 'slow')
  machine.startsAtOnce = false
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'starting')
  await market.advance(601_000)
  expect(await market.until(rental.id, 'settled')).toMatchObject({ endReason: 'start_timeout', refundAtoms: '10000' })
})

test('paid time that is used up costs exactly what was prepaid', async () => {
  const { rental } = await market.rent({ minutes: 2 })
  await market.until(rental.id, 'running')
  await market.advance(120_000)
  await market.machine.end(rental.id, 'paid_until', { toSecond: 120 })
  const settled = await market.until(rental.id, 'settled')
  expect(settled).toMatchObject({ endReason: 'time_up', meteredSeconds: 120, chargedAtoms: '2000', refundAtoms: '0' })
})

test('what a machine used while it was cut off is counted once it is back', async () => {
  const machine = await market.addMachine({}, 'cut off')
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'running')
  machine.disconnect()
  await market.advance(200_000)
  await machine.use(rental.id, 180)
  expect((await market.rental(rental.id)).meteredSeconds).toBe(0)
  await machine.connect()
  expect((await market.rental(rental.id)).meteredSeconds).toBe(180)
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
})

test('a machine that never comes back is billed up to its last acknowledged record only', async () => {
  const machine = await market.addMachine({}, 'vanishes')
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'running')
  await market.advance(120_000)
  await machine.use(rental.id, 120)
  machine.vanish()
  await market.advance(361_000)
  const settled = await market.until(rental.id, 'settled')
  expect(settled).toMatchObject({ endReason: 'node_lost', meteredSeconds: 120, chargedAtoms: '2000', refundAtoms: '8000' })
})

test('usage counts only when it is signed by the node, continues the chain, and is not more than passed', async () => {
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.advance(90_000)
  const genuine = market.machine.signUsage(rental.id, 60)
  const forged = { ...genuine, signature: Buffer.alloc(64).toString('base64url') }
  await market.machine.report({ kind: 'usage', usage: forged })
  expect((await market.rental(rental.id)).meteredSeconds).toBe(0)
  await market.machine.report({ kind: 'usage', usage: genuine })
  await market.machine.report({ kind: 'usage', usage: genuine })
  expect((await market.rental(rental.id)).meteredSeconds).toBe(60)
  await market.machine.use(rental.id, 590)
  expect((await market.rental(rental.id)).meteredSeconds).toBeLessThan(95)
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
})

test('stopped before any machine was told of it, a rental costs nothing and its units are free at once', async () => {
  const machine = await market.addMachine({ unitsTotal: 1 }, 'never told')
  const { rental } = await market.rent({ offerId: machine.offerId })
  expect((await market.stop(rental.id)).body).toMatchObject({ state: 'ending', endReason: 'stopped' })
  expect((await market.ask('GET', `/api/offers/${machine.offerId}`)).body).toMatchObject({ unitsAvailable: 1 })
  expect(await market.until(rental.id, 'settled')).toMatchObject({ chargedAtoms: '0', refundAtoms: '10000' })
})

test('a rental can be extended by its own terms even when its offer is no longer listed', async () => {
  const machine = await market.addMachine({ maxMinutes: 20 }, 'unlisted')
  const { rental } = await market.rent({ offerId: machine.offerId })
  await market.until(rental.id, 'running')
  await market.sql(`update offer set published = false, max_minutes = 1000 where id = '${machine.offerId}'`)
  const path = `/api/rentals/${rental.id}/extend`
  const tooLong = await market.ask('POST', path, { minutes: 11 }, market.bearer(rental.id))
  expect(tooLong).toMatchObject({ status: 422, body: { code: 'duration_out_of_range', maxMinutes: 10 } })
  expect((await market.ask('POST', path, { minutes: 10 }, market.bearer(rental.id))).status).toBe(402)
  await market.stop(rental.id)
  await market.until(rental.id, 'settled')
})

test('a machine that is back after the end hands in its last usage before anything is closed, even if an order reaches it first', async () => {
  const machine = await market.addMachine({}, 'late reporter')
  const { rental } = await market.rent({ offerId: machine.offerId, minutes: 1 })
  await market.until(rental.id, 'running')
  machine.disconnect()
  await market.advance(60_000)
  await machine.end(rental.id, 'paid_until', { toSecond: 60 })
  await market.advance(10_000)
  expect(await market.until(rental.id, 'ending')).toMatchObject({ endReason: 'time_up', meteredSeconds: 0 })
  machine.isConnected = true
  await sendAllOrders(market.house, machine.nodeId)
  expect(await market.until(rental.id, 'settled')).toMatchObject({ meteredSeconds: 60, chargedAtoms: '1000', refundAtoms: '0' })
})
