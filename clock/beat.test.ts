// Beats: a wake-up is never lost, work never overlaps, and an error does not end the clock.
import { expect, test, vi } from 'vitest'
import { beat } from './beat.ts'

test('a wake-up during a run leads to one more run, and two runs never overlap', async () => {
  let running = 0
  let most = 0
  let runs = 0
  const each = beat('test', 60_000, async () => {
    running++
    most = Math.max(most, running)
    await new Promise((resolve) => setTimeout(resolve, 5))
    running--
    runs++
    return 0
  })
  each.wake()
  each.wake()
  each.wake()
  await expect.poll(() => runs).toBe(2)
  await each.stop()
  expect(most).toBe(1)
})

test('work that found something looks again at once, and an error is not the end', async () => {
  const results: (number | Error)[] = [1, new Error('the database is away'), 0]
  let runs = 0
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const each = beat('test', 5, async () => {
    const next = results[Math.min(runs++, 2)]
    if (next instanceof Error) throw next
    return next ?? 0
  })
  await expect.poll(() => runs).toBeGreaterThan(3)
  await each.stop()
  expect(said).toHaveBeenCalled()
  said.mockRestore()
})
