// Settling: when nothing of a rental is awaited any more, its receipt is written and the rental is settled.

import { createHash } from 'node:crypto'
import { billedSeconds } from '@flow402/protocol/money'
import { canonicalJson, type ReceiptTransfer } from '@flow402/protocol/receipt'
import type { Now } from '../clock.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { oneByOne } from '../one-by-one.ts'
import type { PaymentRail } from '../payments/payment-rail.ts'
import { findSettledPayments } from '../payments/store.ts'
import { findTransfers } from '../payments/store-transfers.ts'
import { moveRental } from '../rentals/move-rental.ts'
import { lockRental, type RentalRecord } from '../rentals/store.ts'
import { addReceipt, findPayout, findSettleable, type StoredReceipt } from './store.ts'
import { findBookedUsage } from './store-statements.ts'

const batch = 100
/** How long a receipt waits for a payout that should be on its way, in ms; then it says that it is owed. */
const patienceMs = 60_000
type Deps = { db: Db; now: Now; rail: Pick<PaymentRail, 'payee'> }

/** Settles rentals of which nothing is owed any more; returns how many. */
export async function settleRentals(deps: Deps): Promise<number> {
  const ids = await findSettleable(deps.db, { nowMs: deps.now(), patienceMs }, batch)
  return oneByOne(
    'receipt_not_made',
    ids,
    (id) => id,
    (id) => settleOne(deps, id),
  )
}

async function settleOne(deps: Deps, id: string): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const rental = await lockRental(tx, id)
    if (rental?.status !== 'ending' || rental.booksClosedAtMs === null) return false
    const nowMs = deps.now()
    await addReceipt(tx, await makeReceipt(tx, rental, deps.rail.payee()), nowMs)
    await moveRental(tx, rental, 'settle', { settled_at: new Date(nowMs) })
    return true
  })
}

/** The receipt of a rental whose refund and fee are confirmed. Throws when its sums do not close: that is a bug, and nothing is settled. */
async function makeReceipt(tx: Tx, rental: RentalRecord, payee: ReturnType<PaymentRail['payee']>): Promise<StoredReceipt> {
  const payments = await findSettledPayments(tx, [rental.id])
  const ours = new Set([rental.id, ...payments.map((payment) => payment.paymentId)])
  const transfers = (await findTransfers(tx, rental.id)).filter(
    ({ movement }) => movement.kind !== 'payout' && ours.has(movement.externalId),
  )
  const payout = await findPayout(tx, rental.id)
  const lines: ReceiptTransfer[] = [
    ...payments.map((payment) => ({
      kind: 'charge' as const,
      amountAtoms: payment.amountAtoms.toString(),
      from: payment.payer,
      to: payee.payTo,
      transaction: payment.signature,
      paymentId: payment.paymentId,
    })),
    ...(payout
      ? [
          {
            kind: 'payout' as const,
            amountAtoms: rental.payoutAtoms.toString(),
            from: payee.payTo,
            to: payout.destination,
            transaction: payout.signature,
          },
        ]
      : []),
    ...transfers.map(({ movement, signature }) => ({
      kind: movement.kind,
      amountAtoms: movement.amountAtoms.toString(),
      from: payee.payTo,
      to: movement.destination,
      transaction: signature,
      ...(movement.kind === 'refund' ? { paymentId: movement.externalId } : {}),
    })),
  ]
  requireClosed(rental, lines)
  const { records, head, root } = await findBookedUsage(tx, rental)
  const { meteredSeconds } = rental
  const metered = { meteredSeconds, billedSeconds: billedSeconds(meteredSeconds, rental.startedAtMs !== null, rental.minutes * 60) }
  const settled = {
    rentalId: rental.id,
    network: payee.network,
    asset: payee.asset,
    terms: {
      offerId: rental.offerId,
      nodeId: rental.nodeId,
      nodePublicKey: rental.node.publicKey,
      units: rental.units,
      perUnit: rental.perUnit,
      minutes: rental.minutes,
      priceAtomsPerHour: rental.priceAtomsPerHour.toString(),
      currency: 'USDC' as const,
      feeBps: rental.feeBps,
    },
    startedAt: rental.startedAtMs === null ? null : new Date(rental.startedAtMs).toISOString(),
    endedAt: new Date(rental.endedAtMs ?? 0).toISOString(),
    endReason: rental.endReason ?? 'stopped',
    prepaidAtoms: rental.prepaidAtoms.toString(),
    chargedAtoms: rental.chargedAtoms.toString(),
    payoutAtoms: rental.payoutAtoms.toString(),
    feeAtoms: rental.feeAtoms.toString(),
    refundAtoms: rental.refundAtoms.toString(),
    transfers: lines,
  }
  // Its machine signed in the form from before there were statements.
  if (root === null) return withDigest({ version: 1 as const, ...settled, usage: { records, head, ...metered } })
  return withDigest({ version: 2 as const, ...settled, usage: { records, epoch: rental.epoch, head, root, ...metered } })
}

function withDigest<R extends object>(body: R): R & { digest: string } {
  return { ...body, digest: createHash('sha256').update(canonicalJson(body)).digest('hex') }
}

function requireClosed(rental: RentalRecord, lines: ReceiptTransfer[]): void {
  const sum = (kind: ReceiptTransfer['kind']) =>
    lines.filter((line) => line.kind === kind).reduce((total, line) => total + BigInt(line.amountAtoms), 0n)
  const isClosed =
    sum('charge') === rental.prepaidAtoms &&
    sum('payout') === rental.payoutAtoms &&
    sum('fee') === rental.feeAtoms &&
    sum('refund') === rental.refundAtoms &&
    lines.every((line) => line.transaction !== null || line.kind === 'payout')
  if (!isClosed) throw new Error(`the transfers of rental ${rental.id} do not add up to its books`)
}
