// What the agent believes: orders and stream tokens, signed by the market for one node.
import { randomUUID } from 'node:crypto'
import type { LeaseOrder, StreamScope } from '@flow402/protocol/lease'
import { CompactSign, SignJWT } from 'jose'
import type { MarketKeys } from '../auth/market-keys.ts'

/** How long a stream token may be used to open a stream, in seconds. */
const streamTokenSeconds = 60

/** An order as a compact JWS (EdDSA); the audience is inside the payload, so it is of use to no other node. */
export function signOrder(keys: Pick<MarketKeys, 'signing'>, nodeId: string, order: LeaseOrder): Promise<string> {
  return new CompactSign(new TextEncoder().encode(JSON.stringify({ aud: nodeId, ...order })))
    .setProtectedHeader({ alg: 'EdDSA', typ: 'flow402-order+jws' })
    .sign(keys.signing)
}

/** A token for one stream to one rental on one node (JWT, EdDSA). */
export function signStreamToken(
  keys: Pick<MarketKeys, 'signing'>,
  nodeId: string,
  rentalId: string,
  scope: StreamScope,
  nowMs: number,
): Promise<string> {
  const issuedAt = Math.floor(nowMs / 1000)
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: 'EdDSA', typ: 'flow402-stream+jwt' })
    .setAudience(nodeId)
    .setSubject(rentalId)
    .setIssuedAt(issuedAt)
    .setExpirationTime(issuedAt + streamTokenSeconds)
    .setJti(randomUUID())
    .sign(keys.signing)
}
