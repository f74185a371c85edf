// Facilitators: an ordered list of those who may settle for us. None is believed about what landed: the chain is asked afterwards.
import type { PaymentPayload, PaymentRequirements } from '@x402/core/types'
import type { SettleOutcome } from './payment-rail.ts'

/** For how long a payment that was just judged valid need not be judged again, in ms. */
const judgedMs = 5_000
const judgedAtMost = 10_000

/**
 * Judges and settles one payment. `beforeBroadcast` is called before anything is sent, with the signature, or with null by a remote
 * facilitator, whose signature is known only afterwards.
 */
export type Facilitator = {
  /** Who pays the network's fee of the next payment. Throws when nobody can settle now. */
  feePayer(): Promise<string>
  /** Why the payment could not settle, undefined when it could. Throws when it cannot be judged now. */
  refusalOf(payload: PaymentPayload, requirements: PaymentRequirements): Promise<string | undefined>
  /** Never throws. */
  settle(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
    beforeBroadcast: (signature: string | null) => Promise<void>,
  ): Promise<SettleOutcome>
}

/** One facilitator of the list. */
export type Member = Facilitator & {
  name: string
  /** Whether it may be named in a quote; one that keeps failing is left out for a while. */
  isHealthy(): boolean
  /** Whether a fee payer is its own, as far as is known without asking it; undefined when it would have to be asked. */
  knows(feePayer: string): boolean | undefined
  /** Asks it. Throws when it does not answer. */
  manages(feePayer: string): Promise<boolean>
}

const strangersFeePayer = 'invalid_exact_svm_fee_payer_not_managed_by_facilitator'

/**
 * The list as one facilitator. A quote names the fee payer of the first healthy one. A payment belongs to whoever manages the fee payer of
 * its transaction, since nobody else can sign it: so no two can settle one payment twice. Several with the same fee payer replace
 * each other until something may have been broadcast; from then on only the chain decides.
 */
export function openFacilitators(members: readonly Member[]): Facilitator {
  if (members.length === 0) throw new Error('at least one facilitator is needed')

  /** Those who manage a fee payer, healthy ones first; who must be asked for it is asked last. Throws when nobody does and some are silent. */
  async function* managersOf(feePayer: unknown): AsyncGenerator<Member> {
    if (typeof feePayer !== 'string') return
    const known = members.filter((member) => member.knows(feePayer) === true)
    yield* [...known.filter((member) => member.isHealthy()), ...known.filter((member) => !member.isHealthy())]
    const toAsk = members.filter((member) => member.knows(feePayer) === undefined)
    const asked = await Promise.allSettled(toAsk.map((member) => member.manages(feePayer)))
    const found = toAsk.filter((_, index) => isTrue(asked[index]))
    yield* found
    const silent = asked.find((answer) => answer.status === 'rejected')
    if (known.length + found.length === 0 && silent) throw silent.reason
  }

  return {
    async feePayer() {
      const troubles: string[] = []
      for (const member of members) {
        if (!member.isHealthy()) {
          troubles.push(`${member.name} is left out for a while`)
          continue
        }
        try {
          return await member.feePayer()
        } catch (error) {
          troubles.push(`${member.name}: ${(error as Error).message}`)
        }
      }
      throw new Error(`no facilitator answers: ${troubles.join('; ')}`)
    },

    async refusalOf(payload, requirements) {
      let trouble: unknown
      for await (const member of managersOf(requirements.extra?.feePayer)) {
        try {
          return await member.refusalOf(payload, requirements)
        } catch (error) {
          trouble ??= error
        }
      }
      if (trouble) throw trouble
      return strangersFeePayer
    },

    async settle(payload, requirements, beforeBroadcast) {
      let last: SettleOutcome | undefined
      try {
        for await (const member of managersOf(requirements.extra?.feePayer)) {
          let isRefusedByUs = false
          last = await member.settle(payload, requirements, async (signature) => {
            isRefusedByUs = true
            await beforeBroadcast(signature)
            isRefusedByUs = false
          })
          // Unsent is the one outcome after which another may try: it is known that nothing left. Not when it was us who said no.
          if (last.kind !== 'unsent' || isRefusedByUs) return last
        }
      } catch (error) {
        return { kind: 'unsent', reason: (error as Error).message }
      }
      return last ?? { kind: 'refused', reason: strangersFeePayer }
    },
  }
}

function isTrue(answer: PromiseSettledResult<boolean> | undefined): boolean {
  return answer?.status === 'fulfilled' && answer.value
}

/** Remembers for a moment what was judged valid, so that the settlement that follows at once need not ask again. Decides nothing else. */
export function judgedRecently<T>() {
  const kept = new Map<string, { value: T; untilMs: number }>()
  // What is valid for one set of terms may not be for another.
  const keyOf = (payload: PaymentPayload, { payTo, asset, amount, network, extra }: PaymentRequirements) =>
    [payload.payload.transaction, payTo, asset, amount, network, extra?.memo, extra?.feePayer].join(' ')
  return {
    add(payload: PaymentPayload, requirements: PaymentRequirements, value: T): void {
      if (kept.size >= judgedAtMost) kept.clear()
      kept.set(keyOf(payload, requirements), { value, untilMs: performance.now() + judgedMs })
    },
    take(payload: PaymentPayload, requirements: PaymentRequirements): T | undefined {
      const key = keyOf(payload, requirements)
      const found = kept.get(key)
      kept.delete(key)
      return found && found.untilMs > performance.now() ? found.value : undefined
    },
  }
}
