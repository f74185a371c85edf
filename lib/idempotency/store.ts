// Idempotency keys in SQL: one row per caller and key, claimed by whoever writes it first.
import type { Db } from '../db/client.ts'

/**
 * A request under a key. `scope` is the caller, `fingerprint` the SHA-256 of what is asked, `proof` the SHA-256 of the payment that came
 * with it, or null.
 */
export type Asked = { scope: string; key: string; fingerprint: string; proof: string | null }

/** What is known of a key. `answer` is null until there is a final one; it is sealed (seal-answer.ts). */
export type KnownKey = {
  fingerprint: string
  proof: string | null
  claimedUntilMs: number
  answer: { status: number; sealed: Buffer } | null
}

/**
 * Claims a key for `token` until `untilMs`: a new one, or one whose claim ran out without an answer and that was for the same request and
 * for no other payment. False when it is somebody else's, or answered.
 */
export async function claimKey(db: Db, asked: Asked, claim: { token: string; nowMs: number; untilMs: number }): Promise<boolean> {
  const claimed = await db
    .insertInto('idempotent_request')
    .values({
      scope: asked.scope,
      key: asked.key,
      fingerprint: asked.fingerprint,
      proof: asked.proof,
      claim_token: claim.token,
      claimed_until: new Date(claim.untilMs),
      created_at: new Date(claim.nowMs),
    })
    .onConflict((conflict) =>
      conflict
        .columns(['scope', 'key'])
        .doUpdateSet((eb) => ({
          claim_token: eb.ref('excluded.claim_token'),
          claimed_until: eb.ref('excluded.claimed_until'),
          proof: eb.ref('excluded.proof'),
        }))
        .where('idempotent_request.answered_at', 'is', null)
        .where('idempotent_request.claimed_until', '<=', new Date(claim.nowMs))
        .where((eb) => eb('idempotent_request.fingerprint', '=', eb.ref('excluded.fingerprint')))
        .where((eb) => eb.or([eb('idempotent_request.proof', 'is', null), eb('idempotent_request.proof', '=', eb.ref('excluded.proof'))])),
    )
    .executeTakeFirst()
  return claimed.numInsertedOrUpdatedRows === 1n
}

export async function findKey(db: Db, { scope, key }: Asked): Promise<KnownKey | undefined> {
  const row = await db
    .selectFrom('idempotent_request')
    .select(['fingerprint', 'proof', 'claimed_until', 'status', 'answer'])
    .where('scope', '=', scope)
    .where('key', '=', key)
    .executeTakeFirst()
  if (!row) return undefined
  return {
    fingerprint: row.fingerprint,
    proof: row.proof,
    claimedUntilMs: row.claimed_until.getTime(),
    answer: row.status === null || row.answer === null ? null : { status: row.status, sealed: row.answer },
  }
}

/** Lengthens, or ends, a claim that is still the token's. False when it is not. */
export async function setClaimUntil(db: Db, { scope, key }: Asked, token: string, untilMs: number): Promise<boolean> {
  const changed = await db
    .updateTable('idempotent_request')
    .set({ claimed_until: new Date(untilMs) })
    .where('scope', '=', scope)
    .where('key', '=', key)
    .where('claim_token', '=', token)
    .where('answered_at', 'is', null)
    .executeTakeFirst()
  return changed.numUpdatedRows === 1n
}

/** Keeps the final answer of a claim that is still the token's. False when somebody else has it by now. */
export async function setAnswer(
  db: Db,
  { scope, key }: Asked,
  token: string,
  answer: { status: number; sealed: Buffer; nowMs: number },
): Promise<boolean> {
  const changed = await db
    .updateTable('idempotent_request')
    .set({ status: answer.status, answer: answer.sealed, answered_at: new Date(answer.nowMs) })
    .where('scope', '=', scope)
    .where('key', '=', key)
    .where('claim_token', '=', token)
    .where('answered_at', 'is', null)
    .executeTakeFirst()
  return changed.numUpdatedRows === 1n
}

/** Forgets a key whose claim is still the token's, as if it had never been used. */
export async function deleteKey(db: Db, { scope, key }: Asked, token: string): Promise<void> {
  await db
    .deleteFrom('idempotent_request')
    .where('scope', '=', scope)
    .where('key', '=', key)
    .where('claim_token', '=', token)
    .where('answered_at', 'is', null)
    .execute()
}

/** Forgets keys that were first used before `beforeMs` and are in nobody's hand; returns how many, at most `limit`. */
export async function deleteKeysBefore(db: Db, beforeMs: number, nowMs: number, limit: number): Promise<number> {
  const gone = await db
    .deleteFrom('idempotent_request')
    .where((eb) =>
      eb(
        eb.refTuple('scope', 'key'),
        'in',
        eb
          .selectFrom('idempotent_request')
          .select(['scope', 'key'])
          .where('created_at', '<', new Date(beforeMs))
          .where('claimed_until', '<', new Date(nowMs))
          .orderBy('created_at')
          .limit(limit)
          .$asTuple('scope', 'key'),
      ),
    )
    .executeTakeFirst()
  return Number(gone.numDeletedRows)
}
