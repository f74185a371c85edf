// Once: the same request under the same key is done one time, however often and wherever it arrives; then its answer is given again.
import { randomUUID } from 'node:crypto'
import { Problem } from '@flow402/protocol/problem'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { type Answer, openAnswer, sealAnswer } from './seal-answer.ts'
import { type Asked, claimKey, deleteKey, findKey, type KnownKey, setAnswer, setClaimUntil } from './store.ts'

/** How long a claim outlives its process, in ms. A living one renews it three times in this while. */
export const claimMs = 60_000
const tries = 3

type Deps = { db: Db; now: Now; keys: Pick<MarketKeys, 'answerSecret'> }

/**
 * Does `work` unless this key has its answer already. `work` answers, and does not throw, whatever happens.
 * Problems: idempotency_in_flight while somebody else does it, idempotency_key_reused for another request, or another payment, under a
 * key that is taken. Either way this try did nothing.
 */
export async function once(deps: Deps, asked: Asked, work: () => Promise<Answer>): Promise<{ answer: Answer; isReplay: boolean }> {
  const token = randomUUID()
  for (let attempt = 0; attempt < tries; attempt++) {
    const nowMs = deps.now()
    if (await claimKey(deps.db, asked, { token, nowMs, untilMs: nowMs + claimMs }))
      return { answer: await workUnderClaim(deps, asked, token, work), isReplay: false }
    const known = await findKey(deps.db, asked)
    if (known && isAnswered(known, asked, nowMs)) return { answer: openAnswer(deps.keys, asked, known.answer), isReplay: true }
    // Freed between the two statements: it may be ours now.
  }
  throw new Problem('idempotency_in_flight')
}

/** Whether a taken key has the answer for this request; false when its claim is over without one. Throws when it is not for this request. */
function isAnswered(known: KnownKey, asked: Asked, nowMs: number): known is KnownKey & { answer: NonNullable<KnownKey['answer']> } {
  if (known.fingerprint !== asked.fingerprint)
    throw new Problem('idempotency_key_reused', { detail: 'This key was used for another request. Nothing was done for this one.' })
  if (known.answer === null && known.claimedUntilMs > nowMs) throw new Problem('idempotency_in_flight')
  if (known.proof !== asked.proof && (known.answer !== null || known.proof !== null))
    throw new Problem('idempotency_key_reused', { detail: `${paymentUnder(known)} Nothing was charged for this try.` })
  return known.answer !== null
}

function paymentUnder({ answer, proof }: KnownKey): string {
  if (proof === null) return 'This key was answered without a payment: take a new key for a new try.'
  if (answer === null) return 'This key came with another payment that may still be taken: send that one again to learn what became of it.'
  if (answer.status < 300) return 'This key has already bought something, with another payment: send that one again for its answer.'
  return `This key was answered ${answer.status} for another payment: take a new key for a new try.`
}

async function workUnderClaim({ db, now, keys }: Deps, asked: Asked, token: string, work: () => Promise<Answer>): Promise<Answer> {
  const renewing = setInterval(() => {
    setClaimUntil(db, asked, token, now() + claimMs).catch(warn('idempotency_not_renewed'))
  }, claimMs / 3).unref()
  try {
    const answer = await work()
    // The work is done: an answer that cannot be kept is given all the same, and the claim runs out by itself.
    await settleClaim({ db, now, keys }, asked, token, answer).catch(warn('idempotent_answer_not_kept'))
    return answer
  } finally {
    clearInterval(renewing)
  }
}

async function settleClaim({ db, now, keys }: Deps, asked: Asked, token: string, answer: Answer): Promise<void> {
  const fate = fateOf(answer)
  if (fate === 'keep') await setAnswer(db, asked, token, { status: answer.status, sealed: sealAnswer(keys, asked, answer), nowMs: now() })
  else if (fate === 'forget') await deleteKey(db, asked, token)
  else await setClaimUntil(db, asked, token, now())
}

/**
 * What becomes of a key. `forget`: nothing happened, it may be used for anything. `retry`: not the last word, so it may be used again for
 * this request and this payment; answers that say when to come back are of this kind. `keep`: this is the answer from now on. Pure.
 */
export function fateOf({ status, headers }: Pick<Answer, 'status' | 'headers'>): 'forget' | 'retry' | 'keep' {
  if (status === 402 || status === 429) return 'forget'
  return status >= 500 || headers.some(([name]) => name.toLowerCase() === 'retry-after') ? 'retry' : 'keep'
}

function warn(event: string): (error: Error) => void {
  return (error) => console.error(JSON.stringify({ level: 'warn', event, message: error.message }))
}
