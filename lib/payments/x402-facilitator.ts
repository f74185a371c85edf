// Facilitators: our own in process, or a remote one. Neither is believed about what landed: the chain is asked afterwards.
import { getBase64Encoder, getSignatureFromTransaction, getTransactionDecoder, type KeyPairSigner } from '@solana/kit'
import { x402Facilitator } from '@x402/core/facilitator'
import { HTTPFacilitatorClient } from '@x402/core/http'
import { type Network, type PaymentPayload, type PaymentRequirements, VerifyError } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'
import type { SettleOutcome } from './payment-rail.ts'
import type { Chain } from './x402-chain.ts'

/** What the fee payer sponsors at most: a transfer with memo uses about 20,000 units; two signatures, payer and fee payer. */
const limits = { maxComputeUnits: 200_000, maxPriorityFeeMicroLamports: 1_000_000, maxRequiredSignatures: 2 }

/** How long a settlement is waited for before it counts as unknown, in ms. */
const confirmMs = 20_000
const feePayerCacheMs = 300_000
/** For how long a payment that was just judged valid need not be judged again, in ms. */
const judgedMs = 5_000
const judgedAtMost = 10_000
/** A remote facilitator that does not judge is asked again this often, after this many ms. */
const verifyTries = 3
const verifyAgainMs = 200

/**
 * Judges and settles one payment. `beforeBroadcast` is called before anything is sent, with the signature, or with null by a remote
 * facilitator, whose signature is known only afterwards.
 */
export type Facilitator = {
  feePayer(): Promise<string>
  /** Why the payment could not settle, undefined when it could. Throws when it cannot be judged now. */
  refusalOf(payload: PaymentPayload, requirements: PaymentRequirements): Promise<string | undefined>
  settle(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    beforeBroadcast: (signature: string | null) => Promise<void>,
  ): Promise<SettleOutcome>
}

/** A facilitator in this process. A scheme object lives for one settlement, so the package's in-memory caches decide nothing. */
export function openLocalFacilitator(config: { chain: Chain; feePayer: KeyPairSigner; network: string }): Facilitator {
  const { chain } = config
  const network = config.network as Network
  const base = toFacilitatorSvmSigner(config.feePayer, { [network]: chain.rpc } as Parameters<typeof toFacilitatorSvmSigner>[1])
  const judged = recently()

  /** One try: what went wrong outside of the payment is kept as `trouble`, because the package tells it like a verdict. */
  function attempt(beforeBroadcast?: (signature: string) => Promise<void>) {
    const course: { wasBroadcast: boolean; trouble: Error | undefined } = { wasBroadcast: false, trouble: undefined }
    async function noting<T>(work: Promise<T>): Promise<T> {
      return work.catch((error: Error) => {
        course.trouble = error
        throw error
      })
    }
    const signer: typeof base = {
      ...base,
      async simulateTransaction(wire) {
        if (beforeBroadcast && judged.take(wire)) return
        const reason = await noting(chain.simulate(wire))
        if (reason !== undefined) throw new Error(reason)
        if (!beforeBroadcast) judged.add(wire)
      },
      async sendTransaction(wire) {
        const signature = getSignatureFromTransaction(getTransactionDecoder().decode(getBase64Encoder().encode(wire)))
        if (!beforeBroadcast) throw new Error('judging must not send')
        await noting(beforeBroadcast(signature))
        course.wasBroadcast = true
        await chain.send(wire)
        return signature
      },
      async confirmTransaction(signature) {
        const fact = await chain.movementFact(signature, confirmMs)
        if (fact.kind !== 'landed') throw new Error(`not confirmed: ${fact.kind}`)
      },
    }
    return { facilitator: new x402Facilitator().register(network, new ExactSvmScheme(signer, undefined, limits)), course }
  }

  return {
    async feePayer() {
      return config.feePayer.address
    },
    async refusalOf(payload, requirements) {
      const { facilitator, course } = attempt()
      const verified = await facilitator.verify(payload, requirements)
      if (verified.isValid) return undefined
      if (course.trouble) throw course.trouble
      return verdict(verified)
    },
    async settle(payload, requirements, beforeBroadcast) {
      const { facilitator, course } = attempt(beforeBroadcast)
      try {
        const result = await facilitator.settle(payload, requirements)
        if (result.success) return { kind: 'landed', signature: result.transaction }
        if (course.wasBroadcast) return { kind: 'unknown', reason: result.errorReason ?? 'unexplained' }
        if (course.trouble) return { kind: 'unsent', reason: course.trouble.message }
        return { kind: 'refused', reason: result.errorReason ?? 'unexplained' }
      } catch (error) {
        return { kind: course.wasBroadcast ? 'unknown' : 'unsent', reason: (error as Error).message }
      }
    },
  }
}

/** A facilitator behind HTTP. Only its "not valid" before settling is a safe no; everything after is unknown until the chain tells. */
export function openRemoteFacilitator(config: { url: string; network: string; now: () => number }): Facilitator {
  const client = new HTTPFacilitatorClient({ url: config.url, timeoutMs: confirmMs })
  const judged = recently()
  let cached: { address: string; untilMs: number } | undefined

  async function refusalOf(payload: PaymentPayload, requirements: PaymentRequirements): Promise<string | undefined> {
    for (let tries = 1; ; tries++) {
      try {
        const verified = await client.verify(payload, requirements)
        return verified.isValid ? undefined : verdict(verified)
      } catch (error) {
        // Some facilitators say "not valid" with a 4xx; a 5xx is no verdict whatever it says.
        if (error instanceof VerifyError && error.statusCode < 500) return verdict(error)
        if (tries >= verifyTries) throw error
        await new Promise((resolve) => setTimeout(resolve, verifyAgainMs * tries))
      }
    }
  }

  return {
    async feePayer() {
      if (cached && cached.untilMs > config.now()) return cached.address
      const { kinds } = await client.getSupported()
      const kind = kinds.find((k) => k.x402Version === 2 && k.scheme === 'exact' && k.network === config.network)
      const address = kind?.extra?.feePayer
      if (typeof address !== 'string') throw new Error(`the facilitator at ${config.url} does not settle exact on ${config.network}`)
      cached = { address, untilMs: config.now() + feePayerCacheMs }
      return address
    },
    async refusalOf(payload, requirements) {
      const refusal = await refusalOf(payload, requirements)
      if (refusal === undefined) judged.add(String(payload.payload.transaction))
      return refusal
    },
    async settle(payload, requirements, beforeBroadcast) {
      try {
        const refusal = judged.take(String(payload.payload.transaction)) ? undefined : await refusalOf(payload, requirements)
        if (refusal !== undefined) return { kind: 'refused', reason: refusal }
        await beforeBroadcast(null)
      } catch (error) {
        return { kind: 'unsent', reason: (error as Error).message }
      }
      try {
        const result = await client.settle(payload, requirements)
        if (result.success && result.transaction) return { kind: 'landed', signature: result.transaction }
        return { kind: 'unknown', reason: result.errorReason ?? 'unexplained' }
      } catch (error) {
        return { kind: 'unknown', reason: (error as Error).message }
      }
    },
  }
}

function verdict(verified: { invalidReason?: string | undefined; invalidMessage?: string | undefined }): string {
  return [verified.invalidReason ?? 'unexplained', verified.invalidMessage].filter(Boolean).join(': ')
}

/** Remembers for a moment what was judged valid, so that the settlement that follows at once need not ask again. Decides nothing else. */
function recently() {
  const untilMs = new Map<string, number>()
  return {
    add(key: string): void {
      if (untilMs.size >= judgedAtMost) untilMs.clear()
      untilMs.set(key, performance.now() + judgedMs)
    },
    take(key: string): boolean {
      const until = untilMs.get(key)
      untilMs.delete(key)
      return until !== undefined && until > performance.now()
    },
  }
}
