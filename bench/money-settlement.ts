// Settlements per second: the books of ended rentals closed by closeBooks in its batches, beside one transaction per rental by the same verb.
import { runStatements } from '../__tests__/support/statements.ts'
import { runAudit } from '../lib/audit/run-audit.ts'
import { type Db, openDatabase } from '../lib/db/client.ts'
import { closeBooks } from '../lib/settlement/close-books.ts'
import type { BenchPostgres } from './bench-database.ts'
import { measure, type Run, ratio, summary } from './measure.ts'

const nodes = 1_000
/** How many rentals the peer closes for each hundred of ours: it takes longer. */
const peerShare = 0.05

export type SettlementFigures = { batches: Run[]; oneByOne: Run[]; rentals: number }

/** Closes `rentals` in all, in rounds that alternate with the peer, and proves the books afterwards. */
export async function measureSettlement(postgres: BenchPostgres, options: { rounds: number; rentals: number }): Promise<SettlementFigures> {
  const { rounds, rentals } = options
  const url = await postgres.makeDatabase('bench_settlement', true)
  const peers = Math.round((rentals * peerShare) / rounds)
  await endRentals(url, rentals + peers * rounds)
  const db = openDatabase(url, { max: 4, silentMs: 660_000 })
  const figures: SettlementFigures = { batches: [], oneByOne: [], rentals }
  try {
    for (let round = 0; round < rounds; round++) {
      figures.oneByOne.push(await measure(postgres.pid, () => close(db, peers, 1)))
      figures.batches.push(await measure(postgres.pid, () => close(db, rentals / rounds, rentals / rounds)))
    }
    const report = await runAudit({ db, now: Date.now })
    const wrong = report.lines.filter(({ holds }) => !holds)
    if (wrong.length > 0) throw new Error(`the books are wrong: ${wrong.map(({ code, figure }) => `${code} ${figure}`).join('; ')}`)
  } finally {
    await db.destroy()
  }
  return figures
}

/** Closes so many books, at most `atOnce` of them with one call. */
async function close(db: Db, count: number, atOnce: number): Promise<{ count: number }> {
  const deps = { db, now: Date.now, rail: { feeAddress: () => 'fee' }, payoutHoldMs: 0 }
  for (let left = count; left > 0; ) {
    const closed = await closeBooks(deps, Math.min(atOnce, left))
    if (closed === 0) throw new Error(`${left} rentals do not close`)
    left -= closed
  }
  return { count }
}

const id = (prefix: string) => `'${prefix}_' || lpad(to_hex(1790000000000 + n), 12, '0') || substr(md5('${prefix}' || n), 1, 20)`
const signature = `md5('in' || n) || md5('out' || n)`

/** Rentals that lived their whole life up to their end, in the application's role: every state, hold, posting and event as it is in the market. */
async function endRentals(url: string, count: number): Promise<void> {
  const each = `from generate_series(1, ${count}) n`
  await runStatements(
    url,
    'set role flow402_app',
    `insert into node (id, name, region, public_key, payout_address, status, created_at)
     select ${id('nod')}, 'node ' || n, 'bench', md5('key' || n), md5('payout' || n), 'listed', now() from generate_series(1, ${nodes}) n`,
    `insert into offer (id, node_id, kind, units_total, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes, published, created_at)
     select ${id('ofr')}, ${id('nod')}, 'ram', 1000000, 1024, 500, 2048, 60000, 1, 43200, true, now() from generate_series(1, ${nodes}) n`,
    `insert into rental (id, offer_id, node_id, status, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour,
       currency, fee_bps, payout_address, env, units_held, payer, created_at)
     select ${id('rnt')}, offer.id, offer.node_id, 'requested', 1, 10, 43200, 'ram', 1024, 500, 2048, 60000, 'USDC', 500, 'provider', '{}', false,
       'payer', now() - interval '1 hour'
     ${each} join (select id, node_id, row_number() over () as k from offer) offer on offer.k = n % ${nodes} + 1`,
    `insert into payment (id, rental_id, kind, status, minutes, amount_atoms, currency, network, asset, pay_to, payer, message_hash, payload,
       last_valid_block_height, created_at)
     select ${id('pay')}, ${id('rnt')}, 'rent', 'claimed', 10, 10000, 'USDC', 'net', 'usdc', 'escrow', 'payer', md5('m' || n) || md5('h' || n), '{}',
       100, now() - interval '1 hour' ${each}`,
    `insert into ledger_hold (kind, external_id, subject, debit, credit, currency, amount_atoms, created_at)
     select 'charge', id, rental_id, 'escrow', 'held', currency, amount_atoms, created_at from payment`,
    `update payment set status = 'submitted', signature = each.signature
     from (select ${id('pay')} as id, ${signature} as signature ${each}) each where payment.id = each.id`,
    `insert into escrow_movement (signature, fate, external_id, delta_atoms, memo, slot, landed_at, created_at)
     select signature, 'payment', id, amount_atoms, id, 100, created_at, created_at from payment`,
    `update payment set status = 'settled', settled_at = created_at, finalized_at = created_at`,
    `insert into ledger_transaction (id, kind, external_id, rental_id, signature, created_at)
     select 'ltx_' || substr(id, 5), 'charge', id, rental_id, signature, created_at from payment`,
    `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
     select 'ltx_' || substr(id, 5), account, rental_id, currency, atoms
     from payment, lateral (values ('escrow', amount_atoms), ('held', -amount_atoms)) side (account, atoms)`,
    `insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
     select 'charge', id, 'posted', 'ltx_' || substr(id, 5), created_at from payment`,
    `update rental set status = 'paid', prepaid_atoms = 10000, paid_at = created_at`,
    `update rental set status = 'starting', assigned_at = created_at, epoch = 1, revision = 1`,
    `update rental set status = 'running', started_at = created_at, paid_until = created_at + interval '10 minutes'`,
    `update rental set status = 'ending', end_reason = 'stopped', metered_seconds = 300, ended_at = created_at + interval '5 minutes',
       usage_closed_at = created_at + interval '5 minutes', lease_removed_at = created_at + interval '5 minutes'`,
    // As checkStatements leaves them: what is measured is the closing of the books.
    `insert into statement (rental_id, root, records, minutes, prepaid_atoms, metered_seconds, started_at, ended_at, checked_at)
     select id, md5(id) || md5('root' || id), 6, minutes, prepaid_atoms, metered_seconds, started_at, ended_at, ended_at from rental`,
  )
  // As autovacuum leaves it a minute later; what the seeding wrote is not to be paid for by what is measured.
  await runStatements(url, 'vacuum analyze', 'checkpoint')
}

/** The figures as lines of a table. */
export function settlementLines({ batches, oneByOne, rentals }: SettlementFigures) {
  return [
    { what: 'one transaction per rental, the same verb', ...summary(oneByOne), ratio: 1, aim: '' },
    {
      what: `${rentals.toLocaleString('en-US')} rentals in batches`,
      ...summary(batches),
      ratio: ratio(batches, oneByOne),
      aim: '>= 20,000/s',
    },
  ]
}
