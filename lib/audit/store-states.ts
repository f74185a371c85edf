// The audit's questions to the states: holds, payments, transfers, capacity, metering, statements and events, each against its evidence.
import { sql } from 'kysely'
import type { Tx } from '../db/client.ts'
import { findWrong, none, oneRow, type Wrong, wrong, wrongFrom } from './store.ts'

export type HoldSums = { holds: bigint; open: bigint; openAtoms: bigint; wrong: Wrong }

/** P1, two-phase: a decided payment's hold has ended, a settled one's is posted; of a transfer only its present signature may be open. */
export async function readHolds(tx: Tx): Promise<HoldSums> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with open as materialized (
        select kind, external_id, subject, amount_atoms from ledger_hold
        where not exists (
          select from ledger_hold_end ended where ended.kind = ledger_hold.kind and ended.external_id = ledger_hold.external_id
        )
      ), opened as (
        select count(*) as open, coalesce(sum(open.amount_atoms), 0)::bigint as open_atoms,
          ${wrong(
            sql`case when open.kind = 'charge' then payment.status is null or payment.status not in ('claimed', 'submitted')
              else transfer.status is distinct from 'signed' or open.external_id <> transfer.id || ':' || transfer.attempts end`,
            sql`open.external_id`,
            'left_open',
          )}
        from open
        left join payment on open.kind = 'charge' and payment.id = open.external_id
        left join transfer on open.kind <> 'charge' and transfer.id = open.subject
      ), ended as (
        select ${wrong(
          sql`case payment.status when 'settled' then ended.outcome is distinct from 'posted' else ended.outcome = 'posted' end
            and not (payment.status = 'expired' and payment.settled_at is not null)`,
          sql`payment.id`,
          'misended',
        )}
        from payment left join ledger_hold_end ended on ended.kind = 'charge' and ended.external_id = payment.id
      )
      select (select count(*) from ledger_hold) as holds, opened.*, ended.* from opened, ended`,
  )
  const [leftOpen, misended] = [wrongFrom(row, 'left_open'), wrongFrom(row, 'misended')]
  return {
    holds: row.holds as bigint,
    open: row.open as bigint,
    openAtoms: row.open_atoms as bigint,
    wrong: { count: leftOpen.count + misended.count, examples: [...leftOpen.examples, ...misended.examples].slice(0, 3) },
  }
}

export type PaymentFacts = {
  byStatus: Record<string, bigint>
  unfinal: bigint
  oldestUndecidedAt: Date | null
  /** P1: one message, one memo or one signature for two payments. */
  doubled: Wrong
  /** P2: runs without having been paid exactly, or paid and given nothing. */
  unpaid: Wrong
  /** P3: a state that the row's own evidence does not allow. */
  impossible: Wrong
  /** P3: undecided past its deadline without a word why. */
  forgotten: Wrong
}

/** P2 and P3. A payment may be undecided for `patienceMs` before it must say why. */
export async function readPayments(tx: Tx, nowMs: number, patienceMs: number): Promise<PaymentFacts> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with payments as (
        select count(*) filter (where finalized_at is null and status = 'settled') as unfinal,
          min(created_at) filter (where status in ('claimed', 'submitted')) as oldest,
          ${wrong(
            sql`case status
              when 'settled' then settled_at is null or signature is null
              when 'expired' then last_error is null
              else settled_at is not null end
              or (finalized_at is not null and status <> 'settled')`,
            sql`id`,
            'impossible',
          )},
          ${wrong(
            sql`status in ('claimed', 'submitted') and created_at < ${new Date(nowMs - patienceMs)} and last_error is null`,
            sql`id`,
            'forgotten',
          )}
        from payment
      ), doubled as (
        select ${wrong(sql`true`, sql`id`, 'doubled')} from (
          select min(id) as id from payment group by message_hash having count(*) > 1
          union all select min(id) from payment where signature is not null group by signature having count(*) > 1
        ) twice
      ), priced as materialized (
        select rental.id, rental.status, count(payment.id) filter (where payment.kind = 'rent') as rents,
          bool_or(payment.amount_atoms <> div(rental.units::numeric * rental.price_atoms_per_hour * payment.minutes + 59, 60)) as is_inexact,
          coalesce(sum(payment.minutes), 0) as minutes, rental.minutes as rental_minutes
        from rental
        left join payment on payment.rental_id = rental.id and payment.status = 'settled' and payment.counted
        group by rental.id
      ), rentals as (
        select ${wrong(
          sql`is_inexact or case when status in ('requested', 'expired') then rents > 0
            else rents <> 1 or minutes <> rental_minutes end`,
          sql`id`,
          'unpaid',
        )} from priced
        where not exists (select from ledger_transaction where kind = 'reversal' and ledger_transaction.rental_id = priced.id)
      ), statuses as (
        select coalesce(jsonb_object_agg(status, n), '{}') as by_status from (select status, count(*) as n from payment group by status) each
      )
      select * from payments, doubled, rentals, statuses`,
  )
  return {
    byStatus: countsFrom(row.by_status),
    unfinal: row.unfinal as bigint,
    oldestUndecidedAt: row.oldest as Date | null,
    doubled: wrongFrom(row, 'doubled'),
    unpaid: wrongFrom(row, 'unpaid'),
    impossible: wrongFrom(row, 'impossible'),
    forgotten: wrongFrom(row, 'forgotten'),
  }
}

function countsFrom(value: unknown): Record<string, bigint> {
  return Object.fromEntries(Object.entries(value as Record<string, number>).map(([name, count]) => [name, BigInt(count)]))
}

export type TransferFacts = {
  unmatched: { count: bigint; atoms: bigint }
  dust: { count: bigint; atoms: bigint }
  refunded: { count: bigint; atoms: bigint }
  waiting: bigint
  /** P5: received for nothing, and neither owed back nor too small for it. */
  unreturned: Wrong
  byStatus: { status: string; count: bigint; atoms: bigint }[]
  oldestDebtAt: Date | null
  lastError: string | null
  /** P6: a state without its evidence. */
  impossible: Wrong
  /** P7: left, or signed to leave, before what it is paid from was final. */
  early: Wrong
}

/** P5, P6 and P7. */
export async function readTransfers(tx: Tx): Promise<TransferFacts> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with stray as (
        select count(*) filter (where fate = 'unmatched') as unmatched,
          coalesce(sum(delta_atoms) filter (where fate = 'unmatched'), 0)::bigint as unmatched_atoms,
          count(*) filter (where fate = 'dust') as dust, coalesce(sum(delta_atoms) filter (where fate = 'dust'), 0)::bigint as dust_atoms,
          count(*) filter (where fate = 'waiting') as waiting
        from escrow_movement where fate in ('unmatched', 'dust', 'waiting')
      ), returned as (
        select count(*) filter (where status = 'confirmed') as refunded,
          coalesce(sum(amount_atoms) filter (where status = 'confirmed'), 0)::bigint as refunded_atoms
        from transfer where rental_id is null and kind = 'refund'
      ), unreturned as (
        select ${wrong(sql`true`, sql`id`, 'unreturned')} from (
          select signature as id, delta_atoms as atoms from escrow_movement where fate = 'unmatched' and counterparty is not null
          union all select id, amount_atoms from payment where status = 'settled' and not counted and finalized_at is not null
        ) owed
        where not exists (
          select from transfer where kind = 'refund' and external_id = owed.id and amount_atoms = owed.atoms
        )
      ), statuses as (
        select coalesce(jsonb_agg(jsonb_build_array(status, n, atoms) order by status), '[]') as by_status
        from (select status, count(*) as n, sum(amount_atoms)::text as atoms from transfer group by status) each
      ), debts as (
        select min(created_at) filter (where status <> 'confirmed') as oldest,
          (array_agg(last_error order by created_at) filter (where status <> 'confirmed' and last_error is not null))[1] as last_error
        from transfer where status <> 'confirmed'
      ), states as (
        select ${wrong(
          sql`case status
            when 'owed' then signature is not null or wire is not null or confirmed_at is not null
            when 'signed' then signature is null or wire is null or last_valid_block_height is null or confirmed_at is not null or attempts < 1
            else signature is null or confirmed_at is null end`,
          sql`id`,
          'impossible',
        )} from transfer
      ), early as (
        select ${wrong(sql`true`, sql`transfer_id`, 'early')} from (
          select transfer.id as transfer_id
          from payment join transfer on transfer.status <> 'owed' and (
            (payment.counted and transfer.rental_id = payment.rental_id) or (transfer.kind = 'refund' and transfer.external_id = payment.id)
          )
          where payment.status = 'settled' and payment.finalized_at is null
          union
          select transfer.id
          from payment join earning on earning.rental_id = payment.rental_id join transfer on transfer.id = earning.transfer_id
          where payment.status = 'settled' and payment.counted and payment.finalized_at is null and transfer.status <> 'owed'
        ) gone
      )
      select * from stray, returned, unreturned, statuses, debts, states, early`,
  )
  return {
    unmatched: { count: row.unmatched as bigint, atoms: row.unmatched_atoms as bigint },
    dust: { count: row.dust as bigint, atoms: row.dust_atoms as bigint },
    refunded: { count: row.refunded as bigint, atoms: row.refunded_atoms as bigint },
    waiting: row.waiting as bigint,
    unreturned: wrongFrom(row, 'unreturned'),
    byStatus: (row.by_status as [string, number, string][]).map(([status, count, atoms]) => ({
      status,
      count: BigInt(count),
      atoms: BigInt(atoms),
    })),
    oldestDebtAt: row.oldest as Date | null,
    lastError: row.last_error as string | null,
    impossible: wrongFrom(row, 'impossible'),
    early: wrongFrom(row, 'early'),
  }
}

export type RentalFacts = {
  offers: bigint
  unitsTotal: bigint
  unitsReserved: bigint
  /** R1: units taken that no rental holds, held without being taken, or more than there are. */
  miscounted: Wrong
  waiting: { status: string; count: bigint; oldestAt: Date }[]
  /** R3: requested, though its payment is decided: nothing would ever move it. */
  stuck: Wrong
  meteredSeconds: bigint
  /** M1: more seconds than were paid, or than passed by the market's clock. */
  overmetered: Wrong
}

/** R1, R3 and M1. */
export async function readRentals(tx: Tx, nowMs: number): Promise<RentalFacts> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with taken as (select offer_id, sum(units)::bigint as units from rental where units_held group by offer_id),
      offers as (
        select count(*) as offers, coalesce(sum(units_total), 0)::bigint as total, coalesce(sum(units_reserved), 0)::bigint as reserved,
          ${wrong(sql`units_reserved <> coalesce(taken.units, 0) or units_reserved > units_total`, sql`id`, 'miscounted')}
        from offer left join taken on taken.offer_id = offer.id
      ), waiting as (
        select coalesce(jsonb_agg(jsonb_build_array(status, n, oldest) order by status), '[]') as waiting
        from (
          select status, count(*) as n, min(created_at) as oldest from rental where status not in ('settled', 'expired') group by status
        ) each
      ), stuck as (
        select ${wrong(sql`true`, sql`id`, 'stuck')} from rental
        where status = 'requested' and not exists (
          select from payment where payment.rental_id = rental.id and payment.status in ('claimed', 'submitted')
        )
      ), metered as (
        select coalesce(sum(metered_seconds), 0)::bigint as metered,
          ${wrong(
            sql`metered_seconds > minutes::bigint * 60
              or metered_seconds > coalesce(extract(epoch from coalesce(ended_at, ${new Date(nowMs)}) - started_at), 0)`,
            sql`id`,
            'overmetered',
          )}
        from rental
      )
      select * from offers, waiting, stuck, metered`,
  )
  return {
    offers: row.offers as bigint,
    unitsTotal: row.total as bigint,
    unitsReserved: row.reserved as bigint,
    miscounted: wrongFrom(row, 'miscounted'),
    waiting: (row.waiting as [string, number, string][]).map(([status, count, oldest]) => ({
      status,
      count: BigInt(count),
      oldestAt: new Date(oldest),
    })),
    stuck: wrongFrom(row, 'stuck'),
    meteredSeconds: row.metered as bigint,
    overmetered: wrongFrom(row, 'overmetered'),
  }
}

export type StatementFacts = {
  /** Closed books that rest on a statement, and how many signed records those hold. */
  stated: bigint
  records: bigint
  /** S1: books closed without a good statement of exactly their figures. */
  unstated: Wrong
  /** S1: statements that do not hold; the books of their rentals stay open. */
  refused: Wrong
}

/** S1. */
export async function readStatements(tx: Tx): Promise<StatementFacts> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with closed as (
        select count(*) as stated, coalesce(sum(statement.records), 0)::bigint as records,
          ${wrong(
            sql`statement.root is null or statement.fault is not null
              or (statement.minutes, statement.prepaid_atoms, statement.metered_seconds, statement.started_at, statement.ended_at)
                is distinct from (rental.minutes, rental.prepaid_atoms, rental.metered_seconds, rental.started_at, rental.ended_at)`,
            sql`rental.id`,
            'unstated',
          )}
        from rental left join statement on statement.rental_id = rental.id
        where rental.books_closed_at is not null and rental.usage_version = 2
      ), refused as (
        select ${wrong(sql`true`, sql`rental_id || ' (' || detail || ')'`, 'refused')} from statement where fault is not null
      )
      select * from closed, refused`,
  )
  return {
    stated: row.stated as bigint,
    records: row.records as bigint,
    unstated: wrongFrom(row, 'unstated'),
    refused: wrongFrom(row, 'refused'),
  }
}

export type EventFacts = {
  events: bigint
  rows: bigint
  /** J1: rows whose newest event does not say the status that they have. */
  wrong: Wrong
  /** P3: payments that went a way through their states that does not exist. */
  walked: Wrong
}

/**
 * J1. The events of a row cancel each other but for the last: each adds the fingerprint of where the row came to and takes away that of
 * where it left. So the sum over all events is the sum over all rows as they are now, without a table of a million rows; a difference
 * (also: rows from before there were events) is looked at row by row.
 */
export async function readEvents(tx: Tx): Promise<EventFacts> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with said as (
        select count(*) as events,
          coalesce(sum(hashtextextended(noun_id, hashtext(to_status))), 0)
            - coalesce(sum(hashtextextended(noun_id, hashtext(from_status))) filter (where from_status is not null), 0) as fingerprint,
          ${wrong(
            sql`noun = 'payment' and case when from_status is null then to_status <> 'claimed'
              when from_status = 'settled' then to_status not in ('expired', 'rejected')
              else from_status in ('rejected', 'expired') or to_status = 'claimed' end`,
            sql`noun_id`,
            'walked',
          )}
        from event
      ), thing as (
        select id, status::text as status from rental
        union all select id, status::text from payment
        union all select id, status::text from transfer
        union all select id, status::text from dispute
      )
      select said.*, things.rows, said.fingerprint = things.fingerprint as is_whole
      from said, (select count(*) as rows, coalesce(sum(hashtextextended(id, hashtext(status))), 0) as fingerprint from thing) things`,
  )
  return {
    events: row.events as bigint,
    rows: row.rows as bigint,
    walked: wrongFrom(row, 'walked'),
    wrong: row.is_whole ? none : await findUntold(tx),
  }
}

/** Rows that are not where their newest event says, or of whose way a part is missing. What is older than all events has no beginning. */
async function findUntold(tx: Tx): Promise<Wrong> {
  return findWrong(
    tx,
    sql`
      with first as (select coalesce(min(at), 'infinity') as at from event),
      step as (
        select noun_id, id, from_status, to_status, lag(to_status) over newer as came_from, lead(id) over newer is null as is_newest,
          lag(id) over newer is null as is_first
        from event window newer as (partition by noun_id order by id)
      ), said as (
        select noun_id, max(to_status) filter (where is_newest) as to_status,
          bool_or(from_status is distinct from came_from) filter (where not is_first) as is_broken,
          bool_or(from_status is not null) filter (where is_first) as is_headless
        from step group by noun_id
      ), thing as (
        select id, status::text as status, created_at from rental
        union all select id, status::text, created_at from payment
        union all select id, status::text, created_at from transfer
        union all select id, status::text, opened_at from dispute
      )
      select ${wrong(
        sql`thing.id is null or said.is_broken or (said.to_status is not null and said.to_status <> thing.status)
          or ((said.noun_id is null or said.is_headless) and thing.created_at >= first.at)`,
        sql`coalesce(thing.id, said.noun_id)`,
        'wrong',
      )}
      from thing full join said on said.noun_id = thing.id cross join first`,
  )
}
