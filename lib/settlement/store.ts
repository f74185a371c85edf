// Settlement in SQL: rentals whose books can close, what providers earned, and receipts, written once.

import { newId } from '@flow402/protocol/id'
import type { Split } from '@flow402/protocol/money'
import type { NodePayouts, PayoutPolicy } from '@flow402/protocol/node'
import type { AnchoredReceipt, EarlyReceipt } from '@flow402/protocol/receipt'
import { type ExpressionBuilder, sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import type { DB } from '../db/types.ts'
import type { TransferPart } from '../ledger/post.ts'
import { hasStatement } from './store-statements.ts'

/** What closing the books of a rental needs of it; times in Unix ms. */
export type ClosableRental = {
  id: string
  nodeId: string
  payoutAddress: string
  currency: string
  units: number
  minutes: number
  priceAtomsPerHour: bigint
  feeBps: number
  prepaidAtoms: bigint
  meteredSeconds: number
  hasRun: boolean
}

/**
 * Locks rentals whose books can close now: ended, usage closed, their statement checked, nothing they were paid with undecided or not final.
 * Rows that another worker has are passed over. `only` names one rental.
 */
export async function lockClosableRentals(tx: Tx, limit: number, only?: string): Promise<ClosableRental[]> {
  let query = tx
    .selectFrom('rental')
    .select([
      'id',
      'node_id',
      'payout_address',
      'currency',
      'units',
      'minutes',
      'price_atoms_per_hour',
      'fee_bps',
      'prepaid_atoms',
      'metered_seconds',
      'started_at',
    ])
    .where('status', '=', 'ending')
    .where('usage_closed_at', 'is not', null)
    .where('books_closed_at', 'is', null)
    .where(hasStatement)
    // Two questions, each to the small index of such payments.
    .where((eb) => eb.not(eb.exists(paymentsOf(eb).where('payment.status', 'in', ['claimed', 'submitted']))))
    .where((eb) => eb.not(eb.exists(paymentsOf(eb).where('payment.status', '=', 'settled').where('payment.finalized_at', 'is', null))))
  if (only !== undefined) query = query.where('id', '=', only)
  const rows = await query.limit(limit).forUpdate().skipLocked().execute()
  return rows.map((row) => ({
    id: row.id,
    nodeId: row.node_id,
    payoutAddress: row.payout_address,
    currency: row.currency,
    units: row.units,
    minutes: row.minutes,
    priceAtomsPerHour: row.price_atoms_per_hour,
    feeBps: row.fee_bps,
    prepaidAtoms: row.prepaid_atoms,
    meteredSeconds: row.metered_seconds,
    hasRun: row.started_at !== null,
  }))
}

const paymentsOf = (eb: ExpressionBuilder<DB, 'rental'>) =>
  eb.selectFrom('payment').select('payment.id').whereRef('payment.rental_id', '=', 'rental.id')

/** The final figures of a rental's books. */
export type ClosedBooks = Split & { rentalId: string }

/**
 * Writes the books of rentals that this transaction has locked, all in one statement: their figures, the posting of each, and what its
 * provider earned, to be paid out from `payableAtMs` on. Throws when one of them was closed before.
 */
export async function writeClosedBooks(tx: Tx, closed: ClosedBooks[], times: { nowMs: number; payableAtMs: number }): Promise<void> {
  const atoms = (of: (books: ClosedBooks) => bigint) => closed.map((books) => of(books).toString())
  const now = sql`${new Date(times.nowMs)}::timestamptz`
  const ids = sql`${closed.map(({ rentalId }) => rentalId)}::text[]`
  const { rows } = await sql`
    with closed as materialized (
      update rental set charged_atoms = books.charged, fee_atoms = books.fee, payout_atoms = books.payout, refund_atoms = books.refund,
        books_closed_at = ${now}, work_token = null, work_until = null
      from unnest(
        ${ids}, ${closed.map(() => newId('ledgerTransaction', times.nowMs))}::text[],
        ${atoms((books) => books.chargedAtoms)}::bigint[], ${atoms((books) => books.feeAtoms)}::bigint[],
        ${atoms((books) => books.payoutAtoms)}::bigint[], ${atoms((books) => books.refundAtoms)}::bigint[]
      ) as books (id, booked_as, charged, fee, payout, refund)
      -- Named twice, so that the rows are found by their key and not by reading every rental.
      where rental.id = books.id and rental.id = any(${ids}) and rental.status = 'ending' and rental.books_closed_at is null
      returning rental.id, rental.node_id, rental.payout_address, rental.currency, books.booked_as, books.payout, books.fee, books.refund
    ), booked as (
      -- Whose payment was taken back paid nothing: there is nothing to book.
      insert into ledger_transaction (id, kind, external_id, rental_id, created_at)
      select booked_as, 'settle', id, id, ${now} from closed where payout + fee + refund > 0
    ), entered as (
      insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
      select booked_as, side.account, id, currency, side.atoms
      from closed, lateral (
        values ('held', payout + fee + refund), ('provider', -payout), ('fee', -fee), ('refund', -refund)
      ) side (account, atoms)
      where side.atoms <> 0
    ), earned as (
      insert into earning (external_id, rental_id, node_id, payout_address, currency, amount_atoms, payable_at, created_at)
      select id, id, node_id, payout_address, currency, payout, ${new Date(times.payableAtMs)}::timestamptz, ${now} from closed where payout > 0
    )
    select id from closed`.execute(tx)
  if (rows.length !== closed.length) throw new Error('the books of a rental were closed before')
}

/** What a provider earned with one rental, to be paid out from `payableAtMs` on. */
export type Earning = {
  externalId: string
  rentalId: string
  nodeId: string
  payoutAddress: string
  currency: string
  amountAtoms: bigint
  payableAtMs: number
  nowMs: number
}

/** Adds earnings; the same one is added once. */
export async function addEarnings(tx: Tx, earnings: Earning[]): Promise<void> {
  if (earnings.length === 0) return
  await sql`
    insert into earning (external_id, rental_id, node_id, payout_address, currency, amount_atoms, payable_at, created_at)
    select * from unnest(
      ${earnings.map(({ externalId }) => externalId)}::text[], ${earnings.map(({ rentalId }) => rentalId)}::text[],
      ${earnings.map(({ nodeId }) => nodeId)}::text[], ${earnings.map(({ payoutAddress }) => payoutAddress)}::text[],
      ${earnings.map(({ currency }) => currency)}::text[], ${earnings.map(({ amountAtoms }) => amountAtoms.toString())}::bigint[],
      ${earnings.map(({ payableAtMs }) => new Date(payableAtMs))}::timestamptz[],
      ${earnings.map(({ nowMs }) => new Date(nowMs))}::timestamptz[]
    )
    on conflict (external_id) do nothing`.execute(tx)
}

/** Nodes whose earnings are due by their own rules: at least their minimum, and their interval since the last payout is over. */
export async function findPayoutsDue(db: Db, nowMs: number, limit: number): Promise<string[]> {
  const { rows } = await sql<{ node_id: string }>`
    select earning.node_id
    from earning join node on node.id = earning.node_id
    where earning.transfer_id is null and earning.amount_atoms > earning.disputed_atoms and earning.payable_at <= ${new Date(nowMs)}
      and (node.last_payout_at is null or node.last_payout_at + make_interval(secs => node.payout_interval_seconds) <= ${new Date(nowMs)})
    group by earning.node_id, node.payout_min_atoms
    having sum(earning.amount_atoms - earning.disputed_atoms) >= node.payout_min_atoms
    limit ${limit}`.execute(db)
  return rows.map((row) => row.node_id)
}

/** Locks a node's payable earnings, oldest first. The node's row is locked too: two workers never bundle the same earnings. */
export async function lockPayableEarnings(
  tx: Tx,
  nodeId: string,
  nowMs: number,
  limit: number,
): Promise<{ externalId: string; rentalId: string; payoutAddress: string; currency: string; amountAtoms: bigint }[]> {
  await tx.selectFrom('node').select('id').where('id', '=', nodeId).forNoKeyUpdate().executeTakeFirst()
  const rows = await tx
    .selectFrom('earning')
    .select(['external_id', 'rental_id', 'payout_address', 'currency', sql<bigint>`amount_atoms - disputed_atoms`.as('amount')])
    .where('node_id', '=', nodeId)
    .where('transfer_id', 'is', null)
    .where(sql<boolean>`amount_atoms > disputed_atoms`)
    .where('payable_at', '<=', new Date(nowMs))
    .orderBy('payable_at')
    .limit(limit)
    .forUpdate()
    .execute()
  return rows.map((row) => ({
    externalId: row.external_id,
    rentalId: row.rental_id,
    payoutAddress: row.payout_address,
    currency: row.currency,
    amountAtoms: row.amount,
  }))
}

/** Says which transfer pays these earnings, and when their node was last paid. */
export async function setEarningsPaidBy(tx: Tx, nodeId: string, externalIds: string[], transferId: string, nowMs: number): Promise<void> {
  await tx
    .updateTable('earning')
    .set({ transfer_id: transferId })
    .where((eb) => eb('external_id', '=', eb.fn.any(eb.val(externalIds))))
    .where('transfer_id', 'is', null)
    .execute()
  await tx
    .updateTable('node')
    .set({ last_payout_at: new Date(nowMs) })
    .where('id', '=', nodeId)
    .execute()
}

export async function setPayoutPolicy(db: Db, nodeId: string, policy: PayoutPolicy): Promise<void> {
  await db
    .updateTable('node')
    .set({ payout_min_atoms: BigInt(policy.minAtoms), payout_interval_seconds: policy.intervalSeconds })
    .where('id', '=', nodeId)
    .execute()
}

/** The sums of what a machine earned, by how far they have come, and its rule; undefined when there is no such machine. */
export async function findNodePayouts(db: Db, nodeId: string): Promise<NodePayouts | undefined> {
  const { rows } = await sql<{
    payout_address: string
    payout_min_atoms: bigint
    payout_interval_seconds: number
    last_payout_at: Date | null
    owed: bigint
    on_its_way: bigint
    paid: bigint
    disputed: bigint
  }>`
    select node.payout_address, node.payout_min_atoms, node.payout_interval_seconds, node.last_payout_at,
      coalesce(sum(earning.amount_atoms - disputed_atoms) filter (where earning.transfer_id is null), 0)::bigint as owed,
      coalesce(sum(earning.amount_atoms - disputed_atoms) filter (where transfer.status <> 'confirmed'), 0)::bigint as on_its_way,
      coalesce(sum(earning.amount_atoms - disputed_atoms) filter (where transfer.status = 'confirmed'), 0)::bigint as paid,
      coalesce((
        select sum(held_atoms) from dispute join rental on rental.id = dispute.rental_id
        where rental.node_id = node.id and dispute.status = 'open'
      ), 0)::bigint as disputed
    from node
    left join earning on earning.node_id = node.id
    left join transfer on transfer.id = earning.transfer_id
    where node.id = ${nodeId}
    group by node.id`.execute(db)
  const row = rows[0]
  if (!row) return undefined
  return {
    nodeId,
    payoutAddress: row.payout_address,
    policy: { minAtoms: row.payout_min_atoms.toString(), intervalSeconds: row.payout_interval_seconds },
    owedAtoms: row.owed.toString(),
    onItsWayAtoms: row.on_its_way.toString(),
    paidAtoms: row.paid.toString(),
    disputedAtoms: row.disputed.toString(),
    lastPayoutAt: row.last_payout_at?.toISOString() ?? null,
  }
}

/** Whose earnings a payout carries. */
export async function findPayoutParts(tx: Tx, transferId: string): Promise<TransferPart[]> {
  const rows = await tx
    .selectFrom('earning')
    .select(['rental_id', sql<bigint>`sum(amount_atoms - disputed_atoms)::bigint`.as('amount')])
    .where('transfer_id', '=', transferId)
    .groupBy('rental_id')
    .execute()
  return rows.map((row) => ({ subject: row.rental_id, amountAtoms: row.amount }))
}

/** What became of the provider's part of a rental: the transaction that paid all of it, null while it is owed or disputed. Undefined when it earned nothing. */
export async function findPayout(db: Db | Tx, rentalId: string): Promise<{ signature: string | null; destination: string } | undefined> {
  const row = await db
    .selectFrom('earning')
    .leftJoin('transfer', 'transfer.id', 'earning.transfer_id')
    .select(['earning.payout_address', 'earning.disputed_atoms', 'transfer.status', 'transfer.signature'])
    .where('earning.external_id', '=', rentalId)
    .executeTakeFirst()
  if (!row) return undefined
  const isPaid = row.status === 'confirmed' && row.disputed_atoms === 0n
  return { signature: isPaid ? row.signature : null, destination: row.payout_address }
}

/**
 * Rentals whose books are closed and of which nothing is awaited any more: refund and fee are confirmed, and the payout is confirmed, or
 * not expected soon (the provider is paid by its own schedule, it is disputed, or it has not gone through since `patienceMs`).
 */
export async function findSettleable(db: Db, times: { nowMs: number; patienceMs: number }, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    select rental.id from rental
    where status = 'ending' and books_closed_at is not null
      and not exists (select from transfer where transfer.rental_id = rental.id and kind <> 'payout' and status <> 'confirmed')
      and (
        books_closed_at < ${new Date(times.nowMs - times.patienceMs)}
        or not exists (
          select from earning
          join node on node.id = earning.node_id
          left join transfer on transfer.id = earning.transfer_id
          where earning.external_id = rental.id and transfer.status is distinct from 'confirmed'
            and node.payout_min_atoms = 0 and node.payout_interval_seconds = 0
            and earning.payable_at <= ${new Date(times.nowMs)} and earning.disputed_atoms = 0
        )
      )
    limit ${limit}`.execute(db)
  return rows.map((row) => row.id)
}

/** A receipt as it is kept: what is added when it is read is not in it. */
export type StoredReceipt = EarlyReceipt | Omit<AnchoredReceipt, 'statement' | 'anchor'>

export async function addReceipt(tx: Tx, receipt: StoredReceipt, nowMs: number): Promise<void> {
  await tx
    .insertInto('receipt')
    .values({ rental_id: receipt.rentalId, body: JSON.stringify(receipt), digest: receipt.digest, created_at: new Date(nowMs) })
    .onConflict((conflict) => conflict.column('rental_id').doNothing())
    .execute()
}

export async function findReceipt(db: Db, rentalId: string): Promise<StoredReceipt | undefined> {
  const row = await db.selectFrom('receipt').select('body').where('rental_id', '=', rentalId).executeTakeFirst()
  return row?.body as StoredReceipt | undefined
}

/** Where a reading of receipts stands: after the rental that settled then. */
export type ReceiptPosition = { settledAt: string; rentalId: string }

/** Receipts of a machine's rentals that settled from `fromMs` on and before `toMs`, oldest first, those after `after`. */
export async function findReceiptsOf(
  db: Db,
  nodeId: string,
  page: { fromMs: number; toMs: number; after: ReceiptPosition | undefined; limit: number },
): Promise<{ receipt: StoredReceipt; position: ReceiptPosition }[]> {
  let query = db
    .selectFrom('rental')
    .innerJoin('receipt', 'receipt.rental_id', 'rental.id')
    .select(['rental.id', 'receipt.body', sql<string>`rental.settled_at::text`.as('settled_at_text')])
    .where('rental.node_id', '=', nodeId)
    .where('rental.status', '=', 'settled')
    .where('rental.settled_at', '>=', new Date(page.fromMs))
    .where('rental.settled_at', '<', new Date(page.toMs))
  if (page.after)
    query = query.where(sql<boolean>`(rental.settled_at, rental.id) > (${page.after.settledAt}::timestamptz, ${page.after.rentalId})`)
  const rows = await query.orderBy('rental.settled_at').orderBy('rental.id').limit(page.limit).execute()
  return rows.map((row) => ({
    receipt: row.body as unknown as StoredReceipt,
    position: { settledAt: row.settled_at_text, rentalId: row.id },
  }))
}
