// One payment, sent as often and as fast as anyone likes, is one payment and one running machine.

import type { CreatedRental } from '@flow402/protocol/rental'
import { decodePaymentSignatureHeader, encodePaymentSignatureHeader } from '@x402/core/http'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRealHouse, type RealHouse, rentedFrom } from '../support/real-house.ts'

let house: RealHouse
beforeAll(async () => {
  house = await openRealHouse()
})
afterAll(() => house?.close())

test('the same header 20 times at once, on one rental: one payment, one machine, the same answer', async () => {
  const before = await house.balances()
  const request = house.request()
  const header = await house.sign('/api/rentals', request)
  const answers = await Promise.all(Array.from({ length: 20 }, () => house.post('/api/rentals', request, header)))
  expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(201))
  const created = (await Promise.all(answers.map((answer) => answer.json()))) as CreatedRental[]
  expect(new Set(created.map((each) => each.rental.id)).size).toBe(1)
  expect(new Set(created.map((each) => each.accessToken)).size).toBe(1)
  const rented = rentedFrom(created[0] as CreatedRental)
  await house.until(rented, 'running')
  expect(await house.containers()).toHaveLength(1)
  expect(before.renter - (await house.balances()).renter).toBe(100_000n)
  await house.stop(rented)
  await house.until(rented, 'settled')
})

test('the same transaction 20 times at once, under two quotes: one is paid, the other never', async () => {
  const before = await house.balances()
  const request = house.request()
  const mine = await house.sign('/api/rentals', request)
  const other = await house.sign('/api/rentals', request)
  const [name, value] = Object.entries(mine)[0] as [string, string]
  const otherValue = Object.values(other)[0] as string
  const stolen = { ...decodePaymentSignatureHeader(value), accepted: decodePaymentSignatureHeader(otherValue).accepted }
  const stolenHeader = { [name]: encodePaymentSignatureHeader(stolen) }
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => house.post('/api/rentals', request, index % 2 === 0 ? stolenHeader : mine)),
  )
  const statuses = answers.map((answer) => answer.status)
  expect(statuses.filter((_, index) => index % 2 === 1)).toEqual(Array(10).fill(201))
  expect(statuses.filter((_, index) => index % 2 === 0)).toEqual(Array(10).fill(409))
  const refused = (await answers[0]?.json()) as { code: string }
  expect(refused.code).toBe('payment_already_used')
  const rented = rentedFrom((await answers[1]?.json()) as CreatedRental)
  await house.until(rented, 'running')
  expect(await house.containers()).toHaveLength(1)
  expect(before.renter - (await house.balances()).renter).toBe(100_000n)
  await house.stop(rented)
  await house.until(rented, 'settled')
  expect((await house.balances()).escrow).toBe(0n)
})
