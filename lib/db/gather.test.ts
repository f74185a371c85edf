// Gathered statements: asked for at the same time they go together, and none of them suffers for another.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { proxyBefore } from '../../__tests__/support/chaos-proxy.ts'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { type Db, openDatabase } from './client.ts'
import { gather } from './gather.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openDatabase(database.url, { max: 2 })
})
afterAll(async () => {
  await db?.destroy()
  await database?.drop()
})

type Quotient = { quotient: number; together: bigint }
const divide = gather<{ callId: string; dividend: number; divisor: number }, Quotient>('test_divide', {
  key: 'callId',
  columns: { callId: 'text', dividend: 'int', divisor: 'int' },
  text: `divided as (
    select nth, dividend / divisor as quotient, count(*) over () as together from asked where dividend >= 0
  )
  select * from divided`,
})
const ask = (callId: string, dividend: number, divisor: number) => divide(db, { callId, dividend, divisor })

test('calls of the same moment go together, each with its own answer', async () => {
  const answers = await Promise.all([ask('a', 10, 5), ask('b', 9, 3), ask('c', 8, 8)])
  expect(answers.map((answer) => answer?.quotient)).toEqual([2, 3, 1])
  expect(answers.map((answer) => answer?.together)).toEqual([3n, 3n, 3n])
})

test('many calls of the same moment are divided between both runs, few are not', async () => {
  const togetherOf = async (count: number) => {
    const answers = await Promise.all(Array.from({ length: count }, (_, n) => ask(`call ${n}`, n, 1)))
    return answers.map((answer) => Number(answer?.together))
  }
  expect(await togetherOf(8)).toEqual(Array(8).fill(8))
  expect(await togetherOf(20)).toEqual(Array(20).fill(10))
})

test('what comes during a run waits for the next one', async () => {
  const first = ask('a', 10, 5)
  await new Promise((resolve) => setTimeout(resolve, 0))
  const rest = [ask('b', 9, 3), ask('c', 8, 8)]
  expect((await first)?.quotient).toBe(2)
  expect((await Promise.all(rest)).map((answer) => answer?.quotient)).toEqual([3, 1])
})

test('a call without a row is answered so', async () => {
  const answers = await Promise.all([ask('a', 10, 5), ask('b', -1, 1)])
  expect(answers.map((answer) => answer?.quotient)).toEqual([2, undefined])
})

test('only the call at fault fails', async () => {
  const answers = await Promise.allSettled([ask('a', 10, 5), ask('b', 1, 0), ask('c', 8, 2)])
  expect(answers.map((answer) => (answer.status === 'fulfilled' ? answer.value?.quotient : String(answer.reason)))).toEqual([
    2,
    expect.stringMatching(/division by zero/),
    4,
  ])
})

test('two calls of one key are never in one run', async () => {
  const answers = await Promise.all([ask('a', 10, 5), ask('a', 20, 5), ask('b', 30, 5)])
  expect(answers.map((answer) => answer?.quotient)).toEqual([2, 4, 6])
  expect(answers.map((answer) => answer?.together)).toEqual([2n, 1n, 2n])
})

test('more calls than a run takes are all answered', async () => {
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => ask(`call ${n}`, n, 1)))
  expect(answers.map((answer) => answer?.quotient)).toEqual(Array.from({ length: 200 }, (_, n) => n))
  // Both first runs are full. Of the 72 that are left one takes all that it may, or both take half: as one ends before the other, or not.
  const sizes = [...new Set(answers.map((answer) => answer?.together))]
  expect([
    [64n, 8n],
    [64n, 36n],
  ]).toContainEqual(sizes)
})

const dawdle = gather<{ callId: string }, { wait: string }>('test_dawdle', {
  key: 'callId',
  columns: { callId: 'text' },
  text: 'waited as (select nth, pg_sleep(0.4)::text as wait from asked) select * from waited',
})

test('when nobody can tell what became of a run, none of its calls is made again', async () => {
  const wire = await proxyBefore(database.url)
  const cutOff = openDatabase(wire.through(database.url), { max: 2 })
  try {
    expect(await dawdle(cutOff, { callId: 'a' })).toBeDefined()
    const asked = Promise.allSettled(['a', 'b'].map((callId) => dawdle(cutOff, { callId })))
    await new Promise((resolve) => setTimeout(resolve, 100))
    wire.cut()
    await wire.mend()
    expect((await asked).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await dawdle(cutOff, { callId: 'c' })).toBeDefined()
  } finally {
    await cutOff.destroy()
    await wire.close()
  }
})
