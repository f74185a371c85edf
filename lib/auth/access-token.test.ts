// Access tokens: one rental each, and an id cannot be probed.
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { accessTokenFor, requireAccess } from './access-token.ts'
import { deriveMarketKeys } from './market-keys.ts'

const keys = deriveMarketKeys(randomBytes(32).toString('base64url'))
const mine = `rnt_${'1'.repeat(32)}`
const theirs = `rnt_${'2'.repeat(32)}`

test('a token opens its own rental and no other; without one the answer says so, with a wrong one nothing exists', () => {
  const token = accessTokenFor(keys, mine)
  expect(() => requireAccess(keys, mine, token)).not.toThrow()
  expect(() => requireAccess(keys, theirs, token)).toThrow(expect.objectContaining({ code: 'rental_not_found' }))
  expect(() => requireAccess(keys, mine, `${token}x`)).toThrow(expect.objectContaining({ code: 'rental_not_found' }))
  expect(() => requireAccess(keys, mine, undefined)).toThrow(expect.objectContaining({ code: 'unauthorized' }))
})

test('another master secret makes other tokens', () => {
  const other = deriveMarketKeys(randomBytes(32).toString('base64url'))
  expect(accessTokenFor(other, mine)).not.toBe(accessTokenFor(keys, mine))
})
