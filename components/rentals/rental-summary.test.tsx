// @vitest-environment jsdom
// Tests of the rental's head: state, progress, money and time are what the rental says, in words people understand.
import { newId } from '@flow402/protocol/id'
import { chargeAtoms } from '@flow402/protocol/money'
import { EndReason, type Rental, RentalState } from '@flow402/protocol/rental'
import { cleanup, render, screen, within } from '@testing-library/react'
import { afterEach, expect, test } from 'vitest'
import { liveCost } from './live-cost.ts'
import { RentalSummary } from './rental-summary.tsx'
import { endWords, stateWords } from './rental-words.ts'

afterEach(cleanup)

const startMs = Date.parse('2026-01-01T00:00:00Z')
const rental = (change: Partial<Rental> = {}): Rental => ({
  id: newId('rental'),
  offerId: newId('offer'),
  state: 'running',
  endReason: null,
  endDetail: null,
  kind: 'ram',
  units: 2,
  perUnit: { ramMb: 1024, cpuMillis: 250, diskMb: 2048 },
  minutes: 10,
  image: null,
  priceAtomsPerHour: '360000',
  currency: 'USDC',
  feeBps: 500,
  createdAt: '2026-01-01T00:00:00Z',
  startedAt: '2026-01-01T00:00:00Z',
  paidUntil: '2026-01-01T00:10:00Z',
  endedAt: null,
  settledAt: null,
  meteredSeconds: 0,
  prepaidAtoms: '120000',
  chargedAtoms: '0',
  refundAtoms: '0',
  payoutAtoms: '0',
  feeAtoms: '0',
  payer: null,
  node: { id: newId('node'), name: 'attic-nuc', region: 'eu', online: true },
  ...change,
})
const show = (change: Partial<Rental>, nowMs = startMs) => render(<RentalSummary rental={rental(change)} nowMs={nowMs} title="attic-nuc" />)
const text = (testId: string) => screen.getByTestId(testId).textContent

test('a running rental counts time and cost by the second, with the first minute as the least', () => {
  show({}, startMs + 30_000)
  expect(text('time-left')).toBe('9:30')
  expect(text('cost-so-far')).toBe('$0.012000')
  cleanup()
  show({}, startMs + 90_500)
  expect(text('time-left')).toBe('8:30')
  expect(text('cost-so-far')).toBe('$0.018000')
})

test('the live cost is the market formula at every second and never more than was prepaid', () => {
  for (const second of [60, 61, 59 * 60, 600, 10_000]) {
    const { costAtoms, unspentAtoms } = liveCost(rental(), startMs + second * 1000)
    expect(costAtoms).toBe(chargeAtoms(2, 360_000n, Math.min(second, 600)))
    expect(costAtoms + unspentAtoms).toBe(120_000n)
  }
})

test('before the machine is ready nothing is counted', () => {
  show({ state: 'starting', startedAt: null, paidUntil: null }, startMs + 120_000)
  expect(text('time-left')).toBe('10:00')
  expect(text('cost-so-far')).toBe('$0.000000')
  expect(screen.getByText('not billed yet')).toBeTruthy()
  expect(
    within(screen.getByRole('list', { name: 'Progress' }))
      .getByText('Starting')
      .closest('li')
      ?.getAttribute('aria-current'),
  ).toBe('step')
})

test('a settled rental shows the final charge and refund instead of counting on', () => {
  const settled = { state: 'settled', endReason: 'stopped', endedAt: '2026-01-01T00:02:00Z', meteredSeconds: 120 } as const
  show({ ...settled, chargedAtoms: '24000', refundAtoms: '96000' }, startMs + 999_000)
  expect(text('rental-state')).toBe('Settled')
  expect(text('time-left')).toBe('2:00')
  expect(text('cost-so-far')).toBe('$0.024000')
  expect(screen.getByText('$0.096000')).toBeTruthy()
  expect(screen.getByText(/You stopped it/)).toBeTruthy()
})

test('a rental that never ran skips the running step and says that nothing is billed', () => {
  show({
    state: 'settled',
    endReason: 'start_failed',
    startedAt: null,
    endedAt: '2026-01-01T00:02:00Z',
    endDetail: 'no space left on device',
  })
  const running = within(screen.getByRole('list', { name: 'Progress' }))
    .getByText('Running')
    .closest('li')
  expect(running?.textContent).toBe('Running, skipped')
  expect(screen.getByText(/Nothing is billed/)).toBeTruthy()
  expect(screen.getByText('no space left on device')).toBeTruthy()
})

test('every state and every reason for an end has its words', () => {
  for (const state of RentalState.options) expect(stateWords[state].meaning.length).toBeGreaterThan(10)
  for (const reason of EndReason.options) expect(endWords[reason].length).toBeGreaterThan(10)
})
