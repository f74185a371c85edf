// A provider's bearer token, as its machine would sign it, or as it should not be.
import { type KeyObject, sign } from 'node:crypto'
import { nodeTokenType } from '@flow402/protocol/node'
import type { TestHouse } from './house.ts'
import type { Machine } from './machine.ts'

/** What is to be different from an honest token; `null` leaves a claim out. Times are Unix seconds. */
export type TokenChanges = { typ?: string; alg?: string; sub?: string; aud?: string; exp?: number | null; key?: KeyObject }

/** The header that a provider sends, signed by the machine's key, good for 4 minutes. */
export function providerBearer(market: TestHouse, machine: Machine, changes: TokenChanges = {}): { authorization: string } {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const { typ = nodeTokenType, alg = 'EdDSA', sub = machine.nodeId, aud = market.house.keys.publicKey, key } = changes
  const exp = changes.exp === undefined ? Math.floor(market.now() / 1000) + 240 : changes.exp
  const signed = `${part({ alg, typ })}.${part({ sub, aud, ...(exp === null ? {} : { exp }) })}`
  const signature = key ? sign(null, Buffer.from(signed), key).toString('base64url') : machine.sign(Buffer.from(signed))
  return { authorization: `Bearer ${signed}.${signature}` }
}
