// The mock rail: the payment rail over the mock chain, for development and tests. It fails in every way it is told to, and holds no money.
import { createHash } from 'node:crypto'
import { type MockFault, MockPayload, MockRequirements, mockPaymentBytes } from '@flow402/protocol/mock-payment'
import { Problem } from '@flow402/protocol/problem'
import { z } from 'zod'
import { type Landing, type MockChain, type MockLanded, type MockTransfer, signatureOf } from './mock-chain.ts'
import { type Charge, chargeOf, type EscrowMovement, type PaymentRail, type SettleOutcome } from './payment-rail.ts'

/** The network id of every mock chain. */
export const mockNetwork = 'mock:local'
/** Where the mock chain keeps the market's money. */
export const mockEscrow = 'mock-escrow'

const asset = 'mock-usdc'
const maxTimeoutSeconds = 90
/** Later than any request waits for an outcome, in ms. */
const answerLateMs = 25_000

/** What can go wrong with money going out: it lands as failed, is lost on the way, lands at the last moment, lands unheard, or is dropped by a fork. */
export type TransferFault = 'transfer_fails' | 'transfer_lost' | 'transfer_late' | 'transfer_answer_lost' | 'transfer_dropped'
/** unreachable: the next call to the chain or the facilitator is not answered. */
export type PlannedFault = MockFault | TransferFault | 'unreachable'

/** The rail, and the way to tell it what the next payment or transfer, or that many of them, shall suffer. */
export type MockRail = PaymentRail & { plan(fault: PlannedFault, times?: number): void }

/** What is kept of a proof. */
const Stored = MockPayload.extend({
  ...MockRequirements.pick({ network: true, amount: true, asset: true, payTo: true }).shape,
  memo: z.string(),
  lastValidHeight: z.string(),
})
type Stored = z.infer<typeof Stored>

const Proof = z.looseObject({ x402Version: z.literal(2), accepted: MockRequirements, payload: MockPayload })

/**
 * Opens the rail over a chain. `knowsSignature: false` makes it a remote facilitator, whose signature is known only afterwards.
 * `pause` waits for a late answer.
 */
export function openMockRail(options: {
  chain: MockChain
  feeAddress: string
  knowsSignature?: boolean
  pageSize?: number
  pause?: (ms: number) => Promise<void>
}): MockRail {
  const { chain, knowsSignature = true, pageSize = 100 } = options
  const pause = options.pause ?? ((ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms)))
  const payee = { payTo: mockEscrow, asset, network: mockNetwork }
  const planned: PlannedFault[] = []
  /** Charges that the node which is asked does not know yet, and how often it will say so. */
  const lagging = new Map<string, { reads: number; height: bigint }>()

  function take<F extends PlannedFault>(wanted: (fault: PlannedFault) => fault is F): F | undefined {
    const index = planned.findIndex(wanted)
    return index < 0 ? undefined : (planned.splice(index, 1)[0] as F)
  }

  /** Nothing of a mock chain takes time, but every call is one that may not be answered. */
  async function reach(): Promise<void> {
    if (take((fault) => fault === 'unreachable')) throw new Error('the chain does not answer')
  }

  function landedCharge(charge: Charge, found: MockLanded | undefined): MockLanded | undefined {
    const isIt = found && found.memo === charge.paymentId && found.to === charge.payTo && found.amountAtoms === charge.amountAtoms
    return isIt ? found : undefined
  }

  /** What happens to a payment that is sent with this fault; undefined: nothing is sent at all. */
  const landings: Partial<Record<MockFault, Landing | undefined>> = {
    false_success: undefined,
    never_lands: undefined,
    lands_late: 'last_moment',
    dropped_after_confirmed: 'dropped_before_final',
  }

  async function send(charge: Charge, stored: Stored, fault: MockFault | undefined): Promise<SettleOutcome> {
    const transfer = transferOf(stored)
    const isFirst = chain.find(transfer.signature) === undefined
    const landing = fault && fault in landings ? landings[fault] : 'now'
    if (landing !== undefined) chain.send(transfer, landing)
    const slot = chain.find(transfer.signature)?.slot ?? 0n
    // A node that lags knows the chain up to just before it landed.
    if (fault === 'rpc_lags' && isFirst && slot > 0n) lagging.set(charge.paymentId, { reads: stored.times ?? 3, height: slot - 1n })
    if (fault === 'answer_late') await pause(answerLateMs)
    if (fault === 'false_success') return { kind: 'landed', signature: transfer.signature }
    if (fault === 'duplicate_settlement') return { kind: 'unknown', reason: 'duplicate_settlement' }
    if (fault === 'answer_lost' || fault === 'never_lands') return { kind: 'unknown', reason: 'the facilitator did not answer in time' }
    const landed = chain.find(transfer.signature)
    if (landed && !landed.hasFailed) return { kind: 'landed', signature: landed.signature }
    return { kind: 'unknown', reason: `not confirmed: ${landed?.reason ?? 'absent'}` }
  }

  return {
    plan(fault, times = 1) {
      for (let n = 0; n < times; n++) planned.push(fault)
    },
    payee: () => payee,
    escrowAccount: () => null,
    feeAddress: () => options.feeAddress,
    async challenge(quote, token, resourceUrl) {
      const charge = chargeOf(quote)
      const accepts = [
        {
          scheme: 'mock',
          network: charge.network,
          amount: charge.amountAtoms.toString(),
          asset: charge.asset,
          payTo: charge.payTo,
          maxTimeoutSeconds,
          extra: { memo: charge.paymentId, lastValidHeight: chain.lastValidHeight().toString(), quote: token },
        },
      ]
      return toBase64({
        x402Version: 2,
        error: 'Payment is required',
        resource: { url: resourceUrl, mimeType: 'application/json' },
        accepts,
      })
    },
    readProof(header) {
      const read = Proof.safeParse(fromBase64(header))
      if (!read.success) throw new Problem('payment_invalid', { detail: 'PAYMENT-SIGNATURE is not base64 of a mock payment' })
      const { accepted, payload } = read.data
      const { network, amount, payTo, extra } = accepted
      const terms = { network, amount, asset: accepted.asset, payTo }
      const stored: Stored = { ...payload, ...terms, memo: extra.memo, lastValidHeight: extra.lastValidHeight }
      return { quoteToken: extra.quote, messageHash: digestOf(stored), payer: payload.payer, accepted: terms, payload: stored }
    },
    checkProof(proof, charge) {
      const wrong = (detail: string) => new Problem('payment_invalid', { detail })
      if (charge.payTo !== payee.payTo || charge.asset !== payee.asset || charge.network !== payee.network)
        throw new Problem('quote_invalid', { detail: 'The quote is for another network, token or payee than this market has' })
      const stored = Stored.parse(proof.payload)
      if (stored.network !== charge.network || stored.asset !== charge.asset || stored.payTo !== charge.payTo)
        throw wrong('accepted.network, asset and payTo must be echoed as they were given')
      if (stored.amount !== charge.amountAtoms.toString())
        throw wrong(`the payment moves ${stored.amount} atoms, the quote asks for exactly ${charge.amountAtoms}`)
      if (stored.memo !== charge.paymentId && /^pay_[0-9a-f]{32}$/.test(stored.memo))
        throw new Problem('payment_already_used', { detail: 'This payment is for another quote' })
      if (stored.memo !== charge.paymentId) throw wrong('the memo is not the payment id of the quote')
      if (stored.digest !== digestOf(stored)) throw wrong('payload.digest is not of these terms, this payer and this nonce')
    },
    async refusalOf(_charge, payload) {
      await reach().catch(() => {
        throw new Problem('chain_unavailable', { detail: 'The chain or the facilitator does not answer. Nothing was charged or reserved.' })
      })
      return refusalOf(chain, Stored.parse(payload))
    },
    async settle(charge, payload, beforeBroadcast) {
      const stored = Stored.parse(payload)
      const isPaying = (fault: PlannedFault): fault is MockFault => fault !== 'unreachable' && !fault.startsWith('transfer_')
      const fault = take(isPaying) ?? stored.fault
      const tries = chain.countAttempt(`settle ${stored.digest}`)
      if (fault === 'refused') return { kind: 'refused', reason: 'the facilitator was told to refuse' }
      if (fault === 'unsent' && (stored.fault !== 'unsent' || tries <= (stored.times ?? 1)))
        return { kind: 'unsent', reason: 'the facilitator answered 500' }
      try {
        await reach()
        const refusal = refusalOf(chain, stored)
        if (refusal !== undefined) return { kind: 'refused', reason: refusal }
        await beforeBroadcast(knowsSignature ? stored.digest : null)
      } catch (error) {
        return { kind: 'unsent', reason: (error as Error).message }
      }
      return send(charge, stored, fault)
    },
    async findCharge(charge, signature, sinceMs) {
      await reach()
      const lag = lagging.get(charge.paymentId)
      if (lag && lag.reads-- > 0) {
        const finalizedHeight = chain.finalizedHeight()
        return { kind: 'absent', finalizedHeight: finalizedHeight < lag.height ? finalizedHeight : lag.height }
      }
      const finalizedHeight = chain.finalizedHeight()
      const known = signature === null ? undefined : landedCharge(charge, chain.find(signature))
      if (known?.hasFailed) return { kind: 'failed', signature: known.signature }
      const landed =
        known ?? chain.findByMemo(charge.payTo, charge.paymentId, sinceMs).find((each) => !each.hasFailed && landedCharge(charge, each))
      if (!landed) return { kind: 'absent', finalizedHeight }
      return { kind: 'landed', signature: landed.signature, payer: landed.from, amountAtoms: landed.amountAtoms }
    },
    async lastValidHeight() {
      await reach()
      return chain.lastValidHeight()
    },
    async signMovement({ destination, amountAtoms }, memo, mayOpenAccount) {
      await reach()
      const lastValidBlockHeight = chain.lastValidHeight()
      const terms = { destination, amount: amountAtoms.toString(), memo, lastValid: lastValidBlockHeight.toString() }
      const wire: Wire = { ...terms, opensAccount: mayOpenAccount }
      const signature = signatureOf(['movement', ...Object.values(terms), mayOpenAccount ? 'opens' : 'never opens'])
      return { signature, wire: toBase64(wire), lastValidBlockHeight }
    },
    async broadcast({ signature, wire }) {
      await reach()
      const { destination, amount, memo, lastValid, opensAccount } = Wire.parse(fromBase64(wire))
      const movement: MockTransfer = {
        signature,
        from: mockEscrow,
        to: destination,
        amountAtoms: BigInt(amount),
        memo,
        lastValidHeight: BigInt(lastValid),
        isSponsored: true,
        opensAccount,
      }
      const fault = take((each): each is TransferFault => each.startsWith('transfer_'))
      if (chain.find(signature)) return
      const failure = chain.failureOf(movement)
      if (failure !== undefined) throw new Error(`it would fail: ${failure}`)
      if (fault === 'transfer_lost') return
      const outgoing: Record<TransferFault, Landing> = {
        transfer_fails: 'fails',
        transfer_lost: 'now',
        transfer_late: 'last_moment',
        transfer_answer_lost: 'now',
        transfer_dropped: 'dropped_before_final',
      }
      if (chain.send(movement, fault ? outgoing[fault] : 'now') === 'dead') throw new Error('block height exceeded')
      if (fault === 'transfer_answer_lost') throw new Error('the chain did not answer in time')
    },
    async findMovement(transferId, signature, sinceMs) {
      await reach()
      const finalizedHeight = chain.finalizedHeight()
      const own = signature === null ? undefined : chain.find(signature)
      const found = chain.findByName(mockEscrow, transferId, sinceMs).find((each) => !each.hasFailed && each.from === mockEscrow)
      if (found) return { kind: 'landed', signature: found.signature }
      return own?.hasFailed ? { kind: 'failed', reason: own.reason ?? 'failed' } : { kind: 'absent', finalizedHeight }
    },
    async scanEscrow(position, sinceMs, atLeastSlot) {
      await reach()
      if (chain.finalizedHeight() < atLeastSlot) throw new Error(`the chain is not final up to slot ${atLeastSlot}`)
      const page = chain.history(mockEscrow, position.before, pageSize)
      const isNew = (each: MockLanded) => each.signature !== position.doneTo && each.landedAtMs >= sinceMs
      const known = page.findIndex((each) => !isNew(each))
      const fresh = known < 0 ? page : page.slice(0, known)
      const top = position.top ?? page[0]?.signature ?? null
      const isComplete = known >= 0 || page.length < pageSize
      const next = isComplete
        ? { doneTo: top ?? position.doneTo, top: null, before: null }
        : { doneTo: position.doneTo, top, before: fresh.at(-1)?.signature ?? position.before }
      return { movements: fresh.map(escrowMovement), next, isComplete }
    },
    async escrowBalance() {
      await reach()
      return chain.finalBalanceOf(mockEscrow)
    },
    receiptHeader: (charge, landed) =>
      toBase64({
        success: true,
        transaction: landed.signature,
        network: charge.network,
        payer: landed.payer,
        amount: charge.amountAtoms.toString(),
      }),
    ping: reach,
  }
}

const Wire = z.object({ opensAccount: z.boolean(), destination: z.string(), amount: z.string(), memo: z.string(), lastValid: z.string() })
type Wire = z.infer<typeof Wire>

function digestOf(stored: Stored): string {
  return createHash('sha256').update(mockPaymentBytes(stored)).digest('hex')
}

function transferOf(stored: Stored): MockTransfer {
  const { digest, payer, payTo, amount, memo, lastValidHeight } = stored
  return {
    signature: digest,
    from: payer,
    to: payTo,
    amountAtoms: BigInt(amount),
    memo,
    lastValidHeight: BigInt(lastValidHeight),
    isSponsored: true,
  }
}

/** Why a payment could not land now; one that landed already could. */
function refusalOf(chain: MockChain, stored: Stored): string | undefined {
  const transfer = transferOf(stored)
  if (chain.find(transfer.signature)) return undefined
  if (chain.height() > transfer.lastValidHeight) return 'the payment is too old to land'
  return chain.failureOf(transfer)
}

function escrowMovement(landed: MockLanded): EscrowMovement {
  const { signature, slot, landedAtMs, hasFailed, memo, feeLamports } = landed
  const isIn = landed.to === mockEscrow
  const deltaAtoms = hasFailed ? 0n : isIn ? landed.amountAtoms : -landed.amountAtoms
  return { signature, slot, landedAtMs, deltaAtoms, hasFailed, memo, counterparty: isIn && !hasFailed ? landed.from : null, feeLamports }
}

function toBase64(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}

function fromBase64(text: string): unknown {
  try {
    return JSON.parse(Buffer.from(text, 'base64').toString())
  } catch {
    return undefined
  }
}
