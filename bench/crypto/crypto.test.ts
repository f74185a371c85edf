// What bench:crypto times is right: every way agrees with the reference, and one that does not is never timed.
import { expect, test } from 'vitest'
import { openNodeEngines } from './engines.ts'
import { manyAtOnce, oneAtATime } from './hashes.ts'
import { madeStatement } from './made-statement.ts'
import { checkedRootWays } from './merkle.ts'
import { openHashers, openNodeNoble } from './peers-node.ts'
import { openRootWays } from './root-ways.ts'
import { takeTurns } from './rounds.ts'
import { checkedSignatureWays } from './signatures.ts'
import { mustJudge } from './statement-check.ts'
import { timesAsFast } from './table.ts'

test.each(['sha256', 'sha3-256'] as const)('every way gives the same %s', async (digest) => {
  const hashers = await openHashers(digest, await openNodeNoble())
  const engines = await openNodeEngines()
  for (const waysOf of [oneAtATime, manyAtOnce])
    for (const bytes of [64, 200]) {
      const ways = waysOf(digest, { bytes, messages: 5 }, hashers, engines)
      expect(ways.map(({ name }) => name)).toEqual(expect.arrayContaining(['node createHash', 'noble', 'hash-wasm, reused', 'wasm']))
    }
})

test('every way gives the same Merkle root', async () => {
  for (const way of checkedRootWays(await openRootWays(128), 128, 118)) way.run()
})

test('every way gives the same verdicts on signatures', async () => {
  await checkedSignatureWays(6, 3)
})

test('every engine judges a statement, good and broken', async () => {
  const statement = madeStatement(12)
  for (const { name, engine } of await openNodeEngines()) mustJudge(name, engine, statement, 12)
})

test('a way that answers wrongly is not timed', async () => {
  const wrong = { name: 'wrong', rootOf: () => new Uint8Array(32) }
  expect(() => checkedRootWays([wrong], 100, 118)).toThrow("wrong's root of 1 leaves is wrong")
  const trusting = { verifyStatement: (statement: Uint8Array) => ({ ok: true, records: 12, root: statement.slice(-32) }) as const }
  const statement = madeStatement(12)
  expect(() => mustJudge('trusting', trusting, statement, 12)).toThrow('trusting does not see signature at record 12')
})

test('ways take turns, and ratios are those of the rounds', async () => {
  const order: string[] = []
  const way = (name: string) => ({ name, count: 1, run: () => order.push(name) })
  await takeTurns([way('a'), way('b')], { rounds: 2, sliceMs: 0, onceMs: 1_000 })
  expect(order).toEqual(['a', 'a', 'b', 'b', 'a', 'b', 'b', 'a'])
  expect(timesAsFast({ name: 'ours', seconds: [1, 2, 4], cpuSeconds: [] }, { name: 'theirs', seconds: [3, 2, 16], cpuSeconds: [] })).toBe(3)
  expect(timesAsFast({ name: 'ours', seconds: [1, 2, 4], cpuSeconds: [] }, { name: 'theirs', seconds: [8], cpuSeconds: [] })).toBe(4)
})
