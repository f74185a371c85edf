// The reserves in words: every account has a name, and an old comparison is never shown as a fresh one.
import { LiabilityAccount } from '@flow402/protocol/reserve'
import { expect, test } from 'vitest'
import { ageText, breakdownWords, lateAfterMs, reservesState } from './reserve-words.ts'

test('every account of what is owed has its line', () => {
  expect(breakdownWords.map(({ account }) => account).sort()).toEqual([...LiabilityAccount.options].sort())
})

test('never compared, right, late and frozen are told apart, and frozen is said first', () => {
  const at = Date.parse('2026-01-01T00:00:00Z')
  const checkedAt = '2026-01-01T00:00:00.000Z'
  expect(reservesState({ checkedAt: null, frozen: false }, at)).toBe('never')
  expect(reservesState({ checkedAt, frozen: false }, at + lateAfterMs)).toBe('right')
  expect(reservesState({ checkedAt, frozen: false }, at + lateAfterMs + 1)).toBe('late')
  expect(reservesState({ checkedAt, frozen: true }, at + lateAfterMs + 1)).toBe('frozen')
  expect([0, 119, 120, 7_200, 172_800].map((seconds) => ageText(checkedAt, at + seconds * 1000))).toEqual([
    '0 s',
    '119 s',
    '2 min',
    '2 h',
    '2 d',
  ])
})
