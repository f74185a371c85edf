// Facilitators: our own in process, or a remote one. Neither is believed about what landed: the chain is asked afterwards.
import { getBase64Encoder, getSignatureFromTransaction, getTransactionDecoder, type KeyPairSigner } from '@solana/kit'
import { x402Facilitator } from '@x402/core/facilitator'
import { HTTPFacilitatorClient } from '@x402/core/http'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'
import type { SettleOutcome } from './payment-rail.ts'
import type { Chain } from './x402-chain.ts'

/** What the fee payer sponsors at most: a transfer with memo uses about 20,000 units; two signatures, payer and fee payer. */
const limits = { maxComputeUnits: 200_000, maxPriorityFeeMicroLamports: 1_000_000, maxRequiredSignatures: 2 }

/** How long a settlement is waited for before it counts as unknown, in ms. */
const confirmMs = 20_000
const feePayerCacheMs = 300_000

/** Settles one payment. `beforeBroadcast` gets the signature before anything is sent; a remote facilitator cannot tell it in time. */
export type Facilitator = {
  feePayer(): Promise<string>
  settle(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    beforeBroadcast: (signature: string) => Promise<void>,
  ): Promise<SettleOutcome>
}

/** A facilitator in this process. A scheme object lives for one settlement, so the package's in-memory caches decide nothing. */
export function openLocalFacilitator(config: { chain: Chain; feePayer: KeyPairSigner; network: string }): Facilitator {
  const network = config.network as Network
  const base = toFacilitatorSvmSigner(config.feePayer, { [network]: config.chain.rpc } as Parameters<typeof toFacilitatorSvmSigner>[1])
  return {
    async feePayer() {
      return config.feePayer.address
    },
    async settle(payload, requirements, beforeBroadcast) {
      let wasBroadcast = false
      const signer: typeof base = {
        ...base,
        async sendTransaction(wire, onNetwork) {
          const signature = getSignatureFromTransaction(getTransactionDecoder().decode(getBase64Encoder().encode(wire)))
          await beforeBroadcast(signature)
          wasBroadcast = true
          return base.sendTransaction(wire, onNetwork)
        },
        async confirmTransaction(signature) {
          const fact = await config.chain.movementFact(signature, confirmMs)
          if (fact.kind !== 'landed') throw new Error(`not confirmed: ${fact.kind}`)
        },
      }
      const facilitator = new x402Facilitator().register(network, new ExactSvmScheme(signer, undefined, limits))
      try {
        const result = await facilitator.settle(payload, requirements)
        if (result.success) return { kind: 'landed', signature: result.transaction }
        return { kind: wasBroadcast ? 'unknown' : 'refused', reason: result.errorReason ?? 'unexplained' }
      } catch (error) {
        return { kind: 'unknown', reason: (error as Error).message }
      }
    },
  }
}

/** A facilitator behind HTTP. Only its "not valid" before settling is a safe no; everything after is unknown until the chain tells. */
export function openRemoteFacilitator(config: { url: string; network: string; now: () => number }): Facilitator {
  const client = new HTTPFacilitatorClient({ url: config.url })
  let cached: { address: string; untilMs: number } | undefined
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
    async settle(payload, requirements) {
      try {
        const verified = await client.verify(payload, requirements)
        if (!verified.isValid) return { kind: 'refused', reason: verified.invalidReason ?? 'unexplained' }
        const result = await client.settle(payload, requirements)
        if (result.success && result.transaction) return { kind: 'landed', signature: result.transaction }
        return { kind: 'unknown', reason: result.errorReason ?? 'unexplained' }
      } catch (error) {
        return { kind: 'unknown', reason: (error as Error).message }
      }
    },
  }
}
