// The parties of a rental: its renter, the provider whose machine runs it, and the admin.
import { Problem } from '@flow402/protocol/problem'
import { requireAccess } from '../auth/access-token.ts'
import type { MarketKeys } from '../auth/market-keys.ts'
import { isAdmin, type Who } from '../auth/who.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { authenticateProvider } from '../nodes/authenticate-provider.ts'
import { findRental } from './store.ts'

/**
 * Who a token is to a rental. No token is 401; one that is nobody's here, and a rental that is not there, are both 404, so that ids cannot
 * be probed.
 */
export async function requireParty(
  deps: { db: Db; now: Now; keys: Pick<MarketKeys, 'accessSecret' | 'publicKey'>; env: { adminToken: string | undefined } },
  rentalId: string,
  token: string | undefined,
): Promise<Who> {
  if (!token) throw new Problem('unauthorized')
  const rental = await findRental(deps.db, rentalId)
  if (!rental) throw new Problem('rental_not_found')
  if (isAdmin(deps.env.adminToken, token)) return { kind: 'admin' }
  const node = await authenticateProvider(deps, token)
  if (node?.id === rental.nodeId) return { kind: 'provider', nodeId: node.id }
  requireAccess(deps.keys, rentalId, token)
  return { kind: 'renter' }
}
