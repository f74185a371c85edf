// Completing in SQL: one statement, and so one transaction, settles a payment, books it and gives the rental what was bought.
import { newId } from '@flow402/protocol/id'
import { moves } from '@flow402/protocol/rental'
import { type Db, inOneStatement, prepare } from '../db/client.ts'
import { transferIdFor } from './store-transfers.ts'

/**
 * What became of a completion. settled: now, by this call. decided: the payment, or its rental, was not there to be completed any more.
 * given_back: its transaction was booked as something else before, which stands. The last two wrote nothing.
 */
export type Completed = 'settled' | 'decided' | 'given_back'

// Rows are locked before anything is written, so that it is all or nothing: the rental (whoever decides a payment locks its rental first),
// then the payment; then the movement, which exists once per chain transaction. `counted` is false for minutes that came too late.
const complete = prepare<
  { paymentId: string; rentalId: string; signature: string; payer: string; bookedAs: string; oweAs: string; now: Date },
  { was_mine: boolean; was_free: boolean }
>(
  'complete_payment',
  `with before as materialized (
    select id, status, paid_until from rental where id = :rentalId for update
  ), mine as materialized (
    select payment.id, payment.kind = 'rent' or (before.status = 'running' and before.paid_until > :now::timestamptz) as counted
    from before join payment on payment.rental_id = before.id
    where payment.id = :paymentId and payment.status in ('claimed', 'submitted') and (payment.kind = 'extend' or before.status = 'requested')
    for update of payment
  ), moved as (
    insert into escrow_movement (signature, fate, external_id, delta_atoms, memo, created_at)
    select :signature, 'payment', payment.id, payment.amount_atoms, payment.id, :now::timestamptz from mine join payment using (id)
    on conflict (signature) do update set fate = 'payment', external_id = excluded.external_id where escrow_movement.fate = 'waiting'
    returning external_id as payment_id, slot is not null as is_final
  ), settled as (
    update payment set status = 'settled', signature = :signature, payer = :payer, counted = mine.counted, settled_at = :now::timestamptz,
      finalized_at = case when moved.is_final then :now::timestamptz end, work_token = null, work_until = null, last_error = null
    from mine join moved on moved.payment_id = mine.id
    where payment.id = mine.id
    returning payment.*
  ), booked as (
    insert into ledger_transaction (id, kind, external_id, rental_id, signature, created_at)
    select :bookedAs, 'charge', id, rental_id, signature, settled_at from settled
    returning id
  ), entered as (
    insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
    select booked.id, side.account, case when settled.counted then settled.rental_id else settled.id end, settled.currency, side.atoms
    from booked, settled,
      lateral (values ('escrow', amount_atoms), (case when counted then 'held' else 'unmatched' end, -amount_atoms)) side (account, atoms)
  ), ended as (
    insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
    select 'charge', settled.id, 'posted', booked.id, settled.settled_at from settled, booked
  ), opened as (
    update rental set status = '${moves.requested.pay}', prepaid_atoms = settled.amount_atoms, paid_at = settled.settled_at, payer = settled.payer
    from settled where rental.id = settled.rental_id and settled.kind = 'rent'
  ), extended as (
    update rental set minutes = rental.minutes + settled.minutes, prepaid_atoms = rental.prepaid_atoms + settled.amount_atoms,
      paid_until = rental.paid_until + settled.minutes * interval '1 minute', revision = rental.revision + 1
    from settled where rental.id = settled.rental_id and settled.kind = 'extend' and settled.counted
  ), owed as (
    insert into transfer (id, rental_id, kind, external_id, destination, amount_atoms, currency, created_at)
    select :oweAs, null, 'refund', id, payer, amount_atoms, currency, settled_at from settled where not counted and finalized_at is not null
  )
  select exists (select from mine) as was_mine, exists (select from settled) as was_free`,
)

/** Settles an undecided payment that landed as `signature`. Late minutes that are final already are owed back at once. */
export async function completePayment(
  db: Db,
  payment: { id: string; rentalId: string },
  landed: { signature: string; payer: string },
  nowMs: number,
): Promise<Completed> {
  const [row] = await inOneStatement(() =>
    complete(db, {
      ...landed,
      paymentId: payment.id,
      rentalId: payment.rentalId,
      bookedAs: newId('ledgerTransaction', nowMs),
      oweAs: transferIdFor('refund', payment.id),
      now: new Date(nowMs),
    }),
  )
  if (!row?.was_mine) return 'decided'
  return row.was_free ? 'settled' : 'given_back'
}
