// Authorizing: whether a payment would be taken now, said without moving, claiming or holding anything.
import type { Authorization } from '@flow402/protocol/payment'
import { Problem, type ProblemCode } from '@flow402/protocol/problem'
import type { PaymentRail } from './payment-rail.ts'
import { type ReadDeps, readPayment, type Wanted } from './read-payment.ts'

type Deps = ReadDeps & { rail: Pick<PaymentRail, 'refusalOf'> }

/** What may be said against a payment; everything else is trouble and thrown. */
const judgements = new Set<ProblemCode>([
  'payment_invalid',
  'payment_failed',
  'payment_already_used',
  'payment_identifier_reused',
  'quote_invalid',
  'quote_mismatch',
  'quote_expired',
])

/**
 * Judges a payment as completing it would: by its form, its quote, what is claimed already, and the chain. A payment that was taken
 * already is valid: completing it gives its outcome. Throws Problem chain_unavailable when nobody can tell.
 */
export async function authorizePayment(deps: Deps, wanted: Wanted, header: string): Promise<Authorization> {
  try {
    return await judge(deps, wanted, header)
  } catch (error) {
    if (error instanceof Problem && judgements.has(error.code)) return { isValid: false, code: error.code, reason: error.message }
    throw error
  }
}

async function judge(deps: Deps, wanted: Wanted, header: string): Promise<Authorization> {
  const { proof, quote, charge, claimed } = await readPayment(deps, wanted, header)
  const { paymentId } = quote
  if (claimed) {
    const { status, lastError, payer } = claimed
    if (status === 'rejected' || status === 'expired') throw new Problem('payment_failed', { detail: lastError ?? status })
    return { isValid: true, payer, paymentId }
  }
  const refusal = await deps.rail.refusalOf(charge, proof.payload)
  if (refusal !== undefined) throw new Problem('payment_failed', { detail: refusal })
  return { isValid: true, payer: proof.payer, paymentId }
}
