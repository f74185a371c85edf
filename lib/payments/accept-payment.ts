// Accepting a payment: claim it and the capacity in one transaction, settle, re-read the chain, and only then say yes.
import { randomUUID } from 'node:crypto'
import type { PaymentState, Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import type { ExtendRequest, RentalRequest } from '@flow402/protocol/rental'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import { brokenUnique, type Db } from '../db/client.ts'
import { claimPayment } from './claim-payment.ts'
import { decidePayment } from './decide-payment.ts'
import type { Charge, PaymentProof, PaymentRail } from './payment-rail.ts'
import { readPayment, type Wanted } from './read-payment.ts'
import { findPayment, type PaymentRecord } from './store.ts'

/** How long a request waits for an outcome before it answers that none is known yet, in ms. */
const waitForOutcomeMs = 20_000
const pollMs = 40

export type AcceptDeps = { db: Db; now: Now; keys: MarketKeys; rail: PaymentRail; crash: CrashPoint }
/** What became of the payment: settled is yes, claimed and submitted are "not known yet". */
export type Accepted = { quote: Quote; charge: Charge; state: PaymentState; signature: string | null; payer: string }

/**
 * Takes the money for a new rental. Safe to repeat: the same header finds the same payment.
 * Problems: payment_invalid, quote_invalid, quote_mismatch, quote_expired, sold_out, offer_not_found, payment_already_used, payment_failed,
 * and chain_unavailable before anything was claimed.
 */
export async function acceptRental(deps: AcceptDeps, request: RentalRequest, header: string): Promise<Accepted> {
  return accept(deps, { kind: 'rent', request }, header)
}

/** Takes the money for more minutes of a running rental. Problems as for a rental, and rental_not_found, rental_cannot. */
export async function acceptExtension(deps: AcceptDeps, rentalId: string, request: ExtendRequest, header: string): Promise<Accepted> {
  return accept(deps, { kind: 'extend', rentalId, request }, header)
}

async function accept(deps: AcceptDeps, wanted: Wanted, header: string): Promise<Accepted> {
  const { proof, quote, charge, claimed: known } = await readPayment(deps, wanted, header)
  if (known) return follow(deps, quote, charge, proof, known)

  // Judged before it is claimed: what could not settle holds no units and leaves no trace, and may be sent again.
  // The height bounds the claim: past it the signed transaction is worthless, and what did not land never will.
  const [refusal, lastValidBlockHeight] = await Promise.all([deps.rail.refusalOf(charge, proof.payload), deps.rail.lastValidHeight()])
  if (refusal !== undefined) {
    // A copy of this very request may have been faster; then the chain refuses this one for what that one did.
    const first = await findPayment(deps.db, quote.paymentId)
    if (first) return follow(deps, quote, charge, proof, first)
    throw new Problem('payment_failed', { paymentId: quote.paymentId, reason: refusal })
  }

  const token = randomUUID()
  let claimed: PaymentRecord
  try {
    claimed = await claimPayment(deps, quote, wanted.request, proof, lastValidBlockHeight, token)
  } catch (error) {
    const broken = brokenUnique(error)
    if (!broken) throw error
    const first = await findPayment(deps.db, quote.paymentId)
    if (!first) throw new Problem(broken === 'payment_identifier_key' ? 'payment_identifier_reused' : 'payment_already_used')
    return follow(deps, quote, charge, proof, first)
  }
  deps.crash('claimed')
  return outcome(quote, charge, await withinPatience(deps, claimed, decidePayment(deps, claimed, token)))
}

/** What is decided in time, otherwise the payment as it is then; the work goes on and the answer is 202 meanwhile. */
async function withinPatience(deps: AcceptDeps, claimed: PaymentRecord, deciding: Promise<PaymentRecord>): Promise<PaymentRecord> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), waitForOutcomeMs)
  })
  const first = await Promise.race([deciding, late]).finally(() => clearTimeout(timer))
  if (first !== 'late') return first
  deciding.catch((error: Error) =>
    console.error(JSON.stringify({ level: 'warn', event: 'payment_undecided', payment: claimed.id, message: error.message })),
  )
  return (await findPayment(deps.db, claimed.id)) ?? claimed
}

/** The payment is claimed already: if it is this very one, wait for what becomes of it; anything else is somebody's second try. */
async function follow(deps: AcceptDeps, quote: Quote, charge: Charge, proof: PaymentProof, known: PaymentRecord): Promise<Accepted> {
  if (known.messageHash !== proof.messageHash) throw new Problem('payment_already_used', { paymentId: known.id })
  const giveUpAt = deps.now() + waitForOutcomeMs
  let payment = known
  while ((payment.status === 'claimed' || payment.status === 'submitted') && deps.now() < giveUpAt) {
    await new Promise((resolve) => setTimeout(resolve, pollMs))
    payment = (await findPayment(deps.db, known.id)) ?? payment
  }
  return outcome(quote, charge, payment)
}

function outcome(quote: Quote, charge: Charge, payment: PaymentRecord): Accepted {
  if (payment.status === 'rejected' || payment.status === 'expired')
    throw new Problem('payment_failed', { paymentId: payment.id, reason: payment.lastError ?? payment.status })
  if (payment.status === 'settled' && !payment.counted)
    throw new Problem('payment_too_late', {
      paymentId: payment.id,
      refundedAtoms: payment.amountAtoms.toString(),
      transaction: payment.signature,
    })
  return { quote, charge, state: payment.status, signature: payment.signature, payer: payment.payer }
}
