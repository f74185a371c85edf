// Time's work: every state that waits has a deadline, and an outage of the market itself ends nobody's rental.
import { expect, test } from 'vitest'
import type { RentalRecord } from '../rentals/store.ts'
import { dueEnd } from './end-due-rentals.ts'
import { clampSeconds } from './take-usage.ts'

const now = 1_000_000_000
const minute = 60_000
const up = now - 60 * minute

function rental(change: Omit<Partial<RentalRecord>, 'node'> & { lastSeenAtMs?: number }): RentalRecord {
  const base = {
    status: 'running',
    minutes: 60,
    paidAtMs: now - minute,
    createdAtMs: now - minute,
    startedAtMs: now - minute,
    unitsHeld: true,
  }
  const times = { paidUntilMs: now + minute, endedAtMs: null, usageClosedAtMs: null }
  return { ...base, ...times, ...change, node: { lastSeenAtMs: change.lastSeenAtMs ?? now } } as unknown as RentalRecord
}

test('a rental that is not ready ten minutes after payment is ended and refunded', () => {
  expect(dueEnd(rental({ status: 'starting', paidAtMs: now - 9 * minute }), now, up)).toBeUndefined()
  expect(dueEnd(rental({ status: 'starting', paidAtMs: now - 11 * minute }), now, up)).toBe('start_timeout')
  expect(dueEnd(rental({ status: 'paid', paidAtMs: now - 11 * minute }), now, up)).toBe('start_timeout')
})

test('paid time that is over ends the rental even when the node says nothing', () => {
  expect(dueEnd(rental({ paidUntilMs: now - 6_000 }), now, up)).toBe('time_up')
})

test('a node may be away for five minutes after it is lost; then its rentals settle', () => {
  expect(dueEnd(rental({ lastSeenAtMs: now - 5 * minute }), now, up)).toBeUndefined()
  expect(dueEnd(rental({ lastSeenAtMs: now - 7 * minute }), now, up)).toBe('node_lost')
})

test('a market that was away itself loses no node for it', () => {
  expect(dueEnd(rental({ lastSeenAtMs: now - 30 * minute }), now, now - minute)).toBeUndefined()
})

test('last usage is waited for, but not for ever', () => {
  const ending = { status: 'ending', endedAtMs: now - 10_000 } as const
  expect(dueEnd(rental(ending), now, up)).toBeUndefined()
  expect(dueEnd(rental({ ...ending, endedAtMs: now - 2 * minute }), now, up)).toBe('close_usage')
  expect(dueEnd(rental({ ...ending, endedAtMs: now - 2 * minute, lastSeenAtMs: now - 3 * minute }), now, up)).toBeUndefined()
  expect(dueEnd(rental({ ...ending, endedAtMs: now - 7 * minute, lastSeenAtMs: now - 7 * minute }), now, up)).toBe('close_usage')
})

test('metered seconds never exceed what passed by the market’s clock nor what was paid', () => {
  expect(clampSeconds(rental({}), 50, now)).toBe(50)
  expect(clampSeconds(rental({}), 5_000, now)).toBe(60)
  expect(clampSeconds(rental({ startedAtMs: now - 999 * minute, minutes: 2 }), 5_000, now)).toBe(120)
  expect(clampSeconds(rental({ endedAtMs: now - 30_000 }), 60, now)).toBe(30)
  expect(clampSeconds(rental({ startedAtMs: null }), 60, now)).toBe(0)
})

test('units of a rental that never became ready are free once it could have run nowhere any more, even if its machine never comes back', () => {
  const dead = { status: 'settled' as const, paidUntilMs: null, startedAtMs: null, usageClosedAtMs: 1, minutes: 10 }
  expect(dueEnd(rental({ ...dead, endedAtMs: now - 14 * minute }), now, up)).toBeUndefined()
  expect(dueEnd(rental({ ...dead, endedAtMs: now - 16 * minute }), now, up)).toBe('free_units')
  expect(dueEnd(rental({ ...dead, endedAtMs: now - 16 * minute, unitsHeld: false }), now, up)).toBeUndefined()
})
