// The x402 `exact` rail: USDC comes into the market's escrow by the payer's own transfer and leaves it by ours.

import { Problem } from '@flow402/protocol/problem'
import { COMPUTE_BUDGET_PROGRAM_ADDRESS } from '@solana-program/compute-budget'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import type { PaymentPayload, PaymentRequirements } from '@x402/core/types'
import type { Env } from '../env.ts'
import type { Charge, PaymentProof, PaymentRail } from './payment-rail.ts'
import { openChain, signerFromSeed } from './x402-chain.ts'
import { openFacilitators } from './x402-facilitator.ts'
import { openLocalFacilitator } from './x402-facilitator-local.ts'
import { openRemoteFacilitator } from './x402-facilitator-remote.ts'
import { openFacilitatorRpc } from './x402-facilitator-rpc.ts'
import { lighthouseProgram, memoProgram, readTransaction } from './x402-transaction.ts'
import { decodeProof, encodeChallenge, encodeReceiptHeader, requirementsFor, type StoredPayload } from './x402-wire.ts'

/** Opens the rail from the environment, with the facilitators of FACILITATOR_URL. */
export async function openExactRail(env: Env, now: () => number): Promise<PaymentRail> {
  const escrow = await signerFromSeed(env.escrowSecretKey)
  const feePayer = await signerFromSeed(env.feePayerSecretKey)
  const chain = openChain({ rpcUrl: env.rpcUrl, witnessUrls: env.rpcWitnessUrls, asset: env.usdcMint, escrow, feePayer })
  const rpc = openFacilitatorRpc(env.rpcUrl)
  const facilitator = openFacilitators(
    env.facilitators.map((each) =>
      each === 'local'
        ? openLocalFacilitator({ rpc, seed: env.feePayerSecretKey, ours: [escrow.address] })
        : openRemoteFacilitator({ url: each, network: env.network, now }),
    ),
  )

  const payee = { payTo: escrow.address, asset: env.usdcMint, network: env.network }
  const escrowAccount = await chain.escrowAccount()

  /** What a facilitator is given. The fee payer is the transaction's own: that it may pay is the facilitator's to check. */
  function paymentOf(charge: Charge, payload: unknown): [PaymentPayload, PaymentRequirements] {
    const { transaction } = payload as StoredPayload
    const requirements = requirementsFor(charge, readTransaction(transaction).feePayer)
    return [{ x402Version: 2, accepted: requirements, payload: { transaction } }, requirements]
  }

  return {
    payee: () => payee,
    escrowAccount: () => escrowAccount,
    async challenge(quote, token, resourceUrl) {
      return encodeChallenge(quote, token, await reaching(facilitator.feePayer()), resourceUrl)
    },
    readProof: decodeProof,
    checkProof(proof, charge) {
      if (charge.payTo !== payee.payTo || charge.asset !== payee.asset || charge.network !== payee.network)
        throw new Problem('quote_invalid', { detail: 'The quote is for another network, token or payee than this market has' })
      checkAgainstCharge(proof, charge, escrowAccount)
    },
    refusalOf: (charge, payload) => reaching(facilitator.refusalOf(...paymentOf(charge, payload))),
    settle: async (charge, payload, beforeBroadcast) => facilitator.settle(...paymentOf(charge, payload), beforeBroadcast),
    findCharge: chain.findCharge,
    lastValidHeight: () => reaching(chain.lastValidHeight()),
    feeAddress: () => env.feeAddress,
    signMovement: chain.signMovement,
    broadcast: chain.broadcast,
    findMovement: chain.findMovement,
    scanEscrow: chain.scanEscrow,
    escrowBalance: chain.escrowBalance,
    receiptHeader: encodeReceiptHeader,
    ping: chain.ping,
  }
}

/** What cannot be reached is not the client's fault: Problem chain_unavailable. */
async function reaching<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    console.error(JSON.stringify({ level: 'warn', event: 'chain_unreachable', message: (error as Error).message }))
    throw new Problem('chain_unavailable', { detail: 'The chain or the facilitator does not answer. Nothing was charged or reserved.' })
  }
}

/** Besides the transfer and its memo a transaction may only set its fee, and let a wallet assert what it promised its owner. */
const allowedPrograms = new Set<string>([COMPUTE_BUDGET_PROGRAM_ADDRESS, TOKEN_PROGRAM_ADDRESS, memoProgram, lighthouseProgram])

/** What needs no chain: the terms as asked, one transfer of exactly the amount and asset to the escrow, one memo that is the payment id. */
function checkAgainstCharge(proof: PaymentProof, charge: Charge, escrowAccount: string): void {
  const wrong = (detail: string) => new Problem('payment_invalid', { detail })
  const { accepted } = proof
  if (accepted.network !== charge.network) throw wrong(`accepted.network is not ${charge.network}`)
  if (accepted.amount !== charge.amountAtoms.toString() || accepted.asset !== charge.asset || accepted.payTo !== charge.payTo)
    throw wrong('accepted.amount, asset and payTo must be echoed as they were given')
  const facts = readTransaction((proof.payload as StoredPayload).transaction)
  const [transfer] = facts.transfers
  if (facts.transfers.length !== 1 || !transfer) throw wrong('the transaction must hold exactly one token transfer')
  if (transfer.amountAtoms !== charge.amountAtoms)
    throw wrong(`the transfer moves ${transfer.amountAtoms} atoms, the quote asks for exactly ${charge.amountAtoms}`)
  if (transfer.mint !== charge.asset) throw wrong('the transfer moves another token than the quote asks for')
  if (transfer.destination !== escrowAccount) throw wrong('the transfer goes to another account than the quote asks for')
  if (facts.memos.length !== 1) throw wrong('the transaction must hold exactly one memo')
  const [memo = ''] = facts.memos
  if (memo !== charge.paymentId && /^pay_[0-9a-f]{32}$/.test(memo))
    throw new Problem('payment_already_used', { detail: 'This transaction pays for another quote' })
  if (memo !== charge.paymentId) throw wrong('the memo is not the payment id of the quote')
  const stranger = facts.programs.find((program) => !allowedPrograms.has(program))
  if (stranger) throw wrong(`the transaction calls the program ${stranger}, which is no part of a payment`)
  if (facts.programs.filter((program) => program === TOKEN_PROGRAM_ADDRESS).length !== 1)
    throw wrong('the transaction must do nothing with tokens but the one transfer')
}
