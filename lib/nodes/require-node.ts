// The provider of a machine: who signs with its key, or the admin.
import { Problem } from '@flow402/protocol/problem'
import type { MarketKeys } from '../auth/market-keys.ts'
import { isAdmin, type Who } from '../auth/who.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { authenticateProvider } from './authenticate-provider.ts'

/** Lets the provider of a machine and the admin through. No token is 401; anybody else's is 404, so that ids cannot be probed. */
export async function requireNode(
  deps: { db: Db; now: Now; keys: Pick<MarketKeys, 'publicKey'>; env: { adminToken: string | undefined } },
  nodeId: string,
  token: string | undefined,
): Promise<Who> {
  if (!token) throw new Problem('unauthorized')
  if (isAdmin(deps.env.adminToken, token)) return { kind: 'admin' }
  const node = await authenticateProvider(deps, token)
  if (node?.id !== nodeId) throw new Problem('node_not_found')
  return { kind: 'provider', nodeId }
}
