// Forgetting: a key is good for a day, then it may be used for something else.
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { deleteKeysBefore } from './store.ts'

/** How long an answer is kept at least, in ms: 24 hours. */
export const keptMs = 86_400_000
const batch = 1_000

/** Forgets keys that were first used more than a day ago; returns how many. */
export function forgetOldAnswers({ db, now }: { db: Db; now: Now }): Promise<number> {
  const nowMs = now()
  return deleteKeysBefore(db, nowMs - keptMs, nowMs, batch)
}
