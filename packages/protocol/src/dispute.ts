// Disputes: a consumer holds back what the provider earned and has not been paid yet, until an admin or a deadline decides.
import { z } from 'zod'
import { DisputeId, NodeId, PaymentId, RentalId, TransferId } from './id.ts'
import { Atoms } from './money.ts'
import { PaymentState } from './payment.ts'
import { Receipt } from './receipt.ts'
import { EndReason, RentalState } from './rental.ts'
import { SignedUsage } from './usage.ts'

const Instant = z.iso.datetime()

/** How long after its rental ended a dispute may be opened, and how long after that it is decided at the latest, in ms. */
export const disputeWithinMs = 24 * 3_600_000
export const decideWithinMs = 72 * 3_600_000

export const DisputeStatus = z.enum(['open', 'decided'])
export type DisputeStatus = z.infer<typeof DisputeStatus>

/** Body of POST /api/rentals/{id}/dispute. Without an amount all that the provider earned is disputed. */
export const DisputeRequest = z.strictObject({
  reason: z.string().trim().min(10).max(2000),
  amountAtoms: Atoms.refine((atoms) => atoms !== '0', 'more than nothing').optional(),
})
export type DisputeRequest = z.infer<typeof DisputeRequest>

/** Body of POST /api/admin/disputes/{id}/decide: the part of what is held that goes back to the renter, in basis points, and why. */
export const DecideRequest = z.strictObject({ refundBps: z.int().min(0).max(10_000), note: z.string().trim().min(1).max(2000) })
export type DecideRequest = z.infer<typeof DecideRequest>

/**
 * A dispute. `heldAtoms` is the part of `amountAtoms` that had not been paid out when it was opened: more cannot be given back. Once decided,
 * refundedAtoms + returnedAtoms = heldAtoms. `refundTransaction` is null until the refund is on chain.
 */
export const Dispute = z.strictObject({
  id: DisputeId,
  rentalId: RentalId,
  status: DisputeStatus,
  reason: z.string(),
  amountAtoms: Atoms,
  heldAtoms: Atoms,
  openedAt: Instant,
  decideBy: Instant,
  decidedAt: Instant.nullable(),
  decidedBy: z.enum(['admin', 'deadline']).nullable(),
  refundBps: z.int().nullable(),
  refundedAtoms: Atoms.nullable(),
  returnedAtoms: Atoms.nullable(),
  note: z.string().nullable(),
  refundTransaction: z.string().nullable(),
})
export type Dispute = z.infer<typeof Dispute>

/** Query of GET /api/admin/disputes: open ones unless told otherwise; `after` is the id of the last one that was seen. */
export const DisputeQuery = z.strictObject({
  status: DisputeStatus.optional(),
  after: DisputeId.optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
})
export type DisputeQuery = z.infer<typeof DisputeQuery>

/** Oldest first; `nextAfter` is null on the last page. */
export const DisputePage = z.strictObject({ items: z.array(Dispute), nextAfter: DisputeId.nullable() })
export type DisputePage = z.infer<typeof DisputePage>

/** A change of state, as the database wrote it down with the change. */
const EvidenceEvent = z.strictObject({
  noun: z.string(),
  id: z.string(),
  from: z.string().nullable(),
  to: z.string(),
  at: Instant,
})

/**
 * Answer of GET /api/disputes/{id}/evidence, the same for every party: the machine's signed usage chain as it was handed in, every change of
 * state, what the machine said of the lease, the money, and the receipt once there is one. Whoever has it can check hashes and signatures
 * with `nodePublicKey` alone.
 */
export const Evidence = z.strictObject({
  dispute: Dispute,
  lease: z.strictObject({
    rentalId: RentalId,
    nodeId: NodeId,
    nodePublicKey: z.string(),
    state: RentalState,
    endReason: EndReason.nullable(),
    endDetail: z.string().nullable(),
    minutes: z.int(),
    units: z.int(),
    priceAtomsPerHour: Atoms,
    meteredSeconds: z.int(),
    createdAt: Instant,
    paidAt: Instant.nullable(),
    assignedAt: Instant.nullable(),
    startedAt: Instant.nullable(),
    paidUntil: Instant.nullable(),
    endedAt: Instant.nullable(),
    usageClosedAt: Instant.nullable(),
    booksClosedAt: Instant.nullable(),
    settledAt: Instant.nullable(),
  }),
  usage: z.array(z.strictObject({ ...SignedUsage.shape, receivedAt: Instant })),
  events: z.array(EvidenceEvent),
  payments: z.array(
    z.strictObject({
      id: PaymentId,
      state: PaymentState,
      amountAtoms: Atoms,
      minutes: z.int(),
      payer: z.string(),
      transaction: z.string().nullable(),
    }),
  ),
  transfers: z.array(
    z.strictObject({
      id: TransferId,
      kind: z.enum(['payout', 'fee', 'refund']),
      status: z.enum(['owed', 'signed', 'confirmed']),
      amountAtoms: Atoms,
      to: z.string(),
      transaction: z.string().nullable(),
    }),
  ),
  receipt: Receipt.nullable(),
})
export type Evidence = z.infer<typeof Evidence>
