// The ledger in SQL: insert-only double entry in two phases; the database itself refuses what does not sum to zero or owes less than nothing.
import { newId } from '@flow402/protocol/id'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'

export type Account = 'escrow' | 'held' | 'provider' | 'fee' | 'refund' | 'unmatched' | 'disputed' | 'capital'
export type LedgerKind =
  | 'opening'
  | 'charge'
  | 'settle'
  | 'payout'
  | 'fee'
  | 'refund'
  | 'unmatched'
  | 'reversal'
  | 'dispute_open'
  | 'dispute_close'
/** One line of a transaction. `subject` is whose money it is about: a rental, what a stray receipt is called, or 'market'. */
export type Entry = { account: Account; subject: string; amountAtoms: bigint }
export type LedgerTransaction = {
  kind: LedgerKind
  externalId: string
  rentalId: string | null
  currency: string
  /** The chain's transaction that this books; null when money only changed its owner inside of the escrow. */
  signature: string | null
  entries: Entry[]
  nowMs: number
}

/** Adds one transaction with its entries; undefined when (kind, externalId) is booked already, which makes every posting safe to repeat. */
export async function addLedgerTransaction(tx: Tx, transaction: LedgerTransaction): Promise<string | undefined> {
  return (await addLedgerTransactions(tx, [transaction])).get(transaction.externalId)
}

/** Adds many transactions in one statement. Answers external id -> id of those that were not booked before. */
export async function addLedgerTransactions(tx: Tx, transactions: LedgerTransaction[]): Promise<Map<string, string>> {
  const rows = transactions.map((transaction) => ({ id: newId('ledgerTransaction', transaction.nowMs), ...transaction }))
  const entries = rows.flatMap(({ id, currency, entries }) =>
    entries.filter((entry) => entry.amountAtoms !== 0n).map((entry) => ({ id, currency, ...entry })),
  )
  const { rows: added } = await sql<{ id: string; external_id: string }>`
    with added as (
      insert into ledger_transaction (id, kind, external_id, rental_id, signature, created_at)
      select * from unnest(
        ${rows.map((row) => row.id)}::text[], ${rows.map((row) => row.kind)}::text[], ${rows.map((row) => row.externalId)}::text[],
        ${rows.map((row) => row.rentalId)}::text[], ${rows.map((row) => row.signature)}::text[],
        ${rows.map((row) => new Date(row.nowMs))}::timestamptz[]
      )
      on conflict (kind, external_id) do nothing
      returning id, external_id
    ), entered as (
      insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
      select entry.* from unnest(
        ${entries.map((entry) => entry.id)}::text[], ${entries.map((entry) => entry.account)}::text[],
        ${entries.map((entry) => entry.subject)}::text[], ${entries.map((entry) => entry.currency)}::text[],
        ${entries.map((entry) => entry.amountAtoms.toString())}::bigint[]
      ) as entry (transaction_id, account, subject, currency, amount_atoms)
      join added on added.id = entry.transaction_id
    )
    select id, external_id from added`.execute(tx)
  return new Map(added.map((row) => [row.external_id, row.id]))
}

/** Money that is about to move: held until it is posted or voided. */
export type Hold = {
  kind: 'charge' | 'payout' | 'fee' | 'refund'
  externalId: string
  subject: string
  debit: Account
  credit: Account
  currency: string
  amountAtoms: bigint
  nowMs: number
}

/** Opens a hold; opening the same one again changes nothing. */
export async function addHold(tx: Tx, hold: Hold): Promise<void> {
  await tx
    .insertInto('ledger_hold')
    .values({
      kind: hold.kind,
      external_id: hold.externalId,
      subject: hold.subject,
      debit: hold.debit,
      credit: hold.credit,
      currency: hold.currency,
      amount_atoms: hold.amountAtoms,
      created_at: new Date(hold.nowMs),
    })
    .onConflict((conflict) => conflict.columns(['kind', 'external_id']).doNothing())
    .execute()
}

/** Ends a hold: posted with its ledger transaction, or voided. The first end counts; false when it had ended before or never was. */
export async function endHold(
  tx: Tx,
  hold: Pick<Hold, 'kind' | 'externalId' | 'nowMs'>,
  end: { transactionId: string } | 'voided',
): Promise<boolean> {
  const transactionId = end === 'voided' ? null : end.transactionId
  const { numAffectedRows } = await sql`
    insert into ledger_hold_end (kind, external_id, outcome, transaction_id, created_at)
    select kind, external_id, ${end === 'voided' ? 'voided' : 'posted'}, ${transactionId}, ${new Date(hold.nowMs)}
    from ledger_hold where kind = ${hold.kind} and external_id = ${hold.externalId}
    on conflict (kind, external_id) do nothing`.execute(tx)
  return numAffectedRows === 1n
}

/**
 * What was signed out of the escrow since a time in Unix ms and may have left it, in atoms. A signature that can never land no longer
 * counts: otherwise one account that nothing can be sent to would use up what there is for all the others.
 */
export async function sumSignedOut(db: Db | Tx, sinceMs: number): Promise<bigint> {
  const { rows } = await sql<{ sum: bigint }>`
    select coalesce(sum(amount_atoms), 0)::bigint as sum from ledger_hold
    where kind <> 'charge' and created_at > ${new Date(sinceMs)}
      and not exists (
        select from ledger_hold_end as ended
        where (ended.kind, ended.external_id) = (ledger_hold.kind, ledger_hold.external_id) and ended.outcome = 'voided'
      )`.execute(db)
  return rows[0]?.sum ?? 0n
}

/** Lets one transaction at a time decide, until it ends, whether more may be signed out of the escrow. */
export async function lockSigning(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('flow402 signs out of the escrow'))`.execute(tx)
}

/** The sum of every account over the whole ledger, in atoms. */
export async function sumAccounts(db: Db | Tx): Promise<Record<Account, bigint>> {
  const rows = await db
    .selectFrom('ledger_entry')
    .select(['account', sql<string>`sum(amount_atoms)`.as('sum')])
    .groupBy('account')
    .execute()
  const sums: Record<Account, bigint> = {
    escrow: 0n,
    held: 0n,
    provider: 0n,
    fee: 0n,
    refund: 0n,
    unmatched: 0n,
    disputed: 0n,
    capital: 0n,
  }
  for (const row of rows) sums[row.account as Account] = BigInt(row.sum)
  return sums
}
