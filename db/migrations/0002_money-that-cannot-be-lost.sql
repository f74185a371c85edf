-- Up Migration
-- (There is no way back: the books are append-only, and leaving this schema would lose some of them.)
-- Money that cannot be lost: two-phase holds, earnings and their payouts, everything the escrow saw, events, disputes, remembered answers.

alter type end_reason add value 'payment_reversed';

-- The application works as this role: it may add to the books and never change them. Migrations run as the owner.
do $$
begin
  if not exists (select from pg_roles where rolname = 'flow402_app') then
    create role flow402_app nologin;
  end if;
  if not pg_has_role(current_user, 'flow402_app', 'member') then
    execute format('grant flow402_app to %I', current_user);
  end if;
exception
  -- Another database of the same cluster was migrated at the same moment.
  when duplicate_object or unique_violation then null;
  when insufficient_privilege then
    raise exception 'the role flow402_app is missing or not ours'
      using hint = format('let an administrator run: create role flow402_app nologin; grant flow402_app to %I', current_user);
end $$;

-- Payments: where the chain's last word stands, and the client's own name for a payment.
alter table payment
  -- settled on a finalized block: only then may money that it brought leave again
  add column finalized_at timestamptz,
  -- x402 payment-identifier: the client's key against paying twice
  add column identifier text unique;
create index payment_not_final on payment (settled_at) where status = 'settled' and finalized_at is null;

-- Whose money an entry is about: a rental, the signature of a receipt that matched nothing, or the market itself.
alter table ledger_entry drop constraint ledger_entry_rental_id_fkey;
alter table ledger_entry rename column rental_id to subject;
alter index ledger_entry_by_rental rename to ledger_entry_by_subject;
alter table ledger_transaction alter column rental_id drop not null;
alter table ledger_transaction drop constraint ledger_transaction_kind_check;
alter table ledger_transaction add constraint ledger_transaction_kind_check check (
  kind in ('opening', 'charge', 'settle', 'payout', 'fee', 'refund', 'unmatched', 'reversal', 'dispute_open', 'dispute_close')
);

-- debit: what we have, never below zero. credit: what we owe, never above zero.
alter table ledger_account add column side text not null default 'credit' check (side in ('debit', 'credit'));
update ledger_account set side = 'debit' where code = 'escrow';
insert into ledger_account (code, title) values
  ('unmatched', 'Received for nothing that was ever asked for; refunded'),
  ('disputed', 'Earned by providers, held until a dispute is decided'),
  ('capital', 'The market''s own money in the escrow');

-- Each entry is of a transaction that is there, each transaction sums to zero per currency, and no account of a subject is ever on its wrong
-- side. Entries of one transaction come in one statement, so one check per statement holds it for however many are added at once. Foreign
-- keys would ask row by row, and lock the few accounts that everybody writes to; neither transactions nor accounts can ever be deleted.
drop trigger ledger_entry_balances on ledger_entry;
drop function ledger_transaction_balances;
alter table ledger_entry drop constraint ledger_entry_transaction_id_fkey, drop constraint ledger_entry_account_fkey;
create domain ledger_account_code as text
  check (value in ('escrow', 'held', 'provider', 'fee', 'refund', 'unmatched', 'disputed', 'capital'));
alter table ledger_entry alter column account type ledger_account_code;
-- One index serves both: the entries of a transaction, and each entry's own key.
drop index ledger_entry_by_transaction;
alter table ledger_entry drop constraint ledger_entry_pkey, add primary key (transaction_id, id);
create function ledger_entries_balance() returns trigger language plpgsql as $$
declare
  wrong text;
  is_missing boolean;
begin
  select each.transaction_id, booked.id is null into wrong, is_missing
  from (select transaction_id, sum(amount_atoms) as total from added group by transaction_id, currency) each
  left join ledger_transaction booked on booked.id = each.transaction_id
  where each.total <> 0 or booked.id is null
  limit 1;
  if is_missing then
    raise exception 'ledger transaction % does not exist', wrong using errcode = 'foreign_key_violation';
  elsif wrong is not null then
    raise exception 'ledger transaction % does not sum to zero', wrong using errcode = 'check_violation';
  end if;
  select touched.account || ' of ' || touched.subject into wrong
  from (
    select account, subject, currency, bool_or(amount_atoms < 0) as falls, bool_or(amount_atoms > 0) as rises
    from added group by account, subject, currency
  ) touched
  join ledger_account on ledger_account.code = touched.account
  -- Only what moved towards the wrong side can have arrived there.
  where case ledger_account.side when 'debit' then touched.falls else touched.rises end
    and (
      select sum(amount_atoms) * case ledger_account.side when 'debit' then 1 else -1 end
      from ledger_entry
      where ledger_entry.subject = touched.subject and ledger_entry.account = touched.account and ledger_entry.currency = touched.currency
    ) < 0
  limit 1;
  if wrong is not null then
    raise exception 'the ledger would owe less than nothing: %', wrong using errcode = 'check_violation';
  end if;
  return null;
end $$;
create trigger ledger_entry_balances after insert on ledger_entry
  referencing new table as added for each statement execute function ledger_entries_balance();

-- Two-phase: money that is about to move is held first; then the hold ends once, posted with its transaction or voided.
create table ledger_hold (
  kind text not null check (kind in ('charge', 'payout', 'fee', 'refund')),
  external_id text not null,
  subject text not null,
  debit ledger_account_code not null,
  credit ledger_account_code not null,
  currency text not null,
  amount_atoms bigint not null check (amount_atoms > 0),
  created_at timestamptz not null,
  primary key (kind, external_id)
);
create index ledger_hold_out_by_time on ledger_hold (created_at) where kind <> 'charge';
create table ledger_hold_end (
  kind text not null,
  external_id text not null,
  outcome text not null check (outcome in ('posted', 'voided')),
  transaction_id text references ledger_transaction (id),
  created_at timestamptz not null,
  primary key (kind, external_id),
  foreign key (kind, external_id) references ledger_hold (kind, external_id),
  constraint ledger_hold_end_is_one check ((outcome = 'posted') = (transaction_id is not null))
);
create trigger ledger_hold_insert_only before update or delete or truncate on ledger_hold
  for each statement execute function insert_only();
create trigger ledger_hold_end_insert_only before update or delete or truncate on ledger_hold_end
  for each statement execute function insert_only();

-- What was claimed, signed or booked before this migration gets its holds too.
insert into ledger_hold (kind, external_id, subject, debit, credit, currency, amount_atoms, created_at)
select 'charge', id, rental_id, 'escrow', 'held', currency, amount_atoms, created_at from payment
union all
select kind::text, id || ':' || attempts, id, case kind when 'payout' then 'provider' else kind::text end, 'escrow', currency,
  amount_atoms, created_at
from transfer where status <> 'owed';
insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
select 'charge', payment.id, case when booked.id is null then 'voided' else 'posted' end, booked.id, payment.created_at
from payment left join ledger_transaction booked on booked.kind = 'charge' and booked.external_id = payment.id
where payment.status not in ('claimed', 'submitted')
union all
select booked.kind, transfer.id || ':' || transfer.attempts, 'posted', booked.id, booked.created_at
from transfer join ledger_transaction booked on booked.kind = transfer.kind::text and booked.external_id = transfer.id;

-- Payouts: when and from what sum on the provider wants its money, and what it earned with each rental.
alter table node
  add column payout_min_atoms bigint not null default 0 check (payout_min_atoms >= 0),
  add column payout_interval_seconds integer not null default 0 check (payout_interval_seconds >= 0),
  add column last_payout_at timestamptz;
-- A payout may be for many rentals; the refund of a receipt that matched nothing is for none.
alter table transfer alter column rental_id drop not null;
create index transfer_by_destination on transfer (destination) where status = 'confirmed';
create table earning (
  -- the rental, or the dispute that gave a part back
  external_id text primary key,
  rental_id text not null references rental (id),
  node_id text not null references node (id),
  payout_address text not null,
  currency text not null,
  amount_atoms bigint not null check (amount_atoms > 0),
  -- the part that a dispute took: it never leaves with this earning
  disputed_atoms bigint not null default 0,
  payable_at timestamptz not null,
  transfer_id text references transfer (id),
  created_at timestamptz not null,
  constraint earning_disputed check (disputed_atoms between 0 and amount_atoms)
);
create index earning_unpaid on earning (node_id, payable_at) where transfer_id is null;
create index earning_by_transfer on earning (transfer_id) where transfer_id is not null;
create index earning_by_rental on earning (rental_id);

-- Rentals whose books can be closed now, in the order of their ends.
create index rental_to_close on rental (ended_at) where status = 'ending' and usage_closed_at is not null and books_closed_at is null;

-- Rentals whose books closed before this migration were promised one transfer each.
insert into earning (external_id, rental_id, node_id, payout_address, currency, amount_atoms, payable_at, transfer_id, created_at)
select transfer.external_id, rental.id, rental.node_id, transfer.destination, transfer.currency, transfer.amount_atoms, transfer.created_at,
  transfer.id, transfer.created_at
from transfer join rental on rental.id = transfer.rental_id where transfer.kind = 'payout';

-- Everything that touched the escrow's token account, once, and what it was. The signature is the claim: who adds it says what it is.
create table escrow_movement (
  signature text primary key,
  -- payment and transfer: ours, booked. waiting: may still be claimed. unmatched: booked and given back. dust: booked, too small to give back.
  -- failed: moved nothing. unexplained: left the escrow without our doing.
  fate text not null check (fate in ('payment', 'transfer', 'waiting', 'unmatched', 'dust', 'failed', 'unexplained')),
  external_id text,
  delta_atoms bigint not null,
  memo text,
  counterparty text,
  -- what our own fee payer paid for it
  fee_lamports bigint not null default 0,
  -- set once it is seen at finalized commitment
  slot bigint,
  landed_at timestamptz,
  created_at timestamptz not null
);
create index escrow_movement_waiting on escrow_movement (created_at) where fate = 'waiting';
create index escrow_movement_by_slot on escrow_movement (slot);
create index escrow_movement_by_time on escrow_movement (landed_at);
create index escrow_movement_by_memo on escrow_movement (memo) where memo is not null;

-- Where the reading of the escrow's history stands. A pass goes from the newest back to where the last pass began.
create table escrow_scan (
  id boolean primary key default true check (id),
  opened_at timestamptz not null,
  -- what the escrow held before this market: the market's own
  opening_atoms bigint,
  done_to text,
  pass_top text,
  pass_before text,
  -- when a pass last reached its end: nothing is sent on the word of books that the chain has not been held against for long
  completed_at timestamptz,
  work_token text,
  work_until timestamptz
);
insert into escrow_scan (opened_at) values (coalesce((select min(created_at) from payment), now()) - interval '1 minute');

-- Each comparison of the escrow's balance on chain with the books. The newest one decides whether payouts go out.
create table reserve_check (
  id bigint generated always as identity primary key,
  slot bigint not null,
  chain_atoms bigint not null,
  -- what the books say of the escrow at that slot
  ledger_atoms bigint not null,
  -- received, seen, not booked yet
  waiting_atoms bigint not null,
  difference_atoms bigint not null,
  detail text,
  created_at timestamptz not null
);
create trigger reserve_check_insert_only before update or delete or truncate on reserve_check
  for each statement execute function insert_only();

-- Events: one row per committed change of state, written by the database itself. Read by (xact, id) below the oldest running transaction.
create table event (
  id bigint generated always as identity primary key,
  noun text not null,
  noun_id text not null,
  from_status text,
  to_status text not null,
  at timestamptz not null default clock_timestamp(),
  xact xid8 not null default pg_current_xact_id()
);
create index event_in_order on event (xact, id);
create index event_by_noun on event (noun_id);
create trigger event_insert_only before update or delete or truncate on event for each statement execute function insert_only();

create function event_of_new() returns trigger language plpgsql as $$
begin
  insert into event (noun, noun_id, to_status) select tg_table_name, id, status::text from added;
  return null;
end $$;
create function event_of_change() returns trigger language plpgsql as $$
begin
  insert into event (noun, noun_id, from_status, to_status) values (tg_table_name, new.id, old.status::text, new.status::text);
  return null;
end $$;

-- Where everything stands as this begins.
insert into event (noun, noun_id, to_status)
select 'rental', id, status::text from rental
union all
select 'payment', id, status::text from payment
union all
select 'transfer', id, status::text from transfer;

-- Disputes: one per rental, about what the provider earned with it.
create type dispute_status as enum ('open', 'decided');
create table dispute (
  id text primary key check (id ~ '^dsp_[0-9a-f]{32}$'),
  rental_id text not null unique references rental (id),
  status dispute_status not null default 'open',
  reason text not null,
  -- what the consumer disputes, and the part of it that had not left yet and is held
  amount_atoms bigint not null check (amount_atoms > 0),
  held_atoms bigint not null check (held_atoms between 0 and amount_atoms),
  opened_at timestamptz not null,
  decide_by timestamptz not null,
  decided_at timestamptz,
  decided_by text check (decided_by in ('admin', 'deadline')),
  refund_bps integer check (refund_bps between 0 and 10000),
  refunded_atoms bigint,
  returned_atoms bigint,
  note text,
  constraint dispute_decided check (
    (status = 'open') = (decided_at is null)
    and (status = 'open' or (refund_bps is not null and decided_by is not null and refunded_atoms + returned_atoms = held_atoms))
  )
);
create index dispute_undecided on dispute (decide_by) where status = 'open';

create trigger rental_new_event after insert on rental referencing new table as added
  for each statement execute function event_of_new();
create trigger rental_change_event after update of status on rental
  for each row when (old.status is distinct from new.status) execute function event_of_change();
create trigger payment_new_event after insert on payment referencing new table as added
  for each statement execute function event_of_new();
create trigger payment_change_event after update of status on payment
  for each row when (old.status is distinct from new.status) execute function event_of_change();
create trigger transfer_new_event after insert on transfer referencing new table as added
  for each statement execute function event_of_new();
create trigger transfer_change_event after update of status on transfer
  for each row when (old.status is distinct from new.status) execute function event_of_change();
create trigger dispute_new_event after insert on dispute referencing new table as added
  for each statement execute function event_of_new();
create trigger dispute_change_event after update of status on dispute
  for each row when (old.status is distinct from new.status) execute function event_of_change();

-- Idempotency-Key: what was asked under a key, and the answer once there is one (encrypted: it may hold an access token).
create table idempotent_request (
  scope text not null,
  key text not null,
  fingerprint text not null,
  -- of the proof of payment that came with it, if any: the answer is given again only to who has it
  proof text,
  claimed_until timestamptz not null,
  claim_token text not null,
  answered_at timestamptz,
  status integer,
  answer bytea,
  created_at timestamptz not null,
  primary key (scope, key)
);
create index idempotent_request_by_age on idempotent_request (created_at);

-- The Merkle sum tree over what is owed, of the newest snapshots.
create table reserve_snapshot (
  id bigint generated always as identity primary key,
  slot bigint not null,
  chain_atoms bigint not null,
  liabilities_atoms bigint not null,
  -- account -> atoms, as decimal strings
  breakdown jsonb not null,
  root text not null,
  leaves integer not null,
  created_at timestamptz not null
);
create table reserve_leaf (
  snapshot_id bigint not null references reserve_snapshot (id) on delete cascade,
  position integer not null,
  subject text not null,
  amount_atoms bigint not null check (amount_atoms >= 0),
  hash text not null,
  primary key (snapshot_id, position)
);
create index reserve_leaf_by_subject on reserve_leaf (subject, snapshot_id);

grant usage on schema public to flow402_app;
grant select, insert, update, delete on all tables in schema public to flow402_app;
grant usage, select on all sequences in schema public to flow402_app;
alter default privileges in schema public grant select, insert, update, delete on tables to flow402_app;
alter default privileges in schema public grant usage, select on sequences to flow402_app;
revoke update, delete on ledger_account, ledger_transaction, ledger_entry, ledger_hold, ledger_hold_end, usage_record, receipt, event,
  reserve_check from flow402_app;
revoke delete on rental, payment, transfer, earning, escrow_movement, dispute, node, offer from flow402_app;
