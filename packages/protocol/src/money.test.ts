// Money: the split closes to the atom, windows telescope, and people read exact dollars.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Atoms, billedSeconds, chargeAtoms, formatUsdc, prepaidAtoms, splitPrepaid } from './money.ts'

const units = fc.integer({ min: 1, max: 100_000 })
const price = fc.bigInt({ min: 1n, max: 10_000_000_000n })
const seconds = fc.integer({ min: 0, max: 43_200 * 60 })
const bps = fc.integer({ min: 0, max: 10_000 })

test('payout + fee + refund = prepaid, whatever the price, the time and the fee', () => {
  fc.assert(
    fc.property(units, price, seconds, seconds, bps, (n, atoms, paidFor, used, feeBps) => {
      const prepaid = prepaidAtoms(n, atoms, paidFor)
      const split = splitPrepaid(prepaid, chargeAtoms(n, atoms, Math.min(used, paidFor)), feeBps)
      expect(split.payoutAtoms + split.feeAtoms + split.refundAtoms).toBe(prepaid)
      expect(split.payoutAtoms + split.feeAtoms).toBe(split.chargedAtoms)
      for (const part of Object.values(split)) expect(part >= 0n).toBe(true)
    }),
  )
})

test('the charge of a cumulative time is the sum of its windows, so no cent hides between them', () => {
  fc.assert(
    fc.property(units, price, seconds, seconds, (n, atoms, a, b) => {
      const [early, late] = a < b ? [a, b] : [b, a]
      const window = chargeAtoms(n, atoms, late) - chargeAtoms(n, atoms, early)
      expect(chargeAtoms(n, atoms, early) + window).toBe(chargeAtoms(n, atoms, late))
      expect(window >= 0n).toBe(true)
    }),
  )
})

test('prepaid is the ceiling and charge the floor, at most one atom apart', () => {
  fc.assert(
    fc.property(units, price, seconds, (n, atoms, t) => {
      const gap = prepaidAtoms(n, atoms, t) - chargeAtoms(n, atoms, t)
      expect(gap === 0n || gap === 1n).toBe(true)
    }),
  )
})

test('nothing is billed for what never ran, a minute at least once it did, and never more than was paid', () => {
  expect(billedSeconds(0, false, 600)).toBe(0)
  expect(billedSeconds(0, true, 600)).toBe(60)
  expect(billedSeconds(61, true, 600)).toBe(61)
  expect(billedSeconds(900, true, 600)).toBe(600)
})

test('dollars are exact', () => {
  expect(formatUsdc(1_234_500n)).toBe('1.2345')
  expect(formatUsdc(0n)).toBe('0.00')
  expect(formatUsdc(1n)).toBe('0.000001')
  expect(formatUsdc(-2_500_000n)).toBe('-2.50')
})

test.each(['', '-1', '01', '1e3', '1.5', ' 1', '9999999999999999999', 'NaN'])('%j is no amount', (text) => {
  expect(Atoms.safeParse(text).success).toBe(false)
})
