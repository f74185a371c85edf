// The evidence of a dispute: what the machine signed, what changed when, and where the money went. The same for every party.
import type { Evidence } from '@flow402/protocol/dispute'
import { Problem } from '@flow402/protocol/problem'
import { findRental } from '../rentals/store.ts'
import { type ReadDeps, readReceipts } from '../settlement/read-receipts.ts'
import { findReceipt } from '../settlement/store.ts'
import { disputeView, findDispute, findEvents, findPaymentsOf, findTransfersOf, findUsageChain } from './store.ts'

const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString())

/** Everything that is known of a disputed rental; Problem dispute_not_found. Who may see it was checked at the door. */
export async function getEvidence(deps: ReadDeps, disputeId: string): Promise<Evidence> {
  const dispute = await findDispute(deps.db, disputeId)
  const rental = dispute && (await findRental(deps.db, dispute.rentalId))
  if (!dispute || !rental) throw new Problem('dispute_not_found')
  const [usage, events, payments, transfers, receipt] = await Promise.all([
    findUsageChain(deps.db, rental.id),
    findEvents(deps.db, rental.id, disputeId),
    findPaymentsOf(deps.db, rental.id),
    findTransfersOf(deps.db, rental.id),
    findReceipt(deps.db, rental.id),
  ])
  return {
    dispute: disputeView(dispute),
    lease: {
      rentalId: rental.id,
      nodeId: rental.nodeId,
      nodePublicKey: rental.node.publicKey,
      state: rental.status,
      endReason: rental.endReason,
      endDetail: rental.endDetail,
      minutes: rental.minutes,
      units: rental.units,
      priceAtomsPerHour: rental.priceAtomsPerHour.toString(),
      meteredSeconds: rental.meteredSeconds,
      createdAt: new Date(rental.createdAtMs).toISOString(),
      paidAt: iso(rental.paidAtMs),
      assignedAt: iso(rental.assignedAtMs),
      startedAt: iso(rental.startedAtMs),
      paidUntil: iso(rental.paidUntilMs),
      endedAt: iso(rental.endedAtMs),
      usageClosedAt: iso(rental.usageClosedAtMs),
      booksClosedAt: iso(rental.booksClosedAtMs),
      settledAt: iso(rental.settledAtMs),
    },
    usage: usage.map(({ record, ...signed }) => ({ record: { ...record, nodeId: rental.nodeId }, ...signed })),
    events,
    payments,
    transfers,
    receipt: (await readReceipts(deps, receipt ? [receipt] : [], false).next()).value ?? null,
  }
}
