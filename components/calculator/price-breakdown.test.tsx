// @vitest-environment jsdom
// Tests of the price breakdown: the amounts on the screen are the market's own, to the atom.
import { formatUsdc } from '@flow402/protocol/money'
import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import fc from 'fast-check'
import { afterEach, expect, test } from 'vitest'
import { costOf, splitAfter } from './cost.ts'
import { PriceBreakdown } from './price-breakdown.tsx'

afterEach(cleanup)

const plan = { units: 2, minutes: 45, priceAtomsPerHour: 1000n, feeBps: 500 }
const shown = (testId: string) => screen.getByTestId(testId).textContent

test('the prepaid amount is shown exactly and called the most this can cost', () => {
  render(<PriceBreakdown plan={plan} />)
  expect(shown('breakdown-prepaid')).toBe('$0.0015')
  expect(screen.getByText('The most this can cost')).toBeTruthy()
})

test('what comes back when stopping early follows the slider, and the parts add up to the prepaid amount', () => {
  render(<PriceBreakdown plan={plan} />)
  for (const share of [0, 20, 100]) {
    fireEvent.change(screen.getByRole('slider'), { target: { value: String(share) } })
    const parts = ['breakdown-payout', 'breakdown-fee', 'breakdown-refund'].map((id) => Number(shown(id)?.slice(1)))
    expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(0.0015, 9)
  }
  expect(shown('breakdown-refund')).toBe('$0.00')
})

test('stopping within the first minute costs one minute', () => {
  render(<PriceBreakdown plan={{ ...plan, units: 1, minutes: 60, priceAtomsPerHour: 60_000n }} />)
  fireEvent.change(screen.getByRole('slider'), { target: { value: '0' } })
  expect(shown('breakdown-charge')).toBe('$0.001')
})

test('for every plan and every stop the parts add up to the prepaid amount, to the atom', () => {
  const plans = fc.record({
    units: fc.integer({ min: 1, max: 1000 }),
    minutes: fc.integer({ min: 1, max: 43_200 }),
    priceAtomsPerHour: fc.bigInt({ min: 0n, max: 10_000_000n }),
    feeBps: fc.integer({ min: 0, max: 3000 }),
  })
  fc.assert(
    fc.property(plans, fc.nat(50_000), (any, stop) => {
      const split = splitAfter(any, Math.min(stop, any.minutes))
      expect(split.payoutAtoms + split.feeAtoms + split.refundAtoms).toBe(costOf(any).prepaid)
    }),
  )
  expect(formatUsdc(costOf(plan).prepaid)).toBe('0.0015')
})
