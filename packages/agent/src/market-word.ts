// Market's word: orders and stream tokens are believed only with a signature of the pinned market key.
import { LeaseOrder, type StreamScope } from '@flow402/protocol/lease'
import { Problem } from '@flow402/protocol/problem'
import { importJWK, type JWTPayload, jwtVerify } from 'jose'
import { z } from 'zod'

/** Checks what claims to come from the market; every failure is the Problem `unauthorized`. */
export type MarketWord = {
  order: (jws: string, rentalId: string) => Promise<LeaseOrder>
  streamToken: (authorization: string | undefined, rentalId: string, scope: StreamScope) => Promise<void>
}

/** Registered claims (RFC 7519) that may stand beside the order's own fields. */
const registered = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'])
const longestTokenSeconds = 60
/** How far the clocks of node and market may differ. */
const clockToleranceSeconds = 60

/** `marketPublicKey` is 32 bytes in base64url; algorithms other than EdDSA are refused. */
export async function marketWord(marketPublicKey: string, nodeId: string): Promise<MarketWord> {
  const key = await importJWK({ kty: 'OKP', crv: 'Ed25519', x: marketPublicKey }, 'EdDSA')
  const verify = async (jws: string, options: { subject?: string; requiredClaims: string[] }): Promise<JWTPayload> => {
    try {
      return (await jwtVerify(jws, key, { algorithms: ['EdDSA'], audience: nodeId, clockTolerance: clockToleranceSeconds, ...options }))
        .payload
    } catch (error) {
      throw new Problem('unauthorized', { detail: error instanceof Error ? error.message : 'not signed by the market' })
    }
  }
  return {
    async order(jws, rentalId) {
      const payload = await verify(jws, { requiredClaims: ['aud'] })
      const order = LeaseOrder.safeParse(Object.fromEntries(Object.entries(payload).filter(([name]) => !registered.has(name))))
      if (!order.success) throw new Problem('invalid_request', { detail: z.prettifyError(order.error).slice(0, 300) })
      if (order.data.rentalId !== rentalId || (payload.sub !== undefined && payload.sub !== rentalId)) {
        throw new Problem('unauthorized', { detail: 'the order is for another rental' })
      }
      return order.data
    },
    async streamToken(authorization, rentalId, scope) {
      const token = /^Bearer (\S+)$/.exec(authorization ?? '')?.[1]
      if (!token) throw new Problem('unauthorized')
      const payload = await verify(token, { subject: rentalId, requiredClaims: ['aud', 'sub', 'exp'] })
      const lifeSeconds = Number(payload.exp) - Date.now() / 1000
      if (lifeSeconds > longestTokenSeconds + clockToleranceSeconds)
        throw new Problem('unauthorized', { detail: 'the token lives too long' })
      if (payload.scope !== scope) throw new Problem('unauthorized', { detail: `the token is not for ${scope}` })
    },
  }
}
