-- Up Migration
-- (There is no way back: the migrations before it have none.)
-- What is asked of each row that the money path writes, asked once per statement; and no index holds what is never looked for.

-- References between rows of money. A foreign key asks row by row and locks what it finds; that costs more than writing the row. What is
-- referred to below can never go away or change its name, for anybody, so it is enough that it is there when the reference is written, and
-- that is checked once for all rows that a statement adds.
create function stays() returns trigger language plpgsql as $$
begin
  raise exception 'rows of % stay, under their ids: other rows refer to them (foreign key)', tg_table_name
    using errcode = 'foreign_key_violation';
end $$;
create trigger node_stays before delete or truncate or update of id on node for each statement execute function stays();
create trigger rental_stays before delete or truncate or update of id on rental for each statement execute function stays();
-- A reference is written once.
create trigger payment_stays before delete or truncate or update of id, rental_id on payment for each statement execute function stays();
create trigger transfer_stays before delete or truncate or update of id, rental_id on transfer for each statement execute function stays();
create trigger earning_stays before delete or truncate or update of rental_id, node_id on earning
  for each statement execute function stays();
create trigger rental_node_stays before update of node_id on rental for each statement execute function stays();

create function refers_to_nothing(of_table text, name text) returns void language plpgsql as $$
begin
  raise exception 'a new row of % refers to %, which is not there (foreign key)', of_table, name using errcode = 'foreign_key_violation';
end $$;

-- "offset 0" keeps each of these a question to an index, row by row: these plans are kept, and one made for many rows would read whole
-- tables for one.
create function rental_added() returns trigger language plpgsql as $$
begin
  insert into event (noun, noun_id, to_status) select 'rental', id, status::text from added;
  perform refers_to_nothing('rental', added.node_id) from added
  where not exists (select from node where node.id = added.node_id offset 0);
  return null;
end $$;
create function payment_added() returns trigger language plpgsql as $$
begin
  insert into event (noun, noun_id, to_status) select 'payment', id, status::text from added;
  perform refers_to_nothing('payment', added.rental_id) from added
  where not exists (select from rental where rental.id = added.rental_id offset 0);
  return null;
end $$;
create function transfer_added() returns trigger language plpgsql as $$
begin
  insert into event (noun, noun_id, to_status) select 'transfer', id, status::text from added;
  perform refers_to_nothing('transfer', added.rental_id) from added
  where added.rental_id is not null and not exists (select from rental where rental.id = added.rental_id offset 0);
  return null;
end $$;
create function earning_added() returns trigger language plpgsql as $$
begin
  perform refers_to_nothing('earning', added.rental_id || ' and ' || added.node_id) from added
  where not exists (select from rental where rental.id = added.rental_id offset 0)
    or not exists (select from node where node.id = added.node_id offset 0);
  return null;
end $$;
create function ledger_transaction_added() returns trigger language plpgsql as $$
begin
  perform refers_to_nothing('ledger_transaction', added.rental_id) from added
  where added.rental_id is not null and not exists (select from rental where rental.id = added.rental_id offset 0);
  return null;
end $$;
create function ledger_hold_end_added() returns trigger language plpgsql as $$
begin
  perform refers_to_nothing('ledger_hold_end', added.kind || ' ' || added.external_id || coalesce(' and ' || added.transaction_id, ''))
  from added
  where not exists (
      select from ledger_hold hold where hold.kind = added.kind and hold.external_id = added.external_id offset 0
    )
    or (added.transaction_id is not null
      and not exists (select from ledger_transaction booked where booked.id = added.transaction_id offset 0));
  return null;
end $$;

drop trigger rental_new_event on rental;
create trigger rental_new_event after insert on rental referencing new table as added
  for each statement execute function rental_added();
drop trigger payment_new_event on payment;
create trigger payment_new_event after insert on payment referencing new table as added
  for each statement execute function payment_added();
drop trigger transfer_new_event on transfer;
create trigger transfer_new_event after insert on transfer referencing new table as added
  for each statement execute function transfer_added();
create trigger earning_refers after insert on earning referencing new table as added
  for each statement execute function earning_added();
create trigger ledger_transaction_refers after insert on ledger_transaction referencing new table as added
  for each statement execute function ledger_transaction_added();
create trigger ledger_hold_end_refers after insert on ledger_hold_end referencing new table as added
  for each statement execute function ledger_hold_end_added();
alter table rental drop constraint rental_node_id_fkey;
alter table payment drop constraint payment_rental_id_fkey;
alter table transfer drop constraint transfer_rental_id_fkey;
alter table earning drop constraint earning_rental_id_fkey, drop constraint earning_node_id_fkey;
alter table ledger_transaction drop constraint ledger_transaction_rental_id_fkey;
alter table ledger_hold_end
  drop constraint ledger_hold_end_kind_external_id_fkey,
  drop constraint ledger_hold_end_transaction_id_fkey;

-- As before, and its plan no longer depends on how many rows came the first time.
create or replace function ledger_entries_balance() returns trigger language plpgsql as $$
declare
  wrong text;
begin
  select transaction_id into wrong from added group by transaction_id, currency having sum(amount_atoms) <> 0 limit 1;
  if found then
    raise exception 'ledger transaction % does not sum to zero', wrong using errcode = 'check_violation';
  end if;
  select transaction_id into wrong from (select distinct transaction_id from added) each
  where not exists (select from ledger_transaction booked where booked.id = each.transaction_id offset 0)
  limit 1;
  if found then
    raise exception 'ledger transaction % does not exist', wrong using errcode = 'foreign_key_violation';
  end if;
  -- Only what moved towards the wrong side can have arrived there.
  select touched.account || ' of ' || touched.subject into wrong
  from (
    select added.account, added.subject, added.currency, case ledger_account.side when 'debit' then 1 else -1 end as sign
    from added, ledger_account
    where ledger_account.code = added.account and (added.amount_atoms < 0) = (ledger_account.side = 'debit')
    group by 1, 2, 3, 4
  ) touched
  where (
    select sum(amount_atoms) from ledger_entry entry
    where entry.subject = touched.subject and entry.account = touched.account and entry.currency = touched.currency
  ) * touched.sign < 0
  limit 1;
  if found then
    raise exception 'the ledger would owe less than nothing: %', wrong using errcode = 'check_violation';
  end if;
  return null;
end $$;

-- Unique wherever there is one: what is null is in no index.
alter table payment drop constraint payment_identifier_key, drop constraint payment_signature_key;
create unique index payment_identifier_key on payment (identifier) where identifier is not null;
create unique index payment_signature_key on payment (signature) where signature is not null;
alter table transfer drop constraint transfer_signature_key;
create unique index transfer_signature_key on transfer (signature) where signature is not null;
drop index escrow_movement_by_slot, escrow_movement_by_time;
create index escrow_movement_by_slot on escrow_movement (slot) where slot is not null;
create index escrow_movement_by_time on escrow_movement (landed_at) where landed_at is not null;

-- Events are read in the order of (transaction, number); that is their key.
alter table event drop constraint event_pkey;
drop index event_in_order;
alter table event add primary key (xact, id);
