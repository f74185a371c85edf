// The model runs, second half: 5,000 random sequences from another seed.
import { expect, test } from 'vitest'
import { freshDatabase } from '../support/database.ts'
import { inWords, runSequences } from './run-sequences.ts'

test('5,000 more random sequences keep L1-L8, P1-P7, R1-R3, M1-M3 and J1, and everybody has what is theirs to the atom', async () => {
  const ran = await runSequences({ count: 5_000, seed: 402_000_000, freshDatabase })
  console.log(inWords(ran))
  expect(ran.failure, inWords(ran)).toBeUndefined()
  expect(ran.sequences).toBeGreaterThanOrEqual(5_000)
  expect(ran.commands / ran.sequences).toBeGreaterThan(8)
}, 2_700_000)
