-- Up Migration
-- The whole of one rental: who sells, what was agreed, what was paid, what was used, where the money went.

create type node_status as enum ('enrolled', 'listed', 'suspended');
create type offer_kind as enum ('ram', 'gpu');
create type isolation as enum ('process', 'container', 'sandboxed');
create type rental_status as enum ('requested', 'paid', 'starting', 'running', 'ending', 'settled', 'expired');
create type end_reason as enum ('stopped', 'time_up', 'node_lost', 'start_failed', 'start_timeout', 'exited', 'image_unavailable');
create type payment_kind as enum ('rent', 'extend');
create type payment_status as enum ('claimed', 'submitted', 'settled', 'rejected', 'expired');
create type transfer_kind as enum ('payout', 'fee', 'refund');
create type transfer_status as enum ('owed', 'signed', 'confirmed');

create table node (
  id text primary key check (id ~ '^nod_[0-9a-f]{32}$'),
  name text not null,
  region text not null,
  public_key text not null unique,
  payout_address text not null,
  status node_status not null default 'enrolled',
  isolation isolation not null default 'container',
  network text not null default 'none' check (network in ('none', 'egress')),
  doctor jsonb,
  last_seen_at timestamptz,
  created_at timestamptz not null
);

create table node_invite (
  token_hash text primary key,
  expires_at timestamptz not null,
  used_at timestamptz,
  node_id text references node (id),
  created_at timestamptz not null
);

create table offer (
  id text primary key check (id ~ '^ofr_[0-9a-f]{32}$'),
  node_id text not null references node (id),
  kind offer_kind not null,
  units_total integer not null check (units_total > 0),
  units_reserved integer not null default 0,
  ram_mb integer not null check (ram_mb > 0),
  cpu_millis integer not null check (cpu_millis > 0),
  disk_mb integer not null check (disk_mb > 0),
  gpu_name text,
  vram_mb integer,
  price_atoms_per_hour bigint not null check (price_atoms_per_hour > 0),
  currency text not null default 'USDC' check (currency = 'USDC'),
  min_minutes integer not null check (min_minutes >= 1),
  max_minutes integer not null,
  published boolean not null default false,
  created_at timestamptz not null,
  constraint offer_never_oversold check (units_reserved between 0 and units_total),
  constraint offer_minutes check (max_minutes >= min_minutes)
);
create index offer_by_price on offer (price_atoms_per_hour, id) where published;
create index offer_by_node on offer (node_id);

create table rental (
  id text primary key check (id ~ '^rnt_[0-9a-f]{32}$'),
  offer_id text not null references offer (id),
  node_id text not null references node (id),
  status rental_status not null,
  end_reason end_reason,
  end_detail text,
  -- the frozen terms
  units integer not null check (units > 0),
  minutes integer not null check (minutes > 0),
  max_minutes integer not null,
  kind offer_kind not null,
  ram_mb integer not null,
  cpu_millis integer not null,
  disk_mb integer not null,
  gpu_name text,
  vram_mb integer,
  price_atoms_per_hour bigint not null,
  currency text not null,
  fee_bps integer not null check (fee_bps between 0 and 10000),
  payout_address text not null,
  image text,
  command jsonb,
  env jsonb not null,
  ssh_public_key text,
  -- the assignment: a higher epoch fences a lower one, a higher revision replaces a lower one
  epoch integer not null default 0,
  revision integer not null default 0,
  sent_revision integer not null default 0,
  lease_removed_at timestamptz,
  units_held boolean not null default true,
  -- the course
  created_at timestamptz not null,
  paid_at timestamptz,
  assigned_at timestamptz,
  started_at timestamptz,
  paid_until timestamptz,
  ended_at timestamptz,
  usage_closed_at timestamptz,
  books_closed_at timestamptz,
  settled_at timestamptz,
  metered_seconds integer not null default 0 check (metered_seconds >= 0),
  -- the money
  prepaid_atoms bigint not null default 0 check (prepaid_atoms >= 0),
  charged_atoms bigint not null default 0,
  fee_atoms bigint not null default 0,
  payout_atoms bigint not null default 0,
  refund_atoms bigint not null default 0,
  payer text,
  -- the worker that has it in hand
  work_token text,
  work_until timestamptz,
  constraint rental_charge_is_split check (charged_atoms = payout_atoms + fee_atoms),
  constraint rental_books_close check (status <> 'settled' or prepaid_atoms = payout_atoms + fee_atoms + refund_atoms)
);
create index rental_in_work on rental (status, work_until) where status in ('paid', 'starting', 'running', 'ending');
create index rental_on_node on rental (node_id) where lease_removed_at is null;
create index rental_by_offer on rental (offer_id);

create table payment (
  id text primary key check (id ~ '^pay_[0-9a-f]{32}$'),
  rental_id text not null references rental (id),
  kind payment_kind not null,
  status payment_status not null,
  minutes integer not null check (minutes > 0),
  amount_atoms bigint not null check (amount_atoms > 0),
  currency text not null,
  network text not null,
  asset text not null,
  pay_to text not null,
  payer text not null,
  -- SHA-256 of the transaction's message: the same payment in whatever wrapping has the same hash
  message_hash text not null unique,
  payload jsonb not null,
  signature text unique,
  last_valid_block_height bigint,
  last_error text,
  -- false: it landed after the rental's books closed, bought nothing and is refunded by itself
  counted boolean not null default true,
  created_at timestamptz not null,
  settled_at timestamptz,
  work_token text,
  work_until timestamptz
);
create unique index payment_opens_one_rental on payment (rental_id) where kind = 'rent';
create index payment_by_rental on payment (rental_id);
create index payment_undecided on payment (work_until) where status in ('claimed', 'submitted');

create table ledger_account (
  code text primary key,
  title text not null
);
insert into ledger_account (code, title) values
  ('escrow', 'USDC that the escrow holds on chain'),
  ('held', 'Prepaid by renters, not yet earned or returned'),
  ('provider', 'Earned by providers, not yet paid out'),
  ('fee', 'Fees earned, not yet taken'),
  ('refund', 'Owed back to renters');

create table ledger_transaction (
  id text primary key,
  kind text not null check (kind in ('charge', 'settle', 'payout', 'fee', 'refund', 'unmatched')),
  external_id text not null,
  rental_id text not null references rental (id),
  signature text,
  created_at timestamptz not null,
  unique (kind, external_id)
);

create table ledger_entry (
  id bigint generated always as identity primary key,
  transaction_id text not null references ledger_transaction (id),
  account text not null references ledger_account (code),
  rental_id text not null references rental (id),
  currency text not null,
  amount_atoms bigint not null check (amount_atoms <> 0)
);
create index ledger_entry_by_transaction on ledger_entry (transaction_id);
create index ledger_entry_by_rental on ledger_entry (rental_id, account);

create function ledger_transaction_balances() returns trigger language plpgsql as $$
begin
  if exists (
    select 1 from ledger_entry where transaction_id = new.transaction_id group by currency having sum(amount_atoms) <> 0
  ) then
    raise exception 'ledger transaction % does not sum to zero', new.transaction_id using errcode = 'check_violation';
  end if;
  return null;
end $$;
create constraint trigger ledger_entry_balances after insert on ledger_entry
  deferrable initially deferred for each row execute function ledger_transaction_balances();

create function insert_only() returns trigger language plpgsql as $$
begin
  raise exception '% is insert-only', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger ledger_entry_insert_only before update or delete or truncate on ledger_entry
  for each statement execute function insert_only();
create trigger ledger_transaction_insert_only before update or delete or truncate on ledger_transaction
  for each statement execute function insert_only();

create table transfer (
  id text primary key check (id ~ '^trf_[0-9a-f]{32}$'),
  rental_id text not null references rental (id),
  kind transfer_kind not null,
  -- refunds answer a payment; payout and fee answer the rental
  external_id text not null,
  destination text not null,
  amount_atoms bigint not null check (amount_atoms > 0),
  currency text not null,
  status transfer_status not null default 'owed',
  signature text unique,
  wire text,
  last_valid_block_height bigint,
  attempts integer not null default 0,
  last_error text,
  created_at timestamptz not null,
  confirmed_at timestamptz,
  work_token text,
  work_until timestamptz,
  unique (kind, external_id)
);
create index transfer_by_rental on transfer (rental_id);
create index transfer_unsent on transfer (work_until) where status in ('owed', 'signed');

create table usage_record (
  rental_id text not null references rental (id),
  epoch integer not null,
  seq integer not null,
  from_second integer not null,
  to_second integer not null,
  at_ms bigint not null,
  final boolean not null,
  prev_hash text not null,
  hash text not null,
  signature text not null,
  received_at timestamptz not null,
  primary key (rental_id, epoch, seq),
  check (to_second >= from_second)
);
create trigger usage_record_insert_only before update or delete or truncate on usage_record
  for each statement execute function insert_only();

create table receipt (
  rental_id text primary key references rental (id),
  body jsonb not null,
  digest text not null,
  created_at timestamptz not null
);

-- Down Migration
drop table receipt, usage_record, transfer, ledger_entry, ledger_transaction, ledger_account, payment, rental, offer, node_invite, node;
drop function ledger_transaction_balances, insert_only;
drop type transfer_status, transfer_kind, payment_status, payment_kind, end_reason, rental_status, isolation, offer_kind, node_status;
