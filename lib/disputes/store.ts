// Disputes in SQL: one per rental, written once and decided once; what they hold; and the evidence.
import type { Dispute, DisputeStatus } from '@flow402/protocol/dispute'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

/** A dispute as the market works with it. */
export type DisputeRecord = {
  id: string
  rentalId: string
  status: DisputeStatus
  reason: string
  amountAtoms: bigint
  heldAtoms: bigint
  openedAtMs: number
  decideByMs: number
  decidedAtMs: number | null
  decidedBy: 'admin' | 'deadline' | null
  refundBps: number | null
  refundedAtoms: bigint | null
  returnedAtoms: bigint | null
  note: string | null
  refundTransaction: string | null
}

function disputeQuery(db: Db | Tx) {
  return db
    .selectFrom('dispute')
    .leftJoin('transfer', (join) =>
      join.onRef('transfer.external_id', '=', 'dispute.id').on('transfer.kind', '=', 'refund').on('transfer.status', '=', 'confirmed'),
    )
    .selectAll('dispute')
    .select('transfer.signature as refund_transaction')
}
type DisputeRow = Awaited<ReturnType<ReturnType<typeof disputeQuery>['executeTakeFirstOrThrow']>>

function disputeFromRow(row: DisputeRow): DisputeRecord {
  return {
    id: row.id,
    rentalId: row.rental_id,
    status: row.status,
    reason: row.reason,
    amountAtoms: row.amount_atoms,
    heldAtoms: row.held_atoms,
    openedAtMs: row.opened_at.getTime(),
    decideByMs: row.decide_by.getTime(),
    decidedAtMs: row.decided_at?.getTime() ?? null,
    decidedBy: row.decided_by as DisputeRecord['decidedBy'],
    refundBps: row.refund_bps,
    refundedAtoms: row.refunded_atoms,
    returnedAtoms: row.returned_atoms,
    note: row.note,
    refundTransaction: row.refund_transaction,
  }
}

/** A dispute as its parties see it. */
export function disputeView(dispute: DisputeRecord): Dispute {
  const iso = (at: number) => new Date(at).toISOString()
  return {
    id: dispute.id,
    rentalId: dispute.rentalId,
    status: dispute.status,
    reason: dispute.reason,
    amountAtoms: dispute.amountAtoms.toString(),
    heldAtoms: dispute.heldAtoms.toString(),
    openedAt: iso(dispute.openedAtMs),
    decideBy: iso(dispute.decideByMs),
    decidedAt: dispute.decidedAtMs === null ? null : iso(dispute.decidedAtMs),
    decidedBy: dispute.decidedBy,
    refundBps: dispute.refundBps,
    refundedAtoms: dispute.refundedAtoms?.toString() ?? null,
    returnedAtoms: dispute.returnedAtoms?.toString() ?? null,
    note: dispute.note,
    refundTransaction: dispute.refundTransaction,
  }
}

export async function findDispute(db: Db | Tx, id: string): Promise<DisputeRecord | undefined> {
  const row = await disputeQuery(db).where('dispute.id', '=', id).executeTakeFirst()
  return row && disputeFromRow(row)
}

export async function findDisputeOf(db: Db | Tx, rentalId: string): Promise<DisputeRecord | undefined> {
  const row = await disputeQuery(db).where('dispute.rental_id', '=', rentalId).executeTakeFirst()
  return row && disputeFromRow(row)
}

/** Disputes in the order in which they were opened, from the one after `after` on. */
export async function findDisputes(
  db: Db,
  page: { status: DisputeStatus; after: string | undefined; limit: number },
): Promise<DisputeRecord[]> {
  let query = disputeQuery(db).where('dispute.status', '=', page.status)
  // Ids sort by the time of their making.
  if (page.after !== undefined) query = query.where('dispute.id', '>', page.after)
  return (await query.orderBy('dispute.id').limit(page.limit).execute()).map(disputeFromRow)
}

/** Ids of open disputes whose deadline is over, oldest first. */
export async function findDueDisputes(db: Db, nowMs: number, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('dispute')
    .select('id')
    .where('status', '=', 'open')
    .where('decide_by', '<=', new Date(nowMs))
    .orderBy('decide_by')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** What a rental earned its provider. `isTaken`: a payout has it. */
export type LockedEarning = { amountAtoms: bigint; isTaken: boolean; nodeId: string; payoutAddress: string; currency: string }

/** Locks what a rental earned its provider; a payout takes it under the same lock. Undefined when it earned nothing. */
export async function lockEarning(tx: Tx, rentalId: string): Promise<LockedEarning | undefined> {
  const row = await tx.selectFrom('earning').selectAll().where('external_id', '=', rentalId).forUpdate().executeTakeFirst()
  return (
    row && {
      amountAtoms: row.amount_atoms,
      isTaken: row.transfer_id !== null,
      nodeId: row.node_id,
      payoutAddress: row.payout_address,
      currency: row.currency,
    }
  )
}

/** Keeps a part of an earning from ever leaving with it. The caller has it locked. */
export async function holdEarning(tx: Tx, rentalId: string, disputedAtoms: bigint): Promise<void> {
  const held = await tx
    .updateTable('earning')
    .set({ disputed_atoms: disputedAtoms })
    .where('external_id', '=', rentalId)
    .where('transfer_id', 'is', null)
    .where('disputed_atoms', '=', 0n)
    .executeTakeFirst()
  if (held.numUpdatedRows !== 1n) throw new Error(`the earning of ${rentalId} is not there to be held`)
}

/** Adds a dispute; a second one of the same rental breaks a unique constraint. */
export async function addDispute(
  tx: Tx,
  dispute: Pick<DisputeRecord, 'id' | 'rentalId' | 'reason' | 'amountAtoms' | 'heldAtoms' | 'openedAtMs' | 'decideByMs'>,
): Promise<void> {
  await tx
    .insertInto('dispute')
    .values({
      id: dispute.id,
      rental_id: dispute.rentalId,
      reason: dispute.reason,
      amount_atoms: dispute.amountAtoms,
      held_atoms: dispute.heldAtoms,
      opened_at: new Date(dispute.openedAtMs),
      decide_by: new Date(dispute.decideByMs),
    })
    .execute()
}

/** Writes the decision if the dispute is still open; false when somebody else was first. */
export async function setDisputeDecided(
  tx: Tx,
  id: string,
  decision: {
    refundBps: number
    refundedAtoms: bigint
    returnedAtoms: bigint
    note: string | null
    by: 'admin' | 'deadline'
    nowMs: number
  },
): Promise<boolean> {
  const decided = await tx
    .updateTable('dispute')
    .set({
      status: 'decided',
      decided_at: new Date(decision.nowMs),
      decided_by: decision.by,
      refund_bps: decision.refundBps,
      refunded_atoms: decision.refundedAtoms,
      returned_atoms: decision.returnedAtoms,
      note: decision.note,
    })
    .where('id', '=', id)
    .where('status', '=', 'open')
    .executeTakeFirst()
  return decided.numUpdatedRows === 1n
}

const iso = (at: Date) => at.toISOString()

/** The usage chain of a rental as the machine handed it in. */
export async function findUsageChain(db: Db, rentalId: string) {
  const rows = await db.selectFrom('usage_record').selectAll().where('rental_id', '=', rentalId).orderBy('epoch').orderBy('seq').execute()
  return rows.map((row) => ({
    record: {
      rentalId,
      epoch: row.epoch,
      seq: row.seq,
      fromSecond: row.from_second,
      toSecond: row.to_second,
      at: Number(row.at_ms),
      prevHash: row.prev_hash,
      final: row.final,
    },
    hash: row.hash,
    signature: row.signature,
    receivedAt: iso(row.received_at),
  }))
}

/** Every change of state of a rental, its payments, its transfers and its dispute, in their order. */
export async function findEvents(db: Db, rentalId: string, disputeId: string) {
  const { rows } = await sql<{ noun: string; noun_id: string; from_status: string | null; to_status: string; at: Date }>`
    select noun, noun_id, from_status, to_status, at from event
    where noun_id in (
      select ${rentalId} union all select ${disputeId}
      union all select id from payment where rental_id = ${rentalId}
      union all select id from transfer where rental_id = ${rentalId}
      union all select transfer_id from earning where rental_id = ${rentalId} and transfer_id is not null
    )
    order by id`.execute(db)
  return rows.map((row) => ({ noun: row.noun, id: row.noun_id, from: row.from_status, to: row.to_status, at: iso(row.at) }))
}

export async function findPaymentsOf(db: Db, rentalId: string) {
  const rows = await db
    .selectFrom('payment')
    .select(['id', 'status', 'amount_atoms', 'minutes', 'payer', 'signature'])
    .where('rental_id', '=', rentalId)
    .orderBy('created_at')
    .execute()
  return rows.map((row) => ({
    id: row.id,
    state: row.status,
    amountAtoms: row.amount_atoms.toString(),
    minutes: row.minutes,
    payer: row.payer,
    transaction: row.status === 'settled' ? row.signature : null,
  }))
}

/** Transfers of a rental, a payout that it shares with others with its own part of it. */
export async function findTransfersOf(db: Db, rentalId: string) {
  const { rows } = await sql<{
    id: string
    kind: 'payout' | 'fee' | 'refund'
    status: 'owed' | 'signed' | 'confirmed'
    atoms: bigint
    destination: string
    signature: string | null
  }>`
    select id, kind, status, atoms, destination, signature from (
      select id, kind, status, amount_atoms as atoms, destination, signature, created_at from transfer
      where rental_id = ${rentalId} and kind <> 'payout'
      union all
      select transfer.id, kind, status, earning.amount_atoms - earning.disputed_atoms, destination, signature, transfer.created_at
      from earning join transfer on transfer.id = earning.transfer_id where earning.rental_id = ${rentalId}
    ) each order by created_at, kind`.execute(db)
  return rows.map((row) => ({
    id: row.id,
    kind: row.kind,
    status: row.status,
    amountAtoms: row.atoms.toString(),
    to: row.destination,
    transaction: row.status === 'confirmed' ? row.signature : null,
  }))
}
