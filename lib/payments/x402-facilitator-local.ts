// Our own facilitator, in this process: local rules and one simulation judge, one signature and one broadcast settle.
import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { address, getAddressDecoder, getBase58Decoder } from '@solana/kit'
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import type { PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { judgedRecently, type Member } from './x402-facilitator.ts'
import type { FacilitatorRpc } from './x402-facilitator-rpc.ts'
import { readTransaction, type TransactionFacts, withFeePayerSignature } from './x402-transaction.ts'
import { refusalOfTerms, refusalOfTransaction } from './x402-verify.ts'

/** How long a settlement is waited for before it counts as unknown, in ms. */
const confirmMs = 20_000
const firstPollMs = 20
const slowestPollMs = 400
const accountsKept = 1_000

/** What stands before the 32 bytes of an Ed25519 seed in DER (RFC 8410). */
const derPrefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/**
 * Opens the facilitator. `seed` is the fee payer's 32-byte Ed25519 seed in base64url; `ours` are the other addresses of ours whose money
 * no payment may move. It is always healthy: without the chain nobody can settle, and the chain's silence is told when it is asked.
 */
export function openLocalFacilitator(config: { rpc: FacilitatorRpc; seed: string; ours: readonly string[] }): Member {
  const { rpc } = config
  const key = createPrivateKey({ key: Buffer.concat([derPrefix, Buffer.from(config.seed, 'base64url')]), format: 'der', type: 'pkcs8' })
  const feePayer = getAddressDecoder().decode(createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32))
  const ours = new Set<string>(config.ours)
  const judged = judgedRecently<TransactionFacts>()
  const accounts = new Map<string, string>()

  /** The payee's canonical token account; deriving it is dear, and there are few payees. */
  async function accountOf(payTo: string, asset: string): Promise<string | undefined> {
    const known = accounts.get(`${payTo} ${asset}`)
    if (known) return known
    try {
      const seeds = { owner: address(payTo), mint: address(asset), tokenProgram: TOKEN_PROGRAM_ADDRESS }
      const [account] = await findAssociatedTokenPda(seeds)
      if (accounts.size >= accountsKept) accounts.clear()
      accounts.set(`${payTo} ${asset}`, account)
      return account
    } catch {
      return undefined
    }
  }

  /** Either the reason against it or what it says. Throws when the chain cannot be asked. */
  async function judge(
    payload: PaymentPayload,
    requirements: PaymentRequirements,
  ): Promise<{ refusal: string } | { facts: TransactionFacts }> {
    const terms = refusalOfTerms(payload, requirements, feePayer)
    if (terms !== undefined) return { refusal: terms }
    let facts: TransactionFacts
    try {
      facts = readTransaction(String(payload.payload.transaction))
    } catch (error) {
      return { refusal: `invalid_exact_svm_payload_transaction_could_not_be_decoded: ${(error as Error).message}` }
    }
    const account = await accountOf(requirements.payTo, requirements.asset)
    if (account === undefined) return { refusal: 'invalid_exact_svm_payload_recipient_mismatch' }
    const refusal = refusalOfTransaction(facts, requirements, { feePayer, ours, account })
    if (refusal !== undefined) return { refusal }
    const failure = await rpc.simulate(String(payload.payload.transaction))
    // Our own empty pocket is nothing against the payment.
    if (failure !== undefined && isOurTrouble(failure)) throw new Error(`our fee payer cannot pay the network: ${failure}`)
    if (failure !== undefined) return { refusal: `invalid_exact_svm_transaction_simulation_failed: ${failure}` }
    return { facts }
  }

  return {
    name: 'local',
    isHealthy: () => true,
    knows: (asked) => asked === feePayer,
    manages: async (asked) => asked === feePayer,
    feePayer: async () => feePayer,

    async refusalOf(payload, requirements) {
      const verdict = await judge(payload, requirements)
      if ('refusal' in verdict) return verdict.refusal
      judged.add(payload, requirements, verdict.facts)
      return undefined
    },

    async settle(payload, requirements, beforeBroadcast) {
      let signature: string
      let wire: string
      try {
        const known = judged.take(payload, requirements)
        const verdict = known ? { facts: known } : await judge(payload, requirements)
        // What the chain has already is no refusal: it is this very payment, sent before, and the chain tells what became of it.
        if ('refusal' in verdict && verdict.refusal.includes('AlreadyProcessed')) return { kind: 'unknown', reason: verdict.refusal }
        if ('refusal' in verdict) return { kind: 'refused', reason: verdict.refusal }
        const signed = sign(null, verdict.facts.messageBytes, key)
        wire = withFeePayerSignature(verdict.facts, signed)
        signature = getBase58Decoder().decode(signed)
        await beforeBroadcast(signature)
      } catch (error) {
        return { kind: 'unsent', reason: (error as Error).message }
      }
      try {
        await rpc.send(wire)
        const giveUpAt = Date.now() + confirmMs
        for (let waitMs = firstPollMs; ; waitMs = Math.min(waitMs * 2, slowestPollMs)) {
          const status = await rpc.status(signature)
          if (status.kind === 'confirmed') return { kind: 'landed', signature }
          if (status.kind === 'failed') return { kind: 'unknown', reason: `the transaction failed on chain: ${status.reason}` }
          if (Date.now() >= giveUpAt) return { kind: 'unknown', reason: 'not confirmed in time' }
          await new Promise((resolve) => setTimeout(resolve, waitMs))
        }
      } catch (error) {
        return { kind: 'unknown', reason: (error as Error).message }
      }
    },
  }
}

/** What a simulation says when the fee payer, which is account 0, is missing or has too little. */
function isOurTrouble(failure: string): boolean {
  return ['"AccountNotFound"', '"InsufficientFundsForFee"', '{"InsufficientFundsForRent":{"account_index":0}}'].includes(failure)
}
