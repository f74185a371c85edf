// A facilitator behind HTTP: only its "not valid" before settling is a safe no; everything after is unknown until the chain tells.
import { HTTPFacilitatorClient } from '@x402/core/http'
import { type PaymentPayload, type PaymentRequirements, VerifyError } from '@x402/core/types'
import type { SettleOutcome } from './payment-rail.ts'
import { judgedRecently, type Member } from './x402-facilitator.ts'

/** Who does not say in this time what it supports counts as failing, in ms. */
const supportedMs = 5_000
const verifyMs = 8_000
const settleMs = 20_000
/** One that does not judge is asked again this often, after this many ms more each time. */
const verifyTries = 3
const verifyAgainMs = 200
/** For how long one that was heard of need not be asked again before it is named in a quote, in ms. */
const freshMs = 10_000
/** For how long its fee payers are taken as known; a stranger's key makes nobody ask again before, in ms. */
const supportedKnownMs = 300_000
/** After so many failures in a row it is left out for so long, in ms; then one more failure leaves it out again. */
const failuresAtMost = 3
const leftOutMs = 30_000

/** Reasons that speak of an earlier attempt at the same payment: they judge nothing, the chain does. */
const earlierAttempt = new Set(['duplicate_settlement', 'settlement_pending'])
/** The connection was never made: whatever was asked did not arrive. */
const neverArrived = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** Opens a remote facilitator. Nothing is asked before it is needed. `now` is the house's time, in ms. */
export function openRemoteFacilitator(config: { url: string; network: string; now: () => number }): Member {
  const { now } = config
  const client = (timeoutMs: number) => new HTTPFacilitatorClient({ url: config.url, timeoutMs })
  const [supported, verifier, settler] = [client(supportedMs), client(verifyMs), client(settleMs)]
  const judged = judgedRecently<true>()
  const health = { failures: 0, leftOutUntilMs: 0, heardAtMs: Number.NEGATIVE_INFINITY }
  const managed = new Set<string>()
  let known: { feePayer: string; askedAtMs: number } | undefined
  let asking: Promise<string> | undefined

  /** Notes whether it answered. An answer that judges is an answer. */
  async function heard<T>(work: Promise<T>): Promise<T> {
    try {
      const answer = await work
      health.failures = 0
      health.leftOutUntilMs = 0
      health.heardAtMs = now()
      return answer
    } catch (error) {
      health.failures += 1
      if (health.failures >= failuresAtMost) health.leftOutUntilMs = now() + leftOutMs
      console.error(
        JSON.stringify({
          level: 'warn',
          event: 'facilitator_failed',
          url: config.url,
          failures: health.failures,
          message: wholeMessage(error),
        }),
      )
      throw error
    }
  }

  /** Asks what it supports, once for everybody who wants to know at the same time. */
  function ask(): Promise<string> {
    asking ??= heard(readSupported()).finally(() => {
      asking = undefined
    })
    return asking
  }

  async function readSupported(): Promise<string> {
    const { kinds, signers } = await supported.getSupported()
    const kind = kinds.find((k) => k.x402Version === 2 && k.scheme === 'exact' && k.network === config.network)
    const feePayer = kind?.extra?.feePayer
    if (typeof feePayer !== 'string') throw new Error(`the facilitator at ${config.url} does not settle exact on ${config.network}`)
    for (const signer of [feePayer, ...(signers?.['solana:*'] ?? []), ...(signers?.[config.network] ?? [])]) managed.add(signer)
    known = { feePayer, askedAtMs: now() }
    return feePayer
  }

  /** Its verdict. A 4xx with a verdict is one, except that "too many requests" and "too slow" judge nothing; nor does a 5xx. */
  async function verdictOf(payload: PaymentPayload, requirements: PaymentRequirements): Promise<{ refusal: string | undefined }> {
    for (let tries = 1; ; tries++) {
      try {
        const verified = await verifier.verify(payload, requirements)
        return verified.isValid ? { refusal: undefined } : refusing(verified)
      } catch (error) {
        if (error instanceof VerifyError && error.statusCode < 500 && ![408, 429].includes(error.statusCode)) return refusing(error)
        if (tries >= verifyTries) throw error
        await new Promise((resolve) => setTimeout(resolve, verifyAgainMs * tries))
      }
    }
  }

  /** Heard of lately, and not so long ago asked what it supports: its fee payer may have changed. */
  const isFresh = () => known !== undefined && now() < health.heardAtMs + freshMs && now() < known.askedAtMs + supportedKnownMs

  return {
    name: config.url,
    isHealthy: () => now() >= health.leftOutUntilMs,
    knows(feePayer) {
      if (managed.has(feePayer)) return true
      return known && now() < known.askedAtMs + supportedKnownMs ? false : undefined
    },
    async manages(feePayer) {
      await ask()
      return managed.has(feePayer)
    },
    feePayer: async () => (isFresh() && known ? known.feePayer : ask()),

    async refusalOf(payload, requirements) {
      const { refusal } = await heard(verdictOf(payload, requirements))
      if (refusal === undefined) judged.add(payload, requirements, true)
      // It knows the payment from an earlier attempt and so judges nothing; who asks again is told by the chain.
      else if (speaksOfEarlier(refusal)) throw new Error(`the facilitator at ${config.url} says ${refusal}`)
      return refusal
    },

    async settle(payload, requirements, beforeBroadcast): Promise<SettleOutcome> {
      try {
        if (!judged.take(payload, requirements)) {
          const { refusal } = await heard(verdictOf(payload, requirements))
          if (refusal !== undefined) return { kind: speaksOfEarlier(refusal) ? 'unknown' : 'refused', reason: refusal }
        }
        await beforeBroadcast(null)
      } catch (error) {
        return { kind: 'unsent', reason: wholeMessage(error) }
      }
      try {
        const result = await heard(settler.settle(payload, requirements))
        if (result.success && result.transaction) return { kind: 'landed', signature: result.transaction }
        return { kind: 'unknown', reason: result.errorReason ?? 'unexplained' }
      } catch (error) {
        return { kind: neverArrived.has(codeOf(error)) ? 'unsent' : 'unknown', reason: wholeMessage(error) }
      }
    },
  }
}

function refusing(verified: { invalidReason?: string | undefined; invalidMessage?: string | undefined }): { refusal: string } {
  return { refusal: [verified.invalidReason ?? 'unexplained', verified.invalidMessage].filter(Boolean).join(': ') }
}

const speaksOfEarlier = (refusal: string) => earlierAttempt.has(refusal.split(':')[0] ?? '')

/** fetch says "fetch failed" and hides the reason in its cause, sometimes in several. */
function codeOf(error: unknown): string {
  for (let at = error as { code?: unknown; cause?: unknown } | undefined; at; at = at.cause as typeof at) {
    const [first] = at instanceof AggregateError ? at.errors : []
    const code = at.code ?? (first as { code?: unknown } | undefined)?.code
    if (typeof code === 'string') return code
  }
  return ''
}

function wholeMessage(error: unknown): string {
  const code = codeOf(error)
  return [(error as Error).message, code].filter(Boolean).join(' ')
}
