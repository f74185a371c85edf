// Authenticating a machine: it proves that it holds the key it enrolled with.
import { verify } from 'node:crypto'
import { tunnelHelloBytes } from '@flow402/protocol/lease'
import { Problem } from '@flow402/protocol/problem'
import { publicKeyFromBase64url } from '../auth/market-keys.ts'
import type { Db } from '../db/client.ts'
import { findNode, type Node } from './store.ts'

/** Checks the signature of a tunnel hello over our nonce and returns the node. Unknown node, wrong key or suspended: Problem node_not_found. */
export async function authenticateNode(deps: { db: Db }, hello: { nodeId: string; signature: string }, nonce: string): Promise<Node> {
  const node = await findNode(deps.db, hello.nodeId)
  if (!node || node.status === 'suspended') throw new Problem('node_not_found')
  const bytes = tunnelHelloBytes(hello.nodeId, nonce)
  const isGenuine = verify(null, bytes, publicKeyFromBase64url(node.publicKey), Buffer.from(hello.signature, 'base64url'))
  if (!isGenuine) throw new Problem('node_not_found')
  return node
}
