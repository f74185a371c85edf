// Authenticating a provider over HTTP: a short-lived token, signed by the key that its machine enrolled with.
import { NodeId } from '@flow402/protocol/id'
import { nodeTokenSecondsAtMost, nodeTokenType } from '@flow402/protocol/node'
import { decodeJwt, errors, jwtVerify } from 'jose'
import { type MarketKeys, publicKeyFromBase64url } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findNode, type Node } from './store.ts'

/**
 * The machine that signed a bearer token for this market, or undefined: not such a token, an unknown or suspended machine, another
 * market's audience, or a life that is over or longer than 5 minutes.
 */
export async function authenticateProvider(
  deps: { db: Db; now: Now; keys: Pick<MarketKeys, 'publicKey'> },
  token: string,
): Promise<Node | undefined> {
  try {
    const nodeId = NodeId.safeParse(decodeJwt(token).sub)
    const node = nodeId.success ? await findNode(deps.db, nodeId.data) : undefined
    if (!node || node.status === 'suspended') return undefined
    const { payload } = await jwtVerify(token, publicKeyFromBase64url(node.publicKey), {
      algorithms: ['EdDSA'],
      typ: nodeTokenType,
      audience: deps.keys.publicKey,
      requiredClaims: ['exp'],
      currentDate: new Date(deps.now()),
    })
    return (payload.exp ?? Number.POSITIVE_INFINITY) * 1000 <= deps.now() + nodeTokenSecondsAtMost * 1000 ? node : undefined
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined
    throw error
  }
}
