// Hearing from a machine: the heartbeat that keeps its offers on the market and its rentals billed.
import { suspectAfterMs } from '@flow402/protocol/lease'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { setNodeSeen } from './store.ts'

/** Writes down that a node was heard of now. */
export async function markNodeSeen(deps: { db: Db; now: Now }, nodeId: string): Promise<void> {
  await setNodeSeen(deps.db, nodeId, deps.now())
}

/** Whether a node that was last seen then counts as online now: a suspect one is not sold, though its rentals live on. */
export function isOnline(lastSeenAtMs: number | null, nowMs: number): boolean {
  return lastSeenAtMs !== null && nowMs - lastSeenAtMs < suspectAfterMs
}
