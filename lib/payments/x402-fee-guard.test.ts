// The guard of the fee payer: quotes pause before it runs dry or spends too much, and are back by themselves.
import { expect, test, vi } from 'vitest'
import { openFeeGuard } from './x402-fee-guard.ts'

const limits = { minLamports: 100n, dailyLamports: 1_000n }

function guardOver(world: { lamports: bigint | Error; spent?: bigint | Error; nowMs?: number }) {
  const read = vi.fn()
  const sinceMs: number[] = []
  const guard = openFeeGuard({
    async balance() {
      read()
      if (world.lamports instanceof Error) throw world.lamports
      return world.lamports
    },
    async spentLamports(since) {
      sinceMs.push(since)
      if (world.spent instanceof Error) throw world.spent
      return world.spent ?? 0n
    },
    limits,
    now: () => world.nowMs ?? 0,
  })
  return { guard, read, sinceMs }
}

test.each([
  [100n, 0n, undefined],
  [99n, 0n, 'it has too little SOL'],
  [0n, 0n, 'it has too little SOL'],
  [100n, 999n, undefined],
  [100n, 1_000n, 'it has spent its budget for this day'],
])('with %s lamports left and %s spent it says %s', async (lamports, spent, reason) => {
  expect(await guardOver({ lamports, spent }).guard.pausedBecause()).toBe(reason)
})

test('however many ask, it is read once in ten seconds, and what was spent is that of the last 24 hours', async () => {
  const world = { lamports: 100n, nowMs: 90_000_000 }
  const { guard, read, sinceMs } = guardOver(world)
  await Promise.all(Array.from({ length: 50 }, () => guard.pausedBecause()))
  world.nowMs += 9_999
  await guard.pausedBecause()
  expect(read).toHaveBeenCalledTimes(1)
  expect(sinceMs).toEqual([3_600_000])
  world.nowMs += 1
  await guard.pausedBecause()
  expect(read).toHaveBeenCalledTimes(2)
})

test('a balance that cannot be read pauses quotes, is tried again after two seconds, and what was spent is never guessed', async () => {
  const world: { lamports: bigint | Error; spent?: bigint | Error; nowMs: number } = { lamports: new Error('429'), nowMs: 0 }
  const { guard, read } = guardOver(world)
  expect(await guard.pausedBecause()).toBe('its balance cannot be read')
  world.lamports = 100n
  expect(await guard.pausedBecause()).toBe('its balance cannot be read')
  expect(read).toHaveBeenCalledTimes(1)
  world.nowMs += 2_000
  expect(await guard.pausedBecause()).toBeUndefined()
  world.nowMs += 10_000
  world.spent = new Error('the database is away')
  await expect(guard.pausedBecause()).rejects.toThrow('the database is away')
  world.spent = 0n
  expect(await guard.pausedBecause()).toBeUndefined()
})

test('the alarm is an error in the log, once a minute while it lasts, and at once when it comes again', async () => {
  const world = { lamports: 1n, nowMs: 0 }
  const { guard } = guardOver(world)
  const log = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  try {
    for (world.nowMs = 0; world.nowMs <= 60_000; world.nowMs += 10_000) await guard.pausedBecause()
    expect(log).toHaveBeenCalledTimes(2)
    expect(JSON.parse(String(log.mock.calls[0]?.[0]))).toMatchObject({
      level: 'error',
      event: 'fee_payer_low',
      lamports: '1',
      minLamports: '100',
    })
    world.lamports = 100n
    await guard.pausedBecause()
    world.nowMs += 10_000
    world.lamports = 1n
    await guard.pausedBecause()
    expect(log).toHaveBeenCalledTimes(3)
  } finally {
    log.mockRestore()
  }
})
