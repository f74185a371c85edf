// Statements in SQL: which rentals need a check, their records, and what each check found.
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import type { StatedRental, UsageRow } from './make-statement.ts'

/** A rental that needs a check, how many records it has about, and how often it was checked in vain. */
export type Unstated = { rental: StatedRental; records: number; checks: number }

/** Whether the newest check was of these figures; the books close on no other. */
const isCurrent = sql<boolean>`(statement.minutes, statement.prepaid_atoms, statement.metered_seconds, statement.started_at, statement.ended_at)
  is not distinct from (rental.minutes, rental.prepaid_atoms, rental.metered_seconds, rental.started_at, rental.ended_at)`

/** A statement that holds and is of the rental's present figures, or a rental that can have none. For a query over `rental`. */
export const hasStatement = sql<boolean>`(rental.usage_version = 1 or exists (
  select from statement where statement.rental_id = rental.id and statement.fault is null and ${isCurrent}
))`

const rentalColumns = sql`rental.id, rental.node_id, node.public_key, rental.offer_id, rental.epoch, rental.units, rental.price_atoms_per_hour,
  rental.minutes, rental.fee_bps, rental.started_at, rental.ended_at, rental.end_reason, rental.currency, rental.metered_seconds,
  rental.prepaid_atoms, rental.charged_atoms, rental.fee_atoms, rental.payout_atoms, rental.refund_atoms`

type RentalRow = {
  id: string
  node_id: string
  public_key: string
  offer_id: string
  epoch: number
  units: number
  price_atoms_per_hour: bigint
  minutes: number
  fee_bps: number
  started_at: Date | null
  ended_at: Date
  end_reason: StatedRental['endReason']
  currency: string
  metered_seconds: number
  prepaid_atoms: bigint
  charged_atoms: bigint
  fee_atoms: bigint
  payout_atoms: bigint
  refund_atoms: bigint
}

function statedFromRow(row: RentalRow): StatedRental {
  return {
    id: row.id,
    nodeId: row.node_id,
    nodePublicKey: row.public_key,
    offerId: row.offer_id,
    epoch: row.epoch,
    units: row.units,
    priceAtomsPerHour: row.price_atoms_per_hour,
    minutes: row.minutes,
    feeBps: row.fee_bps,
    startedAtMs: row.started_at?.getTime() ?? null,
    endedAtMs: row.ended_at.getTime(),
    endReason: row.end_reason,
    currency: row.currency,
    meteredSeconds: row.metered_seconds,
    prepaidAtoms: row.prepaid_atoms,
    split: {
      chargedAtoms: row.charged_atoms,
      feeAtoms: row.fee_atoms,
      payoutAtoms: row.payout_atoms,
      refundAtoms: row.refund_atoms,
    },
  }
}

/**
 * Rentals whose books could close but for their statement: ended, usage closed, every payment decided and final, and no check of their
 * present figures; or one that found a fault and is due again. Oldest end first. `only` names one rental.
 */
export async function findUnstated(db: Db, nowMs: number, limit: number, only?: string): Promise<Unstated[]> {
  const { rows } = await sql<RentalRow & { records: number | null; checks: number | null }>`
    select ${rentalColumns}, case when ${isCurrent} then statement.checks end as checks, (
      select seq from usage_record where usage_record.rental_id = rental.id and usage_record.epoch = rental.epoch order by seq desc limit 1
    ) as records
    from rental join node on node.id = rental.node_id left join statement on statement.rental_id = rental.id
    where rental.status = 'ending' and rental.usage_closed_at is not null and rental.books_closed_at is null and rental.usage_version = 2
      and (statement.rental_id is null or not ${isCurrent} or (statement.fault is not null and statement.check_after <= ${new Date(nowMs)}))
      and not exists (select from payment where payment.rental_id = rental.id and payment.status in ('claimed', 'submitted'))
      and not exists (
        select from payment where payment.rental_id = rental.id and payment.status = 'settled' and payment.finalized_at is null
      )
      ${only === undefined ? sql`` : sql`and rental.id = ${only}`}
    order by rental.ended_at limit ${limit}`.execute(db)
  return rows.map((row) => ({ rental: statedFromRow(row), records: row.records ?? 0, checks: row.checks ?? 0 }))
}

/** The records of these rentals in their order, those of each rental's own epoch; a rental without any is not in the map. */
export async function findUsage(db: Db | Tx, rentals: readonly Pick<StatedRental, 'id' | 'epoch'>[]): Promise<Map<string, UsageRow[]>> {
  if (rentals.length === 0) return new Map()
  const { rows } = await sql<{
    rental_id: string
    seq: number
    from_second: number
    to_second: number
    at_ms: bigint
    final: boolean
    prev_hash: string
    signature: string
  }>`
    select usage_record.rental_id, seq, from_second, to_second, at_ms, final, prev_hash, signature
    from unnest(${rentals.map(({ id }) => id)}::text[], ${rentals.map(({ epoch }) => epoch)}::integer[]) as asked (rental_id, epoch)
    join usage_record on usage_record.rental_id = asked.rental_id and usage_record.epoch = asked.epoch
    order by usage_record.rental_id, seq`.execute(db)
  const usage = new Map<string, UsageRow[]>()
  for (const row of rows) {
    const record = {
      seq: row.seq,
      fromSecond: row.from_second,
      toSecond: row.to_second,
      atMs: Number(row.at_ms),
      final: row.final,
      prevHash: row.prev_hash,
      signature: row.signature,
    }
    const known = usage.get(row.rental_id)
    if (known) known.push(record)
    else usage.set(row.rental_id, [record])
  }
  return usage
}

/** What a check found, for the figures that it was made for. `refused`: why the statement does not hold, and when it is looked at again. */
export type CheckedStatement = {
  rental: Pick<StatedRental, 'id' | 'minutes' | 'prepaidAtoms'>
  meteredSeconds: number
  root: string | null
  records: number
  refused: { fault: string; record: number; detail: string; checkAfterMs: number } | null
}

/**
 * Writes what checks found, and the metered seconds that follow from the records, for rentals whose figures are still those and whose books
 * are open; answers for which. A rental that another worker has in hand is passed over.
 */
export async function saveStatements(db: Db, checked: readonly CheckedStatement[], nowMs: number): Promise<Set<string>> {
  if (checked.length === 0) return new Set()
  const { rows } = await sql<{ rental_id: string }>`
    with made as (
      select * from unnest(
        ${checked.map(({ rental }) => rental.id)}::text[], ${checked.map(({ rental }) => rental.minutes)}::integer[],
        ${checked.map(({ rental }) => rental.prepaidAtoms.toString())}::bigint[], ${checked.map(({ meteredSeconds }) => meteredSeconds)}::integer[],
        ${checked.map(({ root }) => root)}::text[], ${checked.map(({ records }) => records)}::integer[],
        ${checked.map(({ refused }) => refused?.fault ?? null)}::text[], ${checked.map(({ refused }) => refused?.record ?? null)}::integer[],
        ${checked.map(({ refused }) => refused?.detail ?? null)}::text[],
        ${checked.map(({ refused }) => (refused ? new Date(refused.checkAfterMs) : null))}::timestamptz[]
      ) as each (id, minutes, prepaid, metered, root, records, fault, fault_record, detail, check_after)
    ), mine as materialized (
      select rental.id, rental.started_at, rental.ended_at
      from rental join made on made.id = rental.id
      where rental.status = 'ending' and rental.usage_closed_at is not null and rental.books_closed_at is null
        and rental.minutes = made.minutes and rental.prepaid_atoms = made.prepaid
      order by rental.id for no key update of rental skip locked
    ), metered as (
      update rental set metered_seconds = made.metered from made join mine on mine.id = made.id
      where rental.id = made.id and rental.metered_seconds <> made.metered
    )
    insert into statement (rental_id, root, records, minutes, prepaid_atoms, metered_seconds, started_at, ended_at, fault, fault_record, detail,
      checked_at, check_after)
    select made.id, root, records, minutes, prepaid, metered, mine.started_at, mine.ended_at, fault, fault_record, detail,
      ${new Date(nowMs)}::timestamptz, check_after
    from made join mine on mine.id = made.id
    on conflict (rental_id) do update set root = excluded.root, records = excluded.records, minutes = excluded.minutes,
      prepaid_atoms = excluded.prepaid_atoms, metered_seconds = excluded.metered_seconds, started_at = excluded.started_at,
      ended_at = excluded.ended_at, fault = excluded.fault, fault_record = excluded.fault_record, detail = excluded.detail,
      checked_at = excluded.checked_at, check_after = excluded.check_after, checks = statement.checks + 1
    returning rental_id`.execute(db)
  return new Set(rows.map((row) => row.rental_id))
}

/** The roots of these rentals' statements, hex; a rental without one is not in the map. */
export async function findRoots(db: Db | Tx, rentalIds: readonly string[]): Promise<Map<string, string>> {
  if (rentalIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('statement')
    .select(['rental_id', 'root'])
    .where((eb) => eb('rental_id', '=', eb.fn.any(eb.val([...rentalIds]))))
    .where('fault', 'is', null)
    .execute()
  return new Map(rows.flatMap(({ rental_id, root }) => (root === null ? [] : [[rental_id, root] as const])))
}

/** What the statements of these rentals say is billed. Of settled rentals only: the figures are the booked ones. */
export async function findStated(db: Db | Tx, rentalIds: readonly string[]): Promise<Map<string, StatedRental>> {
  if (rentalIds.length === 0) return new Map()
  const { rows } = await sql<RentalRow>`
    select ${rentalColumns} from rental join node on node.id = rental.node_id
    where rental.id = any(${[...rentalIds]}::text[]) and rental.books_closed_at is not null`.execute(db)
  return new Map(rows.map((row) => [row.id, statedFromRow(row)]))
}

/**
 * What a rental was billed on: how many records, the newest one's hash, and the statement's root, which is null for usage from before there
 * were statements. Throws when the books were closed without the statement that they needed: nothing may vouch for them.
 */
export async function findBookedUsage(
  tx: Tx,
  rental: { id: string; epoch: number },
): Promise<{ records: number; head: string | null; root: string | null }> {
  const { rows } = await sql<{ usage_version: number; root: string | null; records: bigint; head: string | null }>`
    select rental.usage_version, statement.root, usage.records, usage.head
    from rental left join statement on statement.rental_id = rental.id and statement.fault is null, lateral (
      select count(*) as records, (array_agg(hash order by seq desc))[1] as head
      from usage_record where rental_id = rental.id and epoch = ${rental.epoch}
    ) usage
    where rental.id = ${rental.id}`.execute(tx)
  const [row] = rows
  if (!row || (row.usage_version !== 1 && row.root === null)) throw new Error(`the books of ${rental.id} were closed without its statement`)
  return { records: Number(row.records), head: row.head, root: row.usage_version === 1 ? null : row.root }
}

/** Where the statements of rentals are anchored: the first payout for each that anchors it, with the roots of all that it carries. */
export type FoundAnchor = { transferId: string; anchor: string; transaction: string | null }

export async function findAnchors(db: Db | Tx, rentalIds: readonly string[]): Promise<Map<string, FoundAnchor>> {
  if (rentalIds.length === 0) return new Map()
  const { rows } = await sql<{ rental_id: string; id: string; anchor: string; status: string; signature: string | null }>`
    select distinct on (earning.rental_id) earning.rental_id, transfer.id, transfer.anchor, transfer.status, transfer.signature
    from earning join transfer on transfer.id = earning.transfer_id
    where earning.rental_id = any(${[...rentalIds]}::text[]) and transfer.anchor is not null
    order by earning.rental_id, transfer.created_at, transfer.id`.execute(db)
  return new Map(
    rows.map((row) => [
      row.rental_id,
      { transferId: row.id, anchor: row.anchor, transaction: row.status === 'confirmed' ? row.signature : null },
    ]),
  )
}

/** The roots behind each of these payouts: transfer id -> rental id -> root. */
export async function findAnchoredRoots(db: Db | Tx, transferIds: readonly string[]): Promise<Map<string, Map<string, string>>> {
  if (transferIds.length === 0) return new Map()
  const { rows } = await sql<{ transfer_id: string; rental_id: string; root: string }>`
    select distinct earning.transfer_id, statement.rental_id, statement.root
    from earning join statement on statement.rental_id = earning.rental_id
    where earning.transfer_id = any(${[...transferIds]}::text[]) and statement.fault is null and statement.root is not null`.execute(db)
  const found = new Map<string, Map<string, string>>()
  for (const { transfer_id, rental_id, root } of rows) found.set(transfer_id, (found.get(transfer_id) ?? new Map()).set(rental_id, root))
  return found
}
