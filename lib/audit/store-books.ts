// The audit's questions to the books: what every transaction sums to, and whether every rental's money closes to the atom.
import { type RawBuilder, sql } from 'kysely'
import type { Tx } from '../db/client.ts'
import { findWrong, newSalt, none, oneRow, type Wrong, weighed, weightOf, wrong, wrongFrom } from './store.ts'

export type EntrySums = {
  entries: bigint
  transactions: bigint
  /** L1: ledger transactions that do not sum to zero in a currency. */
  unbalanced: Wrong
}

/**
 * L1. One pass without a table of a million sums: every amount is weighed with what follows from its transaction and its currency. If every
 * transaction sums to zero, so does all that is weighed; only if it does not are the sums taken one by one.
 */
export async function sumTransactions(tx: Tx): Promise<EntrySums> {
  const salt = newSalt()
  const row = await oneRow(
    tx,
    sql<{ entries: bigint; transactions: bigint; isBalanced: boolean }>`
      select rows as entries, (select count(*) from ledger_transaction) as transactions, one = 0 and other = 0 as "isBalanced"
      from (${weighed(sql`select ${weightOf(salt, sql`currency`, sql`transaction_id`)} as weight, amount_atoms as atoms from ledger_entry`)}) all_entries`,
  )
  return { entries: row.entries, transactions: row.transactions, unbalanced: row.isBalanced ? none : await findUnbalanced(tx) }
}

async function findUnbalanced(tx: Tx): Promise<Wrong> {
  const unbalanced = await findWrong(
    tx,
    sql`
      select ${wrong(sql`total <> 0`, sql`transaction_id`, 'wrong')}
      from (select transaction_id, sum(amount_atoms) as total from ledger_entry group by transaction_id, currency) each`,
  )
  if (unbalanced.count === 0n) throw new Error('the weighed entries and the sums of the transactions contradict each other')
  return unbalanced
}

export type BookSums = {
  settledPayments: bigint
  /** P1: settled without exactly its charge, or charged without being settled (and not reversed). */
  charges: Wrong
  movements: bigint
  movedAtoms: bigint
  /** L8: movements of the escrow that the books show with another amount or not at all. */
  misbooked: Wrong
  /** L8: left the escrow without our doing. */
  unexplained: Wrong
  /** L8: booked, and not yet seen on a finalized block. */
  unseen: bigint
  confirmedTransfers: bigint
  /** P6: confirmed without exactly its posting, or posted without being confirmed. */
  transfers: Wrong
}

/** What each posting moved in or out of the escrow. */
const postedSql = sql`
  select booked.kind, booked.external_id, booked.signature, each.escrow
  from (select transaction_id, sum(amount_atoms)::bigint as escrow from ledger_entry where account = 'escrow' group by transaction_id) each
  join ledger_transaction booked on booked.id = each.transaction_id`
/** Movements that are final, and of which the books must say the same. */
const isBookedSql = sql`slot is not null and fate in ('payment', 'transfer', 'unmatched', 'dust')`

/**
 * Everything that the books say of the escrow, held against payments, transfers and everything that touched the escrow. Both sides are
 * weighed with their ids, kinds and signatures. What weighs the same is the same, row by row; only what does not is held against each other
 * one by one, and may still be right: a payment that a fork took back under another signature.
 */
export async function sumEscrowPostings(tx: Tx): Promise<BookSums> {
  const salt = newSalt()
  const key = (...texts: RawBuilder<unknown>[]) => weightOf(salt, ...texts)
  const [kind, externalId, id, signature] = [sql`kind::text`, sql`external_id`, sql`id`, sql`signature`]
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with posted as materialized (${postedSql}
      ), unseen as materialized (
        select signature, sum(posted.escrow)::bigint as escrow
        from escrow_movement join posted using (signature) where slot is null group by signature
      ), moved as (
        select count(*) filter (where slot is not null) as movements,
          coalesce(sum(delta_atoms) filter (where slot is not null), 0)::bigint as atoms,
          ${wrong(sql`fate = 'unexplained'`, sql`signature`, 'unexplained')}
        from escrow_movement
      ), charged as (${weighed(sql`
        select ${key(externalId, signature)} as weight, escrow as atoms from posted where kind in ('charge', 'reversal')`)}
      ), paid as (${weighed(sql`
        select ${key(id, signature)} as weight, amount_atoms as atoms from payment where status = 'settled'`)}
      ), sent as (${weighed(sql`
        select ${key(externalId, signature, kind)} as weight, -escrow as atoms from posted where kind in ('payout', 'fee', 'refund')`)}
      ), confirmed as (${weighed(sql`
        select ${key(id, signature, kind)} as weight, amount_atoms as atoms from transfer where status = 'confirmed'`)}
      ), said as (${weighed(sql`
        select ${key(signature)} as weight, escrow as atoms from posted where signature is not null`)}
      ), seen as (${weighed(sql`
        select ${key(signature)} as weight, delta_atoms as atoms from escrow_movement where ${isBookedSql}
        union all select ${key(signature)}, escrow from unseen`)}
      )
      select moved.*, (select count(*) from unseen where escrow <> 0) as unseen, paid.rows as settled, confirmed.rows as confirmed,
        (charged.one, charged.other) = (paid.one, paid.other) as is_charged,
        (sent.one, sent.other) = (confirmed.one, confirmed.other) as is_sent,
        (said.one, said.other) = (seen.one, seen.other) as is_booked
      from moved, charged, paid, sent, confirmed, said, seen`,
  )
  return {
    settledPayments: row.settled as bigint,
    charges: row.is_charged ? none : await findInPosted(tx, wrongCharges),
    movements: row.movements as bigint,
    movedAtoms: row.atoms as bigint,
    misbooked: row.is_booked ? none : await findInPosted(tx, wrongMovements),
    unexplained: wrongFrom(row, 'unexplained'),
    unseen: row.unseen as bigint,
    confirmedTransfers: row.confirmed as bigint,
    transfers: row.is_sent ? none : await findInPosted(tx, wrongTransfers),
  }
}

const findInPosted = (tx: Tx, comparison: RawBuilder<unknown>): Promise<Wrong> =>
  findWrong(tx, sql`with posted as materialized (${postedSql}) ${comparison}`)

const wrongCharges = sql`
  select ${wrong(
    sql`case when payment.status = 'settled'
      then charge.escrow is distinct from payment.amount_atoms or charge.signature is distinct from payment.signature or reversal.escrow is not null
      else charge.escrow is not null and reversal.escrow is distinct from -charge.escrow end`,
    sql`coalesce(payment.id, charge.external_id)`,
    'wrong',
  )}
  from payment
  full join (select * from posted where kind = 'charge') charge on charge.external_id = payment.id
  left join (select * from posted where kind = 'reversal') reversal on reversal.external_id = coalesce(payment.id, charge.external_id)`

const wrongTransfers = sql`
  select ${wrong(
    sql`case when transfer.status = 'confirmed'
      then paid.escrow is distinct from -transfer.amount_atoms or paid.signature is distinct from transfer.signature or paid.kind <> transfer.kind::text
      else paid.escrow is not null end`,
    sql`coalesce(transfer.id, paid.external_id)`,
    'wrong',
  )}
  from transfer
  full join (select * from posted where kind in ('payout', 'fee', 'refund')) paid on paid.external_id = transfer.id`

const wrongMovements = sql`
  select ${wrong(sql`booked.escrow is distinct from movement.delta_atoms`, sql`movement.signature`, 'wrong')}
  from (select signature, delta_atoms from escrow_movement where ${isBookedSql}) movement
  left join (
    select signature, sum(escrow)::bigint as escrow from posted where signature is not null group by signature
  ) booked using (signature)`

/** The seconds that are billed: nothing before it ran, at least a minute once it did, never more than was paid for. */
const billedSecondsSql = sql`case when started_at is null then 0 else least(greatest(metered_seconds, 60), minutes * 60) end`
/** floor(units x price x billed seconds / 3600), at most what was prepaid. In numeric: no product is too large for it. */
export const chargeSql = sql`least(div(units::numeric * price_atoms_per_hour * (${billedSecondsSql}), 3600), prepaid_atoms)`
/** floor(charge x basis points / 10000), of a column `charge`. */
export const feeSql = sql`div(charge * fee_bps, 10000)`

export type RentalSums = {
  currencies: { currency: string; atoms: string }[]
  accounts: Record<'escrow' | 'held' | 'provider' | 'fee' | 'refund' | 'unmatched' | 'disputed' | 'capital', bigint>
  subjects: bigint
  wrongSide: Wrong
  rentals: bigint
  closed: bigint
  paidAtoms: bigint
  chargedAtoms: bigint
  refundedAtoms: bigint
  payoutAtoms: bigint
  feeAtoms: bigint
  /** L5: paid, and what became of it by the entries alone, against the rental and its settled payments. */
  unclosed: Wrong
  /** L6: refunded + charged = paid, and the entries say the same. */
  misdivided: Wrong
  /** L7: charge, fee and payout against the metered seconds. */
  mischarged: Wrong
}

/** One pass over the entries by subject, held against every rental and its payments. */
export async function sumRentals(tx: Tx): Promise<RentalSums> {
  const row = await oneRow(
    tx,
    sql<Record<string, unknown>>`
      with each as materialized (
        select subject, currency, sum(amount_atoms)::bigint as total,
          coalesce(sum(amount_atoms) filter (where account = 'escrow'), 0)::bigint as escrow,
          coalesce(sum(amount_atoms) filter (where account = 'escrow' and amount_atoms > 0), 0)::bigint as came,
          coalesce(sum(amount_atoms) filter (where account = 'held'), 0)::bigint as held,
          coalesce(sum(amount_atoms) filter (where account = 'provider'), 0)::bigint as provider,
          coalesce(sum(amount_atoms) filter (where account = 'provider' and amount_atoms < 0), 0)::bigint as earned,
          coalesce(sum(amount_atoms) filter (where account = 'fee'), 0)::bigint as fee,
          coalesce(sum(amount_atoms) filter (where account = 'fee' and amount_atoms < 0), 0)::bigint as kept,
          coalesce(sum(amount_atoms) filter (where account = 'refund'), 0)::bigint as refund,
          coalesce(sum(amount_atoms) filter (where account = 'refund' and amount_atoms < 0), 0)::bigint as returned,
          coalesce(sum(amount_atoms) filter (where account = 'disputed'), 0)::bigint as disputed,
          coalesce(sum(amount_atoms) filter (where account = 'unmatched'), 0)::bigint as unmatched,
          coalesce(sum(amount_atoms) filter (where account = 'capital'), 0)::bigint as capital
        from ledger_entry group by subject, currency
      ), accounts as (
        select count(*) as subjects, coalesce(sum(escrow), 0)::bigint as escrow, coalesce(sum(held), 0)::bigint as held,
          coalesce(sum(provider), 0)::bigint as provider, coalesce(sum(fee), 0)::bigint as fee, coalesce(sum(refund), 0)::bigint as refund,
          coalesce(sum(disputed), 0)::bigint as disputed, coalesce(sum(unmatched), 0)::bigint as unmatched,
          coalesce(sum(capital), 0)::bigint as capital,
          ${wrong(sql`escrow < 0 or greatest(held, provider, fee, refund, disputed, unmatched, capital) > 0`, sql`subject`, 'wrong_side')}
        from each
      ), currencies as (
        select coalesce(jsonb_object_agg(currency, total), '{}') as totals
        from (select currency, sum(total)::text as total from each group by currency) each_currency
      ), paid as (
        select rental_id, sum(amount_atoms)::bigint as atoms from payment where status = 'settled' and counted group by rental_id
      ), undone as (
        -- A fork took a charge back, or (before 0002) a payment that came too late was owed back out of what was held.
        select rental_id, sum(entry.amount_atoms)::bigint as atoms,
          coalesce(sum(entry.amount_atoms) filter (where kind = 'unmatched'), 0)::bigint as late
        from ledger_transaction join ledger_entry entry on entry.transaction_id = ledger_transaction.id and entry.account = 'held'
        where kind in ('reversal', 'unmatched') and rental_id is not null group by rental_id
      ), book as (
        select rental.id, rental.books_closed_at is not null as is_closed, rental.prepaid_atoms, rental.charged_atoms, rental.refund_atoms,
          rental.payout_atoms, rental.fee_atoms, rental.fee_bps, coalesce(each.total, 0) as total, coalesce(each.held, 0) as held,
          coalesce(each.came, 0) as came, coalesce(each.earned, 0) as earned, coalesce(each.kept, 0) as kept,
          coalesce(each.returned, 0) as returned, coalesce(paid.atoms, 0) as paid, coalesce(undone.atoms, 0) as undone,
          coalesce(undone.late, 0) as late,
          coalesce(dispute.refunded_atoms, 0) as dispute_refunded, coalesce(dispute.returned_atoms, 0) as dispute_returned,
          case when rental.books_closed_at is not null then ${chargeSql} end as charge
        from rental
        left join each on each.subject = rental.id and each.currency = rental.currency
        left join paid on paid.rental_id = rental.id
        left join undone on undone.rental_id = rental.id
        left join dispute on dispute.rental_id = rental.id
        offset 0
      ), judged as (
        select *,
          total <> 0 or came - undone <> paid or prepaid_atoms <> paid or held <> case when is_closed then 0 else -paid end as is_unclosed,
          is_closed and (charged_atoms + refund_atoms <> prepaid_atoms or charged_atoms < 0 or charged_atoms > prepaid_atoms
            or -returned - dispute_refunded - late <> refund_atoms or -earned - dispute_returned - kept <> charged_atoms) as is_misdivided,
          is_closed and (charged_atoms <> charge or fee_atoms <> ${feeSql} or payout_atoms <> charge - fee_atoms or -kept <> fee_atoms)
            as is_mischarged
        from book offset 0
      ), books as (
        select count(*) as rentals, count(*) filter (where is_closed) as closed, coalesce(sum(paid), 0)::bigint as paid_atoms,
          coalesce(sum(charged_atoms), 0)::bigint as charged_atoms, coalesce(sum(refund_atoms), 0)::bigint as refunded_atoms,
          coalesce(sum(payout_atoms), 0)::bigint as payout_atoms, coalesce(sum(fee_atoms), 0)::bigint as fee_atoms,
          ${wrong(sql`is_unclosed`, sql`id`, 'unclosed')}, ${wrong(sql`is_misdivided`, sql`id`, 'misdivided')},
          ${wrong(sql`is_mischarged`, sql`id`, 'mischarged')}
        from judged
      )
      select * from accounts, currencies, books`,
  )
  const names = ['escrow', 'held', 'provider', 'fee', 'refund', 'unmatched', 'disputed', 'capital'] as const
  return {
    currencies: Object.entries(row.totals as Record<string, string>).map(([currency, atoms]) => ({ currency, atoms })),
    accounts: Object.fromEntries(names.map((name) => [name, row[name] as bigint])) as RentalSums['accounts'],
    subjects: row.subjects as bigint,
    wrongSide: wrongFrom(row, 'wrong_side'),
    rentals: row.rentals as bigint,
    closed: row.closed as bigint,
    paidAtoms: row.paid_atoms as bigint,
    chargedAtoms: row.charged_atoms as bigint,
    refundedAtoms: row.refunded_atoms as bigint,
    payoutAtoms: row.payout_atoms as bigint,
    feeAtoms: row.fee_atoms as bigint,
    unclosed: wrongFrom(row, 'unclosed'),
    misdivided: wrongFrom(row, 'misdivided'),
    mischarged: wrongFrom(row, 'mischarged'),
  }
}
