-- Up Migration
-- (There is no way back: what statements vouch for is paid.)
-- Usage statements: books close on a checked one only, the payout carries its root, and whoever has it can compute the bill anew.

-- 1: the machine's usage was signed before there were statements, and is in none. 2: as docs/statement.md says.
alter table rental add column usage_version smallint not null default 1 check (usage_version in (1, 2));
alter table rental alter column usage_version set default 2;
update rental set usage_version = 2 where status in ('requested', 'paid', 'starting');

-- The check of a rental's statement. The statement itself is made from the rows whenever it is asked for.
create table statement (
  rental_id text primary key references rental (id),
  -- null when it could not even be written
  root text check (root ~ '^[0-9a-f]{64}$'),
  records integer not null check (records >= 0),
  -- the figures that it was made for: it counts for no others
  minutes integer not null,
  prepaid_atoms bigint not null,
  metered_seconds integer not null,
  started_at timestamptz,
  ended_at timestamptz not null,
  -- why it does not hold, in the words of docs/statement.md; null: it holds
  fault text,
  -- which record is the first wrong one, from 1; 0: the bill
  fault_record integer,
  detail text,
  checks integer not null default 1,
  checked_at timestamptz not null,
  -- when one that does not hold is looked at again
  check_after timestamptz,
  constraint statement_holds_with_its_root check (fault is not null or root is not null)
);
create index statement_refused on statement (rental_id) where fault is not null;

-- One that does not hold, or was made for other figures, gives way to the next as long as nothing was booked on it.
create function statement_of_closed_books() returns trigger language plpgsql as $$
begin
  if exists (select from rental where id = old.rental_id and books_closed_at is not null) then
    raise exception 'the books of % were closed on this statement', old.rental_id using errcode = 'insufficient_privilege';
  end if;
  return case tg_op when 'DELETE' then old else new end;
end $$;
create trigger statement_kept before update or delete on statement for each row execute function statement_of_closed_books();
create trigger statement_insert_only before truncate on statement for each statement execute function insert_only();
revoke delete on statement from flow402_app;

-- What the memo of a payout says beside the transfer's id: the root of its rental's statement, or that of the tree over the roots of several.
alter table transfer add column anchor text check (anchor ~ '^[0-9a-f]{64}$');

-- A movement is found by the first word of its memo; only what nothing explains is ever looked for.
drop index escrow_movement_by_memo;
create index escrow_movement_unexplained on escrow_movement (split_part(memo, ' ', 1)) where fate = 'unexplained';

-- A provider's receipts by the time of their settlement.
create index rental_settled_by_node on rental (node_id, settled_at, id) where status = 'settled';
