// Completing in SQL: one statement, and so one transaction, settles a payment, books it and gives the rental what was bought.
import { newId } from '@flow402/protocol/id'
import { moves } from '@flow402/protocol/rental'
import type { Db } from '../db/client.ts'
import { gather } from '../db/gather.ts'
import { transferIdFor } from './store-transfers.ts'

/**
 * What became of a completion. settled: now, by this call. decided: the payment, or its rental, was not there to be completed any more.
 * given_back: its transaction was booked as something else before, which stands. The last two wrote nothing.
 */
export type Completed = 'settled' | 'decided' | 'given_back'

type Values = { paymentId: string; rentalId: string; signature: string; payer: string; bookedAs: string; oweAs: string | null; now: Date }
type Row = { was_mine: boolean; was_free: boolean }

/**
 * The statement for payments of a `kind`. Of its locked rental (`before`) `mayPay` says whether a payment can be decided at all, and
 * `counted` whether it comes in time; `bought` is the CTEs that write what `settled` payments change beside the books.
 * Rows are locked before anything is written, so that it is all or nothing: the rentals, in one order (whoever decides a payment locks its
 * rental first), then the payments; then the movements, each of which exists once per chain transaction. Payments are guarded by "not in"
 * because the planner would read the whole index of undecided payments for "in ('claimed', 'submitted')" instead of the few rows.
 */
const completeFor = (kind: 'rent' | 'extend', { mayPay, counted, bought }: { mayPay: string; counted: string; bought: string }) =>
  gather<Values, Row>(`complete_${kind}`, {
    key: 'rentalId',
    columns: {
      paymentId: 'text',
      rentalId: 'text',
      signature: 'text',
      payer: 'text',
      bookedAs: 'text',
      oweAs: 'text',
      now: 'timestamptz',
    },
    text: `before as materialized (
      select id, status, paid_until from rental where id in (select rental_id from asked) order by id for no key update
    ), mine as materialized (
      select asked.*, payment.amount_atoms, ${counted} as counted
      from asked join before on before.id = asked.rental_id
      join payment on payment.id = asked.payment_id and payment.rental_id = before.id
      where payment.kind = '${kind}' and payment.status not in ('settled', 'rejected', 'expired') and ${mayPay}
      for no key update of payment
    ), moved as (
      insert into escrow_movement (signature, fate, external_id, delta_atoms, memo, created_at)
      select signature, 'payment', payment_id, amount_atoms, payment_id, now from mine
      on conflict (signature) do update set fate = 'payment', external_id = excluded.external_id where escrow_movement.fate = 'waiting'
      returning external_id as payment_id, slot is not null as is_final
    ), settled as (
      update payment set status = 'settled', signature = mine.signature, payer = mine.payer, counted = mine.counted, settled_at = mine.now,
        finalized_at = case when moved.is_final then mine.now end, work_token = null, work_until = null, last_error = null
      from mine join moved on moved.payment_id = mine.payment_id
      where payment.id = mine.payment_id
      returning payment.*, mine.booked_as, mine.owe_as
    ), booked as (
      insert into ledger_transaction (id, kind, external_id, rental_id, signature, created_at)
      select booked_as, 'charge', id, rental_id, signature, settled_at from settled
    ), entered as (
      insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
      select booked_as, side.account, case when counted then rental_id else id end, currency, side.atoms
      from settled, lateral (values ('escrow', amount_atoms), (case when counted then 'held' else 'unmatched' end, -amount_atoms)) side (account, atoms)
    ), ended as (
      insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
      select 'charge', id, 'posted', booked_as, settled_at from settled
    ), ${bought}
    select asked.nth, mine.nth is not null as was_mine, settled.id is not null as was_free
    from asked left join mine on mine.nth = asked.nth left join settled on settled.id = mine.payment_id`,
  })

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
const completeExtension = completeFor('extend', {
  mayPay: 'true',
  counted: `before.status = 'running' and before.paid_until > asked.now`,
  bought: `extended as (
      update rental set minutes = rental.minutes + settled.minutes, prepaid_atoms = rental.prepaid_atoms + settled.amount_atoms,
        paid_until = rental.paid_until + settled.minutes * interval '1 minute', revision = rental.revision + 1
      from settled where rental.id = settled.rental_id and settled.counted
    ), owed as (
      insert into transfer (id, rental_id, kind, external_id, destination, amount_atoms, currency, created_at)
      select owe_as, null, 'refund', id, payer, amount_atoms, currency, settled_at from settled where not counted and finalized_at is not null
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
  const row =
    kind === 'rent'
      ? await completeRent(db, { ...values, oweAs: null })
      : await completeExtension(db, { ...values, oweAs: transferIdFor('refund', paymentId) })
  if (!row?.was_mine) return 'decided'
  return row.was_free ? 'settled' : 'given_back'
}
