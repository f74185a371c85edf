// Inviting a machine: a one-time token that enrols exactly one node.
import { createHash, randomBytes } from 'node:crypto'
import type { Db } from '../db/client.ts'
import { addInvite } from './store.ts'

/** Makes a one-time enrolment token, valid for `ttlMs` (default one hour). Only its hash is stored. */
export async function inviteNode(db: Db, { nowMs, ttlMs = 3_600_000 }: { nowMs: number; ttlMs?: number }): Promise<string> {
  const token = `enrol_${randomBytes(24).toString('base64url')}`
  await addInvite(db, { tokenHash: inviteHash(token), expiresAtMs: nowMs + ttlMs, nowMs })
  return token
}

/** What is stored of a token: SHA-256, hex. */
export function inviteHash(token: string): string {
  return createHash('sha256').update(token).digest('hex')
}
