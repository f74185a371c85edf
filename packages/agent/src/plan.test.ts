// Tests of the plan: each fact of journal and engine leads to one step.
import { expect, test } from 'vitest'
import type { LeaseRow } from './journal.ts'
import { planLease } from './plan.ts'
import type { SeenContainer } from './runtimes/runtime.ts'
import { emptyChain } from './usage.ts'

const readyAtMs = 1_000_000

const lease = (change: Partial<LeaseRow> = {}): LeaseRow => ({
  rentalId: 'rnt_0',
  epoch: 1,
  revision: 1,
  desired: 'running',
  paidSeconds: 300,
  spec: { image: null, command: null, env: {}, sshPublicKey: null, ramMb: 64, cpuMillis: 500, diskMb: 64, gpuUnits: 0 },
  phase: 'ready',
  ready: { atMs: readyAtMs, uptime: 50, bootId: 'boot', uptimeAhead: 0 },
  end: null,
  exitCode: null,
  detail: null,
  usage: emptyChain,
  updatedAtMs: 0,
  ...change,
})
const withCommand = (change: Partial<LeaseRow> = {}) => lease({ ...change, spec: { ...lease().spec, command: ['true'] } })
const recorded = (toSecond: number) => ({ ...emptyChain, seq: 1, toSecond })

const container = (change: Partial<SeenContainer> = {}): SeenContainer => ({
  id: 'c',
  name: 'flow402-rnt_0-1',
  labels: {},
  state: 'running',
  exitCode: null,
  oomKilled: false,
  finishedAtMs: null,
  pid: 1,
  limits: { ramMb: 64, swapMb: 64, cpuMillis: 500, pidsMax: 256, readOnly: true, network: 'none' },
  ...change,
})
const ended = (exitCode: number, afterSeconds: number, change: Partial<SeenContainer> = {}) =>
  container({ state: 'ended', exitCode, finishedAtMs: readyAtMs + afterSeconds * 1000, ...change })
const at = (elapsed: number | null, died: number | null = null) => ({ elapsed, died })

test.each(['accepted', 'preparing', 'pulling', 'creating', 'starting'] as const)(
  'a lease that was cut off while %s is started',
  (phase) => {
    expect(planLease(lease({ phase, ready: null }), null, at(null))).toEqual({ do: 'start' })
  },
)

test('a lease that is ended before it was ready drains without usage', () => {
  const step = planLease(lease({ phase: 'creating', ready: null, desired: 'ended' }), null, at(null))
  expect(step).toMatchObject({ do: 'drain', end: 'ordered', toSecond: 0 })
})

test('a running lease waits for its next record or its end, whichever is first', () => {
  expect(planLease(lease(), container(), at(10))).toEqual({ do: 'wait', seconds: 50 })
  expect(planLease(lease({ paidSeconds: 30 }), container(), at(10))).toEqual({ do: 'wait', seconds: 20 })
})

test('usage that is due is recorded in whole minutes, however late', () => {
  expect(planLease(lease(), container(), at(60.1))).toEqual({ do: 'record', toSecond: 60 })
  expect(planLease(lease({ usage: recorded(60) }), container(), at(200))).toEqual({ do: 'record', toSecond: 180 })
  expect(planLease(lease({ usage: recorded(180) }), container(), at(200))).toEqual({ do: 'wait', seconds: 40 })
})

test('paid time ends at the second that was paid for', () => {
  expect(planLease(lease(), container(), at(300.4))).toMatchObject({ do: 'drain', end: 'paid_until', toSecond: 300 })
})

test('an extension that arrives in the last second keeps it running', () => {
  expect(planLease(lease({ paidSeconds: 360, usage: recorded(240) }), container(), at(299.9))).toMatchObject({ do: 'wait' })
})

test('an ordered end bills until now, and nothing above what was paid', () => {
  expect(planLease(lease({ desired: 'ended' }), container(), at(75.9))).toMatchObject({ do: 'drain', end: 'ordered', toSecond: 75 })
  expect(planLease(lease({ desired: 'ended' }), container(), at(999))).toMatchObject({ do: 'drain', end: 'ordered', toSecond: 300 })
})

test('a command that ended is billed until then and gives its exit code', () => {
  expect(planLease(withCommand(), ended(3, 42.7), at(90))).toMatchObject({ do: 'drain', end: 'exited', exitCode: 3, toSecond: 42 })
})

test('a command that was killed for memory says so', () => {
  expect(planLease(withCommand(), ended(137, 5, { oomKilled: true }), at(6))).toMatchObject({
    end: 'exited',
    detail: expect.stringContaining('memory'),
  })
})

test('a container that was killed from outside has vanished', () => {
  expect(planLease(lease(), ended(137, 20), at(30))).toMatchObject({ end: 'vanished', toSecond: 20 })
  expect(planLease(withCommand(), ended(137, 20), at(30))).toMatchObject({ end: 'vanished', toSecond: 20 })
})

test('a renter who shuts the machine down from inside has ended it, not the provider', () => {
  expect(planLease(lease(), ended(143, 20), at(30))).toMatchObject({ end: 'exited', exitCode: 143, toSecond: 20 })
})

test('a container that ended itself at the deadline was paid until then, even if the agent was away', () => {
  expect(planLease(lease(), ended(124, 300.6), at(5000))).toMatchObject({ end: 'paid_until', toSecond: 300 })
})

test('a command that exits with the deadline code before the deadline has exited', () => {
  expect(planLease(withCommand(), ended(124, 20), at(30))).toMatchObject({ end: 'exited', exitCode: 124, toSecond: 20 })
})

test('a wall clock that jumped cannot bill more than the monotonic time', () => {
  expect(planLease(withCommand(), ended(0, 250), at(30))).toMatchObject({ toSecond: 30 })
})

test('a container that is gone without a trace bills only what was recorded', () => {
  expect(planLease(lease({ usage: recorded(60) }), null, at(110))).toMatchObject({ end: 'vanished', toSecond: 60 })
  expect(planLease(lease({ usage: recorded(60) }), null, at(110, 101.5))).toMatchObject({ end: 'vanished', toSecond: 101 })
})

test('after a reboot of the host only recorded time counts', () => {
  expect(planLease(lease({ usage: recorded(120) }), ended(255, 290), at(null))).toMatchObject({ end: 'vanished', toSecond: 120 })
})

test('usage never runs backwards', () => {
  expect(planLease(withCommand({ usage: recorded(60) }), ended(0, 12), at(70))).toMatchObject({ toSecond: 60 })
})

test.each(['draining', 'failed'] as const)('a lease that is %s is removed', (phase) => {
  expect(planLease(lease({ phase, end: 'failed' }), null, at(10))).toEqual({ do: 'remove' })
})

test('a removed lease needs nothing', () => {
  expect(planLease(lease({ phase: 'removed', desired: 'running' }), null, at(10))).toEqual({ do: 'wait', seconds: null })
})
