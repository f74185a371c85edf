// Enrolment: a machine's key and its first offer enter the market together, for one invite.

import { newId } from '@flow402/protocol/id'
import type { Enrolment, EnrolRequest } from '@flow402/protocol/node'
import { Problem } from '@flow402/protocol/problem'
import { type MarketKeys, publicKeyFromBase64url } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import { brokenUnique, type Db, inTransaction } from '../db/client.ts'
import { inviteHash } from '../nodes/invite-node.ts'
import { addNode, useInvite } from '../nodes/store.ts'
import { addOffer } from './store.ts'

/** Enrols a node. Its offer stays unlisted until the self-test passed. Problem enrolment_refused for a bad token or a key that is known. */
export async function enrolNode(
  deps: { db: Db; now: Now; keys: MarketKeys; tunnelUrl: string },
  request: EnrolRequest,
): Promise<Enrolment> {
  if (request.offer.maxMinutes < request.offer.minMinutes)
    throw new Problem('invalid_request', { detail: 'offer.maxMinutes must not be less than offer.minMinutes' })
  if (!isAddress(request.payoutAddress)) throw new Problem('invalid_request', { detail: 'payoutAddress is not a Solana address' })
  try {
    publicKeyFromBase64url(request.publicKey)
  } catch {
    throw new Problem('invalid_request', { detail: 'publicKey is not an Ed25519 public key' })
  }
  const nowMs = deps.now()
  const nodeId = newId('node', nowMs)
  const offerId = newId('offer', nowMs)
  try {
    await inTransaction(deps.db, async (tx) => {
      await addNode(tx, { id: nodeId, ...request }, nowMs)
      if (!(await useInvite(tx, inviteHash(request.token), nodeId, nowMs))) throw new Problem('enrolment_refused')
      await addOffer(tx, { ...request.offer, id: offerId, nodeId, nowMs })
    })
  } catch (error) {
    if (brokenUnique(error) === 'node_public_key_key') throw new Problem('enrolment_refused', { detail: 'This key is enrolled already' })
    throw error
  }
  return { nodeId, offerId, marketPublicKey: deps.keys.publicKey, tunnelUrl: deps.tunnelUrl }
}

const base58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** Whether base58 text is 32 bytes: what is not could never be paid. */
function isAddress(text: string): boolean {
  const zeros = /^1*/.exec(text)?.[0].length ?? 0
  let value = 0n
  for (const digit of text) value = value * 58n + BigInt(base58.indexOf(digit))
  const bytes = value === 0n ? 0 : Math.ceil(value.toString(16).length / 2)
  return zeros + bytes === 32
}
