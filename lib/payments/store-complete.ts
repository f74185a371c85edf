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

type Values = { paymentId: string; rentalId: string; signature: string; payer: string; bookedAs: string; now: Date }
type Row = { was_mine: boolean; was_free: boolean }

/**
 * The statement for a payment of a `kind`. Of its locked rental (`before`) `mayPay` says whether the payment can be decided at all, and
 * `counted` whether it comes in time; `bought` is the CTEs that write what a `settled` payment changes beside the books.
 * Rows are locked before anything is written, so that it is all or nothing: the rental (whoever decides a payment locks its rental first),
 * then the payment; then the movement, which exists once per chain transaction. The payment is guarded by "not in" because the planner
 * would read the whole index of undecided payments for "in ('claimed', 'submitted')" instead of the one row.
 */
const completeFor = <More extends Record<string, unknown>>(
  kind: 'rent' | 'extend',
  { mayPay, counted, bought }: { mayPay: string; counted: string; bought: string },
) =>
  prepare<Values & More, Row>(
    `complete_${kind}`,
    `with before as materialized (
      select id, status, paid_until from rental where id = :rentalId for no key update
    ), mine as materialized (
      select payment.id, payment.amount_atoms, ${counted} as counted
      from before join payment on payment.rental_id = before.id
      where payment.id = :paymentId and payment.kind = '${kind}' and payment.status not in ('settled', 'rejected', 'expired') and ${mayPay}
      for no key update of payment
    ), moved as (
      insert into escrow_movement (signature, fate, external_id, delta_atoms, memo, created_at)
      select :signature, 'payment', id, amount_atoms, id, :now::timestamptz from mine
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
    ), entered as (
      insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
      select :bookedAs, side.account, case when counted then rental_id else id end, currency, side.atoms
      from settled, lateral (values ('escrow', amount_atoms), (case when counted then 'held' else 'unmatched' end, -amount_atoms)) side (account, atoms)
    ), ended as (
      insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
      select 'charge', id, 'posted', :bookedAs, settled_at from settled
    ), ${bought}
    select exists (select from mine) as was_mine, exists (select from settled) as was_free`,
  )

const completeRent = completeFor('rent', {
  mayPay: `before.status = 'requested'`,
  counted: 'true',
  bought: `opened as (
      update rental set status = '${moves.requested.pay}', prepaid_atoms = settled.amount_atoms, paid_at = settled.settled_at,
        payer = settled.payer
      from settled where rental.id = settled.rental_id and rental.status = 'requested'
    )`,
})

// Minutes that come after the rental is over buy nothing, and are owed back once they are final.
const completeExtension = completeFor<{ oweAs: string }>('extend', {
  mayPay: 'true',
  counted: `before.status = 'running' and before.paid_until > :now::timestamptz`,
  bought: `extended as (
      update rental set minutes = rental.minutes + settled.minutes, prepaid_atoms = rental.prepaid_atoms + settled.amount_atoms,
        paid_until = rental.paid_until + settled.minutes * interval '1 minute', revision = rental.revision + 1
      from settled where rental.id = settled.rental_id and settled.counted
    ), owed as (
      insert into transfer (id, rental_id, kind, external_id, destination, amount_atoms, currency, created_at)
      select :oweAs, null, 'refund', id, payer, amount_atoms, currency, settled_at from settled where not counted and finalized_at is not null
    )`,
})

/** Settles an undecided payment that landed as `signature`. Late minutes that are final already are owed back at once. */
export async function completePayment(
  db: Db,
  payment: { id: string; rentalId: string; kind: 'rent' | 'extend' },
  landed: { signature: string; payer: string },
  nowMs: number,
): Promise<Completed> {
  const { id: paymentId, rentalId, kind } = payment
  const { signature, payer } = landed
  const values = { paymentId, rentalId, signature, payer, bookedAs: newId('ledgerTransaction', nowMs), now: new Date(nowMs) }
  const [row] = await inOneStatement(() =>
    kind === 'rent' ? completeRent(db, values) : completeExtension(db, { ...values, oweAs: transferIdFor('refund', paymentId) }),
  )
  if (!row?.was_mine) return 'decided'
  return row.was_free ? 'settled' : 'given_back'
}
