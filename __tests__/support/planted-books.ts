// Books of any size, right to the atom, written past all code: for damage that the audit must find, and for its speed.
import { runStatements } from './statements.ts'

/** How many rentals share one payout and one transfer of fees. */
const perTransfer = 20

/** Ids as they are made: in the order of time. */
const id = (prefix: string, n: string) =>
  `'${prefix}_' || lpad(to_hex(1790000000000 + (${n})), 12, '0') || substr(md5('${prefix}' || (${n})), 1, 20)`
const signature = (what: string, n: string) => `'${what}' || md5('${what}a' || (${n})) || md5('${what}b' || (${n}))`
const node = `'nod_' || repeat('1', 32)`
const offer = `'ofr_' || repeat('1', 32)`

/** The id of the `n`th rental (from 1), of its payment, or of its refund. */
export async function plantedId(url: string, prefix: 'rnt' | 'pay' | 'trf', n: number): Promise<string> {
  const [row] = await runStatements(url, `select ${id(prefix, String(n))} as id`)
  return String(row?.id)
}

/**
 * Adds `settled` settled rentals with twelve entries each (10 minutes prepaid at 60,000 atoms an hour, 300 s used, 5 % fee), and one of each other kind behind them: running (n + 1), ended with everything
 * still owed (n + 2), requested (n + 3), expired (n + 4), and money that came for nothing.
 */
export async function plantBooks(url: string, settled: number): Promise<void> {
  const all = settled + 4
  const each = (from: number, to: number) => `generate_series(${from}, ${to}) i`
  const closedTo = settled + 2
  await runStatements(
    url,
    'set session_replication_role = replica',
    `insert into node (id, name, region, public_key, payout_address, created_at) values (${node}, 'n', 'r', 'k', 'a', now())`,
    `insert into offer (id, node_id, kind, units_total, units_reserved, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes, created_at)
     values (${offer}, ${node}, 'ram', 100, 2, 1, 1, 1, 60000, 1, 1000, now())`,
    `insert into rental (id, offer_id, node_id, status, end_reason, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb,
       price_atoms_per_hour, currency, fee_bps, payout_address, env, units_held, created_at, paid_at, assigned_at, started_at, paid_until,
       ended_at, usage_closed_at, books_closed_at, settled_at, metered_seconds, prepaid_atoms, charged_atoms, fee_atoms, payout_atoms, refund_atoms)
     select ${id('rnt', 'i')}, ${offer}, ${node},
       case i - ${settled} when 1 then 'running' when 2 then 'ending' when 3 then 'requested' when 4 then 'expired' else 'settled' end::rental_status,
       case when i <= ${closedTo} and i <> ${settled + 1} then 'stopped'::end_reason end,
       1, 10, 1000, 'ram', 1, 1, 1, 60000, 'USDC', 500, 'a', '{}', i - ${settled} in (1, 3), t, t, t,
       case when i <= ${closedTo} then t end, t + interval '10 min',
       case when i <= ${closedTo} and i <> ${settled + 1} then t + interval '5 min' end,
       case when i <= ${closedTo} and i <> ${settled + 1} then t + interval '5 min' end,
       case when i <= ${closedTo} and i <> ${settled + 1} then t + interval '5 min' end,
       case when i <= ${settled} then t + interval '6 min' end,
       case when i <= ${closedTo} then 300 else 0 end,
       case when i <= ${closedTo} then 10000 else 0 end,
       case when i <= ${closedTo} and i <> ${settled + 1} then 5000 else 0 end, case when i <= ${closedTo} and i <> ${settled + 1} then 250 else 0 end,
       case when i <= ${closedTo} and i <> ${settled + 1} then 4750 else 0 end, case when i <= ${closedTo} and i <> ${settled + 1} then 5000 else 0 end
     from ${each(1, all)}, lateral (select case when i <= ${settled} then now() - interval '30 days' + i * interval '10 s' else now() - interval '8 min' end as t) x`,
    `insert into statement (rental_id, root, records, minutes, prepaid_atoms, metered_seconds, started_at, ended_at, checked_at)
     select id, md5(id) || md5('root' || id), 6, minutes, prepaid_atoms, metered_seconds, started_at, ended_at, ended_at
     from rental where books_closed_at is not null`,
    `insert into payment (id, rental_id, kind, status, minutes, amount_atoms, currency, network, asset, pay_to, payer, message_hash, payload,
       signature, last_valid_block_height, last_error, created_at, settled_at, finalized_at)
     select ${id('pay', 'i')}, ${id('rnt', 'i')}, 'rent',
       case i - ${settled} when 3 then 'claimed' when 4 then 'expired' else 'settled' end::payment_status,
       10, 10000, 'USDC', 'net', 'asset', 'to', 'payer', md5('m' || i) || md5('n' || i), '{}',
       case when i <= ${closedTo} then ${signature('in', 'i')} end, 100, case when i = ${all} then 'it never landed' end, now() - interval '1 min',
       case when i <= ${closedTo} then now() end, case when i <= ${closedTo} then now() end
     from ${each(1, all)}`,
    // The books: charge and settlement of each, refund of each, payout and fee of twenty at a time.
    `insert into ledger_transaction (id, kind, external_id, rental_id, signature, created_at)
     select ${id('ltx', 'i * 4')}, 'charge', ${id('pay', 'i')}, ${id('rnt', 'i')}, ${signature('in', 'i')}, now() from ${each(1, closedTo)}
     union all select ${id('ltx', 'i * 4 + 1')}, 'settle', ${id('rnt', 'i')}, ${id('rnt', 'i')}, null, now() from ${each(1, closedTo)} where i <> ${settled + 1}
     union all select ${id('ltx', 'i * 4 + 2')}, 'refund', ${id('trf', 'i')}, ${id('rnt', 'i')}, ${signature('re', 'i')}, now() from ${each(1, settled)}
     union all select ${id('ltb', 'i * 2')}, 'payout', ${id('trf', '-1 - i * 2')}, null, ${signature('out', 'i')}, now() from ${each(0, Math.floor(settled / perTransfer))}
     union all select ${id('ltb', 'i * 2 + 1')}, 'fee', ${id('trf', '-2 - i * 2')}, null, ${signature('fee', 'i')}, now() from ${each(0, Math.floor(settled / perTransfer))}
     union all select ${id('lts', '0')}, 'unmatched', ${signature('stray', '0')}, null, ${signature('stray', '0')}, now()`,
    `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
     select entry.transaction, account, ${id('rnt', 'i')}, 'USDC', atoms from ${each(1, closedTo)}, lateral (values
       (1, ${id('ltx', 'i * 4')}, 'escrow', 10000::bigint), (1, ${id('ltx', 'i * 4')}, 'held', -10000),
       (2, ${id('ltx', 'i * 4 + 1')}, 'held', 10000), (2, ${id('ltx', 'i * 4 + 1')}, 'provider', -4750),
       (2, ${id('ltx', 'i * 4 + 1')}, 'fee', -250), (2, ${id('ltx', 'i * 4 + 1')}, 'refund', -5000),
       (3, ${id('ltx', 'i * 4 + 2')}, 'refund', 5000), (3, ${id('ltx', 'i * 4 + 2')}, 'escrow', -5000),
       (3, ${id('ltb', `i / ${perTransfer} * 2`)}, 'provider', 4750), (3, ${id('ltb', `i / ${perTransfer} * 2`)}, 'escrow', -4750),
       (3, ${id('ltb', `i / ${perTransfer} * 2 + 1`)}, 'fee', 250), (3, ${id('ltb', `i / ${perTransfer} * 2 + 1`)}, 'escrow', -250)
     ) entry (step, transaction, account, atoms)
     where step = 1 or (step = 2 and i <> ${settled + 1}) or (step = 3 and i <= ${settled})
     union all select ${id('lts', '0')}, account, ${signature('stray', '0')}, 'USDC', atoms
     from (values ('escrow', 777::bigint), ('unmatched', -777)) entry (account, atoms)`,
    `insert into transfer (id, rental_id, kind, external_id, destination, amount_atoms, currency, status, signature, wire, last_valid_block_height,
       attempts, created_at, confirmed_at)
     select ${id('trf', 'i')}, ${id('rnt', 'i')}, 'refund'::transfer_kind, ${id('pay', 'i')}, 'payer', 5000, 'USDC', 'confirmed'::transfer_status,
       ${signature('re', 'i')}, 'wire', 1, 1, now(), now() from ${each(1, settled)}
     union all select ${id('trf', '-1 - b * 2')}, null, 'payout', 'out' || b, 'a', n * 4750, 'USDC', 'confirmed', ${signature('out', 'b')}, 'wire', 1, 1, now(), now()
       from (select i / ${perTransfer} as b, count(*) as n from ${each(1, settled)} group by 1) bundle
     union all select ${id('trf', '-2 - b * 2')}, null, 'fee', 'fee' || b, 'f', n * 250, 'USDC', 'confirmed', ${signature('fee', 'b')}, 'wire', 1, 1, now(), now()
       from (select i / ${perTransfer} as b, count(*) as n from ${each(1, settled)} group by 1) bundle
     union all select ${id('trf', 'i')}, ${id('rnt', 'i')}, 'refund', ${id('pay', 'i')}, 'payer', 5000, 'USDC', 'owed', null, null, null, 0, now(), null
       from ${each(closedTo, closedTo)}
     union all select ${id('trf', '-1000000000')}, null, 'refund', ${signature('stray', '0')}, 'somebody', 777, 'USDC', 'owed', null, null, null, 0, now(), null`,
    `delete from ledger_transaction where kind in ('payout', 'fee') and not exists (select from ledger_entry where transaction_id = ledger_transaction.id)`,
    `insert into earning (external_id, rental_id, node_id, payout_address, currency, amount_atoms, payable_at, transfer_id, created_at)
     select ${id('rnt', 'i')}, ${id('rnt', 'i')}, ${node}, 'a', 'USDC', 4750, now(),
       case when i <= ${settled} then ${id('trf', `-1 - i / ${perTransfer} * 2`)} end, now()
     from ${each(1, closedTo)} where i <> ${settled + 1}`,
    `insert into ledger_hold (kind, external_id, subject, debit, credit, currency, amount_atoms, created_at)
     select 'charge', id, rental_id, 'escrow', 'held', 'USDC', amount_atoms, created_at from payment
     union all select kind::text, id || ':1', id, case kind when 'payout' then 'provider' else kind::text end, 'escrow', 'USDC', amount_atoms, now()
     from transfer where status = 'confirmed'`,
    `insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
     select hold.kind, hold.external_id, 'posted', booked.id, now()
     from ledger_hold hold join ledger_transaction booked on booked.kind = hold.kind and booked.external_id = split_part(hold.external_id, ':', 1)
     union all select 'charge', id, 'voided', null, now() from payment where status = 'expired'`,
    `insert into escrow_movement (signature, fate, external_id, delta_atoms, memo, counterparty, slot, landed_at, created_at)
     select signature, 'payment', id, amount_atoms, id, 'payer', 100, now(), now() from payment where status = 'settled'
     union all select signature, 'transfer', id, -amount_atoms, id, null, 101, now(), now() from transfer where status = 'confirmed'
     union all select ${signature('stray', '0')}, 'unmatched', null, 777, null, 'somebody', 101, now(), now()`,
    `insert into event (noun, noun_id, from_status, to_status)
     select 'rental', id, from_status, to_status from rental, lateral (values
       (1, null, 'requested'), (2, 'requested', 'paid'), (3, 'paid', 'starting'), (4, 'starting', 'running'), (5, 'running', 'ending'), (6, 'ending', 'settled')
     ) step (n, from_status, to_status)
     where n <= case status when 'settled' then 6 when 'ending' then 5 when 'running' then 4 else 1 end
     union all select 'rental', id, 'requested', 'expired' from rental where status = 'expired'
     union all select 'payment', id, null, 'claimed' from payment
     union all select 'payment', id, 'claimed', 'submitted' from payment where status = 'settled'
     union all select 'payment', id, 'submitted', 'settled' from payment where status = 'settled'
     union all select 'payment', id, 'claimed', 'expired' from payment where status = 'expired'
     union all select 'transfer', id, null, 'owed' from transfer
     union all select 'transfer', id, 'owed', 'signed' from transfer where status = 'confirmed'
     union all select 'transfer', id, 'signed', 'confirmed' from transfer where status = 'confirmed'`,
    `update escrow_scan set opening_atoms = 0`,
    `insert into reserve_check (slot, chain_atoms, ledger_atoms, waiting_atoms, difference_atoms, created_at)
     select 101, sum(amount_atoms), sum(amount_atoms), 0, 0, now() from ledger_entry where account = 'escrow'`,
    'analyze',
  )
}
