// Nodes in SQL: invites, machines, and when each was last heard of.
import type { DoctorReport, PayoutPolicy } from '@flow402/protocol/node'
import type { Db, Tx } from '../db/client.ts'

/** A machine as the market knows it. `lastSeenAtMs` is null until it first connected. */
export type Node = {
  id: string
  name: string
  region: string
  publicKey: string
  payoutAddress: string
  status: 'enrolled' | 'listed' | 'suspended'
  lastSeenAtMs: number | null
}

export async function addInvite(db: Db | Tx, invite: { tokenHash: string; expiresAtMs: number; nowMs: number }): Promise<void> {
  await db
    .insertInto('node_invite')
    .values({ token_hash: invite.tokenHash, expires_at: new Date(invite.expiresAtMs), created_at: new Date(invite.nowMs) })
    .execute()
}

/** Uses an invite up; false when it is unknown, used or expired. */
export async function useInvite(tx: Tx, tokenHash: string, nodeId: string, nowMs: number): Promise<boolean> {
  const used = await tx
    .updateTable('node_invite')
    .set({ used_at: new Date(nowMs), node_id: nodeId })
    .where('token_hash', '=', tokenHash)
    .where('used_at', 'is', null)
    .where('expires_at', '>', new Date(nowMs))
    .executeTakeFirst()
  return used.numUpdatedRows === 1n
}

export async function addNode(
  tx: Tx,
  node: Omit<Node, 'status' | 'lastSeenAtMs'> & { payout?: PayoutPolicy | undefined },
  nowMs: number,
): Promise<void> {
  await tx
    .insertInto('node')
    .values({
      id: node.id,
      name: node.name,
      region: node.region,
      public_key: node.publicKey,
      payout_address: node.payoutAddress,
      payout_min_atoms: BigInt(node.payout?.minAtoms ?? 0),
      payout_interval_seconds: node.payout?.intervalSeconds ?? 0,
      created_at: new Date(nowMs),
    })
    .execute()
}

export async function findNode(db: Db | Tx, id: string): Promise<Node | undefined> {
  const row = await db
    .selectFrom('node')
    .select(['id', 'name', 'region', 'public_key', 'payout_address', 'status', 'last_seen_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (!row) return undefined
  return {
    id: row.id,
    name: row.name,
    region: row.region,
    publicKey: row.public_key,
    payoutAddress: row.payout_address,
    status: row.status,
    lastSeenAtMs: row.last_seen_at?.getTime() ?? null,
  }
}

/** A machine's Ed25519 public key, 32 bytes in base64url. */
export async function findNodeKey(db: Db | Tx, id: string): Promise<string | undefined> {
  const row = await db.selectFrom('node').select('public_key').where('id', '=', id).executeTakeFirst()
  return row?.public_key
}

export async function setNodeSeen(db: Db | Tx, id: string, nowMs: number): Promise<void> {
  await db
    .updateTable('node')
    .set({ last_seen_at: new Date(nowMs) })
    .where('id', '=', id)
    .execute()
}

/** Stores a self-test; a node whose test failed is not listed until one passes. Suspended nodes stay suspended. */
export async function setNodeDoctor(tx: Tx, id: string, report: DoctorReport): Promise<void> {
  await tx
    .updateTable('node')
    .set({
      doctor: JSON.stringify(report),
      isolation: report.isolation,
      network: report.network,
      status: report.ok ? 'listed' : 'enrolled',
    })
    .where('id', '=', id)
    .where('status', '!=', 'suspended')
    .execute()
}
