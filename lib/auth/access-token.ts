// Access tokens: the one credential to a rental, derived from the master secret so that none is ever stored.
import { createHmac, timingSafeEqual } from 'node:crypto'
import { Problem } from '@flow402/protocol/problem'
import type { MarketKeys } from './market-keys.ts'

/** The token of a rental: `f402_` + HMAC-SHA256 of its id, base64url. The same payment sent again gets the same token back. */
export function accessTokenFor(keys: Pick<MarketKeys, 'accessSecret'>, rentalId: string): string {
  return `f402_${createHmac('sha256', keys.accessSecret).update(`rental-access\n${rentalId}`).digest('base64url')}`
}

/** Lets the holder of a rental's token through. No token is 401; a wrong one is 404, so that ids cannot be probed. */
export function requireAccess(keys: Pick<MarketKeys, 'accessSecret'>, rentalId: string, token: string | undefined): void {
  if (!token) throw new Problem('unauthorized')
  const expected = Buffer.from(accessTokenFor(keys, rentalId))
  const given = Buffer.from(token)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) throw new Problem('rental_not_found')
}
