// Rentals in SQL: the agreement with its frozen terms, and status writes guarded by the status they leave.
import type { PerUnit } from '@flow402/protocol/node'
import type { EndReason, Rental, RentalState } from '@flow402/protocol/rental'
import { sql, type Updateable } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import type { DB } from '../db/types.ts'
import { isOnline } from '../nodes/mark-node-seen.ts'
import { perUnitFromRow } from '../offers/store.ts'

/** A rental as the market works with it: times in Unix ms, money in bigint atoms. */
export type RentalRecord = {
  id: string
  offerId: string
  nodeId: string
  status: RentalState
  endReason: EndReason | null
  endDetail: string | null
  kind: 'ram' | 'gpu'
  units: number
  minutes: number
  /** How many minutes it may have in all, extensions included. */
  maxMinutes: number
  perUnit: PerUnit
  priceAtomsPerHour: bigint
  currency: string
  feeBps: number
  payoutAddress: string
  image: string | null
  command: string[] | null
  env: Record<string, string>
  sshPublicKey: string | null
  epoch: number
  revision: number
  sentRevision: number
  leaseRemovedAtMs: number | null
  unitsHeld: boolean
  createdAtMs: number
  paidAtMs: number | null
  assignedAtMs: number | null
  startedAtMs: number | null
  paidUntilMs: number | null
  endedAtMs: number | null
  usageClosedAtMs: number | null
  booksClosedAtMs: number | null
  settledAtMs: number | null
  meteredSeconds: number
  prepaidAtoms: bigint
  chargedAtoms: bigint
  feeAtoms: bigint
  payoutAtoms: bigint
  refundAtoms: bigint
  payer: string | null
  node: { name: string; region: string; publicKey: string; lastSeenAtMs: number | null }
}

function rentalQuery(db: Db | Tx) {
  return db
    .selectFrom('rental')
    .innerJoin('node', 'node.id', 'rental.node_id')
    .selectAll('rental')
    .select(['node.name as node_name', 'node.region as node_region', 'node.public_key as node_public_key', 'node.last_seen_at'])
}
type RentalRow = Awaited<ReturnType<ReturnType<typeof rentalQuery>['executeTakeFirstOrThrow']>>

const ms = (date: Date | null) => date?.getTime() ?? null

function rentalFromRow(row: RentalRow): RentalRecord {
  return {
    id: row.id,
    offerId: row.offer_id,
    nodeId: row.node_id,
    status: row.status,
    endReason: row.end_reason,
    endDetail: row.end_detail,
    kind: row.kind,
    units: row.units,
    minutes: row.minutes,
    maxMinutes: row.max_minutes,
    perUnit: perUnitFromRow(row),
    priceAtomsPerHour: row.price_atoms_per_hour,
    currency: row.currency,
    feeBps: row.fee_bps,
    payoutAddress: row.payout_address,
    image: row.image,
    command: row.command as string[] | null,
    env: row.env as Record<string, string>,
    sshPublicKey: row.ssh_public_key,
    epoch: row.epoch,
    revision: row.revision,
    sentRevision: row.sent_revision,
    leaseRemovedAtMs: ms(row.lease_removed_at),
    unitsHeld: row.units_held,
    createdAtMs: row.created_at.getTime(),
    paidAtMs: ms(row.paid_at),
    assignedAtMs: ms(row.assigned_at),
    startedAtMs: ms(row.started_at),
    paidUntilMs: ms(row.paid_until),
    endedAtMs: ms(row.ended_at),
    usageClosedAtMs: ms(row.usage_closed_at),
    booksClosedAtMs: ms(row.books_closed_at),
    settledAtMs: ms(row.settled_at),
    meteredSeconds: row.metered_seconds,
    prepaidAtoms: row.prepaid_atoms,
    chargedAtoms: row.charged_atoms,
    feeAtoms: row.fee_atoms,
    payoutAtoms: row.payout_atoms,
    refundAtoms: row.refund_atoms,
    payer: row.payer,
    node: {
      name: row.node_name,
      region: row.node_region,
      publicKey: row.node_public_key,
      lastSeenAtMs: ms(row.last_seen_at),
    },
  }
}

/** The rental as its holder sees it. */
export function rentalView(rental: RentalRecord, nowMs: number): Rental {
  const iso = (at: number | null) => (at === null ? null : new Date(at).toISOString())
  return {
    id: rental.id,
    offerId: rental.offerId,
    state: rental.status,
    endReason: rental.endReason,
    endDetail: rental.endDetail,
    kind: rental.kind,
    units: rental.units,
    perUnit: rental.perUnit,
    minutes: rental.minutes,
    image: rental.image,
    priceAtomsPerHour: rental.priceAtomsPerHour.toString(),
    currency: 'USDC',
    feeBps: rental.feeBps,
    createdAt: new Date(rental.createdAtMs).toISOString(),
    startedAt: iso(rental.startedAtMs),
    paidUntil: iso(rental.paidUntilMs),
    endedAt: iso(rental.endedAtMs),
    settledAt: iso(rental.settledAtMs),
    meteredSeconds: rental.meteredSeconds,
    prepaidAtoms: rental.prepaidAtoms.toString(),
    chargedAtoms: rental.chargedAtoms.toString(),
    refundAtoms: rental.refundAtoms.toString(),
    payoutAtoms: rental.payoutAtoms.toString(),
    feeAtoms: rental.feeAtoms.toString(),
    payer: rental.payer,
    node: {
      id: rental.nodeId,
      name: rental.node.name,
      region: rental.node.region,
      online: isOnline(rental.node.lastSeenAtMs, nowMs),
    },
  }
}

export async function findRental(db: Db | Tx, id: string): Promise<RentalRecord | undefined> {
  const row = await rentalQuery(db).where('rental.id', '=', id).executeTakeFirst()
  return row && rentalFromRow(row)
}

/** The same, with the row locked until the transaction ends. */
export async function lockRental(tx: Tx, id: string): Promise<RentalRecord | undefined> {
  const row = await rentalQuery(tx).where('rental.id', '=', id).forUpdate('rental').executeTakeFirst()
  return row && rentalFromRow(row)
}

/** Columns that may be written beside a status. */
export type RentalChange = Omit<Updateable<DB['rental']>, 'id' | 'status'>

/** Writes a status if the rental is still in the one it leaves; false when somebody else was first. */
export async function setRentalStatus(
  db: Db | Tx,
  id: string,
  from: RentalState,
  to: RentalState,
  change: RentalChange = {},
): Promise<boolean> {
  const moved = await db
    .updateTable('rental')
    .set({ ...change, status: to, work_token: null, work_until: null })
    .where('id', '=', id)
    .where('status', '=', from)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

/** Writes columns of a rental that is in one of these states; false when it is not. */
export async function changeRental(db: Db | Tx, id: string, whileIn: readonly RentalState[], change: RentalChange): Promise<boolean> {
  const changed = await db.updateTable('rental').set(change).where('id', '=', id).where('status', 'in', whileIn).executeTakeFirst()
  return changed.numUpdatedRows === 1n
}

/** Takes the units of a rental back exactly once: true for the one caller who may give them to the offer. */
export async function dropUnits(tx: Tx, id: string): Promise<{ offerId: string; units: number } | undefined> {
  const row = await tx
    .updateTable('rental')
    .set({ units_held: false })
    .where('id', '=', id)
    .where('units_held', '=', true)
    .returning(['offer_id', 'units'])
    .executeTakeFirst()
  return row && { offerId: row.offer_id, units: row.units }
}

/** Ids of rentals in a state that nobody works on, oldest first; each is leased to the caller's token until `leaseMs` from now. */
export async function takeRentals(
  db: Db,
  status: RentalState,
  { token, nowMs, leaseMs, limit }: { token: string; nowMs: number; leaseMs: number; limit: number },
): Promise<string[]> {
  const rows = await db
    .with('due', (cte) =>
      cte
        .selectFrom('rental')
        .select('id')
        .where('status', '=', status)
        .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
        .orderBy('created_at')
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .updateTable('rental')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where('id', 'in', (eb) => eb.selectFrom('due').select('id'))
    .returning('id')
    .execute()
  return rows.map((row) => row.id)
}

/** Rentals whose lease the node may still hold and that need an order (again). */
export async function findOpenLeases(db: Db, nodeId: string): Promise<RentalRecord[]> {
  const rows = await rentalQuery(db)
    .where('rental.node_id', '=', nodeId)
    .where('rental.epoch', '>', 0)
    .where('rental.lease_removed_at', 'is', null)
    .execute()
  return rows.map(rentalFromRow)
}

/**
 * Rentals whose newest order the node has not acknowledged, of nodes that were seen since then: one that is back gets all of
 * its orders anyway, and those of nodes that never come back must not keep others from going out.
 */
export async function findUnsentOrders(db: Db, seenSinceMs: number, limit: number): Promise<RentalRecord[]> {
  const rows = await rentalQuery(db)
    .where('rental.lease_removed_at', 'is', null)
    .where(sql<boolean>`rental.sent_revision < rental.revision`)
    .where('node.last_seen_at', '>', new Date(seenSinceMs))
    .orderBy('rental.created_at')
    .limit(limit)
    .execute()
  return rows.map(rentalFromRow)
}

/** Notes that the node holds this revision. */
export async function setSentRevision(db: Db, id: string, revision: number): Promise<void> {
  await db.updateTable('rental').set({ sent_revision: revision }).where('id', '=', id).where('sent_revision', '<', revision).execute()
}

/** Rentals that time may have ended or that wait for their last usage; a bounded page, for the clock. */
export async function findTimedRentals(
  db: Db,
  times: { nowMs: number; startWithinMs: number; lastUsageWithinMs: number; goneAfterMs: number; backWithinMs: number },
  limit: number,
): Promise<RentalRecord[]> {
  // Only what may be due: rows that merely wait would fill the page before those that are late.
  const before = (ms: number) => new Date(times.nowMs - ms)
  const goneSince = before(times.goneAfterMs)
  const rows = await rentalQuery(db)
    .where((eb) =>
      eb.or([
        eb.and([
          eb('rental.status', 'in', ['paid', 'starting']),
          eb(eb.fn.coalesce('rental.paid_at', 'rental.created_at'), '<', before(times.startWithinMs)),
        ]),
        eb.and([
          eb('rental.status', '=', 'running'),
          eb.or([eb('rental.paid_until', '<', before(0)), eb('node.last_seen_at', '<', goneSince)]),
        ]),
        eb.and([
          eb('rental.status', '=', 'ending'),
          eb('rental.usage_closed_at', 'is', null),
          eb.or([eb('rental.ended_at', '<', before(times.lastUsageWithinMs)), eb('node.last_seen_at', '<', goneSince)]),
        ]),
        eb.and([
          eb('rental.units_held', '=', true),
          sql<boolean>`coalesce(rental.paid_until, rental.ended_at + rental.minutes * interval '1 minute') < ${before(times.backWithinMs)}`,
        ]),
      ]),
    )
    .orderBy('rental.created_at')
    .limit(limit)
    .execute()
  return rows.map(rentalFromRow)
}
