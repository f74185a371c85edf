// The model runs, first half: what failed once does not fail again, then 5,000 random sequences. The other half runs beside it.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { inWords, type Regression, replay, runSequences } from './run-sequences.ts'

const regressions = JSON.parse(readFileSync(new URL('./regressions.json', import.meta.url), 'utf8')) as Regression[]

test.each(regressions)('what failed once: $what', (regression) => replay(regression, freshDatabase))

test('5,000 random sequences keep L1-L8, P1-P7, R1-R3, M1-M3 and J1, and everybody has what is theirs to the atom', async () => {
  const ran = await runSequences({ count: 5_000, seed: 20_261_123, freshDatabase })
  console.log(inWords(ran))
  expect(ran.failure, inWords(ran)).toBeUndefined()
  expect(ran.sequences).toBeGreaterThanOrEqual(5_000)
  expect(ran.commands / ran.sequences).toBeGreaterThan(8)
}, 2_700_000)
