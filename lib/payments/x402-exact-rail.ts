// The x402 `exact` rail: USDC comes into the market's escrow by the payer's own transfer and leaves it by ours.

import type { Split } from '@flow402/protocol/money'
import { Problem } from '@flow402/protocol/problem'
import type { PaymentPayload } from '@x402/core/types'
import type { Env } from '../env.ts'
import type { Charge, Movement, PaidBy, PaymentProof, PaymentRail } from './payment-rail.ts'
import { openChain, signerFromSeed } from './x402-chain.ts'
import { openLocalFacilitator, openRemoteFacilitator } from './x402-facilitator.ts'
import { readTransaction } from './x402-transaction.ts'
import { decodeProof, encodeChallenge, encodeReceiptHeader, requirementsFor } from './x402-wire.ts'

/** Opens the rail from the environment: our own facilitator in process, or the remote one of FACILITATOR_URL. */
export async function openExactRail(env: Env, now: () => number): Promise<PaymentRail> {
  const escrow = await signerFromSeed(env.escrowSecretKey)
  const feePayer = await signerFromSeed(env.feePayerSecretKey)
  const chain = openChain({ rpcUrl: env.rpcUrl, asset: env.usdcMint, escrow, feePayer })
  const facilitator = env.facilitatorUrl
    ? openRemoteFacilitator({ url: env.facilitatorUrl, network: env.network, now })
    : openLocalFacilitator({ chain, feePayer, network: env.network })

  return {
    payee: () => ({ payTo: escrow.address, asset: env.usdcMint, network: env.network }),
    async challenge(quote, token, resourceUrl) {
      return encodeChallenge(quote, token, await facilitator.feePayer(), resourceUrl)
    },
    readProof: decodeProof,
    checkProof: checkAgainstCharge,
    async settle(charge, payload, beforeBroadcast) {
      const requirements = requirementsFor(charge, await facilitator.feePayer())
      // The facilitator compares what was accepted with what is required; only what we require counts, so it is put in both places.
      return facilitator.settle({ ...(payload as PaymentPayload), accepted: requirements }, requirements, beforeBroadcast)
    },
    findCharge: chain.findCharge,
    lastValidHeight: chain.lastValidHeight,
    closeOut: (rental, split, paidBy) => closeOut(env.feeAddress, rental, split, paidBy),
    signMovement: chain.signMovement,
    broadcast: chain.broadcast,
    movementFact: chain.movementFact,
    receiptHeader: encodeReceiptHeader,
    ping: chain.ping,
  }
}

/** What needs no chain: one transfer of exactly the amount and asset, one memo that is the payment id. The facilitator checks the rest. */
function checkAgainstCharge(proof: PaymentProof, charge: Charge): void {
  const facts = readTransaction(String((proof.payload as PaymentPayload).payload.transaction))
  const [transfer] = facts.transfers
  const wrong = (detail: string) => new Problem('payment_invalid', { detail })
  if (facts.transfers.length !== 1 || !transfer) throw wrong('the transaction must hold exactly one token transfer')
  if (transfer.amountAtoms !== charge.amountAtoms)
    throw wrong(`the transfer moves ${transfer.amountAtoms} atoms, the quote asks for exactly ${charge.amountAtoms}`)
  if (transfer.mint !== charge.asset) throw wrong('the transfer moves another token than the quote asks for')
  if (facts.memos.length !== 1) throw wrong('the transaction must hold exactly one memo')
  if (facts.memos[0] === charge.paymentId) return
  if (/^pay_[0-9a-f]{32}$/.test(facts.memos[0] ?? ''))
    throw new Problem('payment_already_used', { detail: 'This transaction pays for another quote' })
  throw wrong('the memo is not the payment id of the quote')
}

/** Payout to the provider, fee to the market, refunds to the wallets that paid, newest payment first. Nothing of nothing is moved. */
function closeOut(feeAddress: string, rental: { id: string; payoutAddress: string }, split: Split, paidBy: PaidBy[]): Movement[] {
  const movements: Movement[] = [
    { kind: 'payout', externalId: rental.id, destination: rental.payoutAddress, amountAtoms: split.payoutAtoms },
    { kind: 'fee', externalId: rental.id, destination: feeAddress, amountAtoms: split.feeAtoms },
  ]
  let rest = split.refundAtoms
  for (const paid of paidBy.toSorted((a, b) => b.settledAtMs - a.settledAtMs)) {
    const amountAtoms = rest < paid.amountAtoms ? rest : paid.amountAtoms
    movements.push({ kind: 'refund', externalId: paid.paymentId, destination: paid.payer, amountAtoms })
    rest -= amountAtoms
  }
  if (rest !== 0n) throw new Error(`rental ${rental.id} would refund more than was paid`)
  return movements.filter((movement) => movement.amountAtoms > 0n)
}
