// Who asks: what a bearer token proves, before anything is known of rentals or machines.
import { createHash, timingSafeEqual } from 'node:crypto'
import { Problem } from '@flow402/protocol/problem'

/** Who may do something to a rental: the holder of its token, the machine that runs it, or the admin. */
export type Who = { kind: 'renter' } | { kind: 'provider'; nodeId: string } | { kind: 'admin' }

/** Whether a token is the admin's. Without an ADMIN_TOKEN nobody is admin. Takes the same time whatever is wrong. */
export function isAdmin(adminToken: string | undefined, token: string | undefined): boolean {
  if (adminToken === undefined || token === undefined) return false
  return timingSafeEqual(sha256(adminToken), sha256(token))
}

/** Lets the admin through; everybody else is 401. */
export function requireAdmin(adminToken: string | undefined, token: string | undefined): Who {
  if (!isAdmin(adminToken, token)) throw new Problem('unauthorized', { detail: 'The admin’s token is required' })
  return { kind: 'admin' }
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
