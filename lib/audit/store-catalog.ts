// The audit's questions to the catalog of the database: rights, triggers and unique constraints are what the migrations made them.
import { sql } from 'kysely'
import type { Tx } from '../db/client.ts'

const insertOnly = [
  'ledger_transaction',
  'ledger_entry',
  'ledger_hold',
  'ledger_hold_end',
  'usage_record',
  'event',
  'reserve_check',
] as const
/** Tables that the application may not change; the first ones are held by a trigger too, against the owner. */
const unchangeable = [...insertOnly, 'ledger_account', 'receipt'] as const

const triggers = [
  ...insertOnly.map((table) => `${table}.${table}_insert_only`),
  'ledger_entry.ledger_entry_balances',
  'statement.statement_kept',
  'statement.statement_insert_only',
  // Where db/migrations/0004 has them instead of foreign keys: what is referred to is there, and stays.
  'ledger_transaction.ledger_transaction_refers',
  'ledger_hold_end.ledger_hold_end_refers',
  'earning.earning_refers',
  ...['node', 'rental', 'payment', 'transfer', 'earning'].map((table) => `${table}.${table}_stays`),
  'rental.rental_node_stays',
]
const eventTriggers = ['rental', 'payment', 'transfer', 'dispute'].flatMap((noun) => [
  `${noun}.${noun}_new_event`,
  `${noun}.${noun}_change_event`,
])

/** table(columns) that can exist once. */
const ledgerUniques = ['ledger_transaction(kind,external_id)', 'ledger_hold(kind,external_id)', 'ledger_hold_end(kind,external_id)']
const moneyUniques = [
  'payment(id)',
  'payment(message_hash)',
  'payment(signature)',
  'payment(identifier)',
  'transfer(kind,external_id)',
  'transfer(signature)',
  'earning(external_id)',
  'escrow_movement(signature)',
  'dispute(rental_id)',
]

export type CatalogFacts = {
  role: string
  tableCount: number
  /** Rights of the role that it must not have: "update on ledger_entry". */
  rights: string[]
  /** Triggers that are missing or switched off. */
  triggers: string[]
  triggerCount: number
  eventTriggers: string[]
  ledgerUniques: string[]
  ledgerUniqueCount: number
  moneyUniques: string[]
  moneyUniqueCount: number
  /** Ledger transactions that exist twice under one (kind, external id). */
  duplicates: bigint
}

/** L2 and L4, and what P1 and J1 rest on. */
export async function readCatalog(tx: Tx, role = 'flow402_app'): Promise<CatalogFacts> {
  const rights = await sql<{ wrong: string }>`
    select verb || ' on ' || name as wrong
    from unnest(${[...unchangeable]}::text[]) as name, unnest(array['UPDATE', 'DELETE', 'TRUNCATE']) as verb
    where to_regclass(name) is null or has_table_privilege(${role}, name, verb)
      or (verb = 'UPDATE' and has_any_column_privilege(${role}, name, verb))
    union all
    select role.rolname || ' is a superuser' from pg_roles role where role.rolname = ${role} and role.rolsuper
    union all
    select role.rolname || ' owns ' || class.relname
    from pg_roles role, pg_class class
    where role.rolname = ${role} and class.relnamespace = 'public'::regnamespace and class.relkind = 'r'
      and pg_has_role(role.oid, class.relowner, 'usage')`.execute(tx)
  const enabled = await sql<{ name: string }>`
    select class.relname || '.' || tgname as name from pg_trigger join pg_class class on class.oid = tgrelid
    where not tgisinternal and tgenabled in ('O', 'A') and class.relnamespace = 'public'::regnamespace`.execute(tx)
  const unique = await sql<{ name: string }>`
    select class.relname || '(' || string_agg(attribute.attname, ',' order by place.n) || ')' as name
    from pg_index index
    join pg_class class on class.oid = index.indrelid and class.relnamespace = 'public'::regnamespace
    cross join lateral unnest(index.indkey::smallint[]) with ordinality as place (attnum, n)
    join pg_attribute attribute on attribute.attrelid = index.indrelid and attribute.attnum = place.attnum
    where index.indisunique and index.indisvalid and index.indisready
      -- A unique index need not hold what is null.
      and (index.indpred is null or pg_get_expr(index.indpred, index.indrelid) = format('(%I IS NOT NULL)', attribute.attname))
    group by class.relname, index.indexrelid`.execute(tx)
  const duplicates = await sql<{ count: bigint }>`
    select count(*) as count from (select from ledger_transaction group by kind, external_id having count(*) > 1) twice`.execute(tx)
  const has = new Set([...enabled.rows, ...unique.rows].map(({ name }) => name))
  const missing = (names: readonly string[]) => names.filter((name) => !has.has(name))
  return {
    role,
    tableCount: unchangeable.length,
    rights: rights.rows.map((row) => row.wrong.toLowerCase()),
    triggers: missing(triggers),
    triggerCount: triggers.length,
    eventTriggers: missing(eventTriggers),
    ledgerUniques: missing(ledgerUniques),
    ledgerUniqueCount: ledgerUniques.length,
    moneyUniques: missing(moneyUniques),
    moneyUniqueCount: moneyUniques.length,
    duplicates: duplicates.rows[0]?.count ?? 0n,
  }
}

export type ReserveFacts =
  | {
      slot: bigint
      chainAtoms: bigint
      ledgerAtoms: bigint
      waitingAtoms: bigint
      differenceAtoms: bigint
      at: Date
    }
  | undefined

/** L8: the newest comparison of chain and books. */
export async function readNewestCheck(tx: Tx): Promise<ReserveFacts> {
  const row = await tx.selectFrom('reserve_check').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()
  return (
    row && {
      slot: row.slot,
      chainAtoms: row.chain_atoms,
      ledgerAtoms: row.ledger_atoms,
      waitingAtoms: row.waiting_atoms,
      differenceAtoms: row.difference_atoms,
      at: row.created_at,
    }
  )
}
