// Reconciling: payments that a crash or a timeout left undecided are looked up on the chain and finished.
import { randomUUID } from 'node:crypto'
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import type { Db } from '../db/client.ts'
import { claimMs } from './claim-payment.ts'
import { decidePayment } from './decide-payment.ts'
import type { PaymentRail } from './payment-rail.ts'
import { takeUndecidedPayments } from './store.ts'

const batch = 20

/** Decides what can be decided now; returns how many payments reached an end. */
export async function reconcilePayments(deps: { db: Db; now: Now; rail: PaymentRail; crash: CrashPoint }): Promise<number> {
  const token = randomUUID()
  const payments = await takeUndecidedPayments(deps.db, { token, nowMs: deps.now(), leaseMs: claimMs, limit: batch })
  const decided = await Promise.all(payments.map((payment) => decidePayment(deps, payment, token, { isRetry: true })))
  return decided.filter((payment) => payment.status !== 'claimed' && payment.status !== 'submitted').length
}
