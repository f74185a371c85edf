// The agent is killed for real: paid time goes on, is counted once, and ends at its end even when nobody is there to end it.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRealHouse, type RealHouse, waitFor } from '../support/real-house.ts'

let house: RealHouse
beforeAll(async () => {
  house = await openRealHouse()
})
afterAll(() => house?.close())

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('killed and restarted, the agent adopts its container; no second is lost or counted twice', async () => {
  const rented = await house.rent()
  const running = await house.until(rented, 'running')
  await house.exec(rented, ['sh', '-c', 'echo kept > /workspace/file'])
  await wait(1_500)
  await house.killAgent()
  const answer = await house.post(`/api/rentals/${rented.id}/exec`, { argv: ['true'] }, house.bearer(rented))
  expect(answer.status).toBe(503)
  await wait(3_000)
  expect(await house.containers()).toHaveLength(1)
  await house.startAgent()
  expect(await house.exec(rented, ['cat', '/workspace/file'])).toMatchObject({ stdout: 'kept\n' })
  await wait(1_500)
  await house.stop(rented)
  const settled = await house.until(rented, 'settled')
  const wallSeconds = (Date.parse(settled.endedAt ?? '') - Date.parse(running.startedAt ?? '')) / 1000
  expect(settled.meteredSeconds).toBeGreaterThanOrEqual(Math.floor(wallSeconds) - 1)
  expect(settled.meteredSeconds).toBeLessThanOrEqual(Math.floor(wallSeconds))
  const records = await house.db
    .selectFrom('usage_record')
    .select(['seq', 'from_second', 'to_second'])
    .where('rental_id', '=', rented.id)
    .orderBy('seq')
    .execute()
  for (const [index, record] of records.entries()) {
    expect(record.seq).toBe(index + 1)
    expect(record.from_second).toBe(records[index - 1]?.to_second ?? 0)
  }
})

test('killed for good, its container still ends by itself when the paid time is over, and the whole of it is billed', async () => {
  const rented = await house.rent({ minutes: 1 })
  const running = await house.until(rented, 'running')
  await house.killAgent()
  const paidUntil = Date.parse(running.paidUntil ?? '')
  await wait(paidUntil - Date.now() - 4_000)
  expect(await house.containers()).toHaveLength(1)
  await waitFor('the container to end by itself', async () => (await house.containers()).length === 0, 15_000)
  expect(Date.now()).toBeLessThan(paidUntil + 5_000)

  await house.startAgent()
  const settled = await house.until(rented, 'settled')
  expect(settled.endReason).toBe('time_up')
  expect(settled.meteredSeconds).toBe(60)
  expect(settled.refundAtoms).toBe('0')
})
