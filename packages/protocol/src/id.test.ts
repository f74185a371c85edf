// Ids: prefixed, sortable by time, and checked.
import { expect, test } from 'vitest'
import { newId, RentalId } from './id.ts'

test('a new id fits its noun and no other, is a UUIDv7 inside, and sorts by time', () => {
  const early = newId('rental', 1_700_000_000_000)
  const late = newId('rental', 1_700_000_000_001)
  expect(RentalId.safeParse(early).success).toBe(true)
  expect(RentalId.safeParse(newId('payment')).success).toBe(false)
  expect(early < late).toBe(true)
  const hex = early.slice(4)
  expect(Number.parseInt(hex.slice(0, 12), 16)).toBe(1_700_000_000_000)
  expect(hex[12]).toBe('7')
  expect('89ab').toContain(hex[16])
})
