// Reserves in SQL: what is owed as of a finalized slot, the newest snapshots with their leaves, and what has not gone out yet.
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import type { Owed } from './sum-tree.ts'

const accounts = ['held', 'provider', 'disputed', 'refund', 'fee', 'unmatched'] as const
export type Breakdown = Record<(typeof accounts)[number] | 'capital' | 'waiting', string>

/** Everything owed as of a slot. `capitalAtoms` is the market's own; `waitingAtoms` was received but is not booked. */
export type Liabilities = { owed: Owed[]; liabilitiesAtoms: bigint; capitalAtoms: bigint; waitingAtoms: bigint; breakdown: Breakdown }

/**
 * What the books owe to each subject, counting of everything that moved on chain only what is final at `slot`: the same cut as the
 * comparison with the chain makes. One statement, so one instant. A rental whose payment is not final yet is not in it.
 */
export async function sumLiabilities(tx: Tx, slot: bigint): Promise<Liabilities> {
  const { rows } = await sql<{ subject: string; account: string; atoms: bigint }>`
    select entry.subject, entry.account, sum(entry.amount_atoms)::bigint as atoms
    from ledger_entry entry join ledger_transaction booked on booked.id = entry.transaction_id
    where booked.signature is null or exists (
      select from escrow_movement where escrow_movement.signature = booked.signature and escrow_movement.slot <= ${slot}
    )
    group by entry.subject, entry.account
    union all
    select '', 'waiting', coalesce(sum(delta_atoms), 0)::bigint from escrow_movement where slot <= ${slot} and fate = 'waiting'`.execute(tx)
  const owedTo = new Map<string, bigint>()
  const sums = new Map<string, bigint>()
  for (const { subject, account, atoms } of rows) {
    sums.set(account, (sums.get(account) ?? 0n) + atoms)
    if (account !== 'escrow' && account !== 'capital' && account !== 'waiting') owedTo.set(subject, (owedTo.get(subject) ?? 0n) - atoms)
  }
  const owed = [...owedTo].filter(([, amountAtoms]) => amountAtoms !== 0n).map(([subject, amountAtoms]) => ({ subject, amountAtoms }))
  const capitalAtoms = -(sums.get('capital') ?? 0n)
  const waitingAtoms = sums.get('waiting') ?? 0n
  const named = accounts.map((account) => [account, String(-(sums.get(account) ?? 0n))] as const)
  const breakdown = { ...Object.fromEntries(named), capital: String(capitalAtoms), waiting: String(waitingAtoms) } as Breakdown
  return { owed, liabilitiesAtoms: owed.reduce((sum, each) => sum + each.amountAtoms, 0n), capitalAtoms, waitingAtoms, breakdown }
}

/** A snapshot without its leaves. */
export type Snapshot = {
  id: bigint
  slot: bigint
  chainAtoms: bigint
  liabilitiesAtoms: bigint
  breakdown: Breakdown
  root: string
  leaves: number
  atMs: number
}

/** Keeps a snapshot with its leaves in their places. */
export async function addSnapshot(
  tx: Tx,
  snapshot: Omit<Snapshot, 'id' | 'leaves'>,
  leaves: readonly { subject: string; amountAtoms: bigint; hash: string }[],
): Promise<bigint> {
  const { id } = await tx
    .insertInto('reserve_snapshot')
    .values({
      slot: snapshot.slot,
      chain_atoms: snapshot.chainAtoms,
      liabilities_atoms: snapshot.liabilitiesAtoms,
      breakdown: JSON.stringify(snapshot.breakdown),
      root: snapshot.root,
      leaves: leaves.length,
      created_at: new Date(snapshot.atMs),
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  if (leaves.length > 0)
    await sql`
      insert into reserve_leaf (snapshot_id, position, subject, amount_atoms, hash)
      select ${id}, place - 1, subject, amount, hash
      from unnest(
        ${leaves.map(({ subject }) => subject)}::text[], ${leaves.map(({ amountAtoms }) => amountAtoms.toString())}::bigint[],
        ${leaves.map(({ hash }) => hash)}::text[]
      ) with ordinality as leaf (subject, amount, hash, place)`.execute(tx)
  return id
}

/** Forgets all but the newest `keep` snapshots. */
export async function forgetSnapshots(tx: Tx, keep: number): Promise<void> {
  await tx
    .deleteFrom('reserve_snapshot')
    .where('id', '<=', (eb) => eb.selectFrom('reserve_snapshot').select('id').orderBy('id', 'desc').offset(keep).limit(1))
    .execute()
}

export async function findNewestSnapshot(db: Db | Tx): Promise<Snapshot | undefined> {
  const row = await db.selectFrom('reserve_snapshot').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()
  return (
    row && {
      id: row.id,
      slot: row.slot,
      chainAtoms: row.chain_atoms,
      liabilitiesAtoms: row.liabilities_atoms,
      breakdown: row.breakdown as Breakdown,
      root: row.root,
      leaves: row.leaves,
      atMs: row.created_at.getTime(),
    }
  )
}

/** The place of a subject in a snapshot; undefined when nothing was owed to it then. */
export async function findLeafPosition(db: Db, snapshotId: bigint, subject: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('reserve_leaf')
    .select('position')
    .where('snapshot_id', '=', snapshotId)
    .where('subject', '=', subject)
    .executeTakeFirst()
  return row?.position
}

/** Every leaf of a snapshot, in its place. */
export async function findLeaves(db: Db, snapshotId: bigint): Promise<Owed[]> {
  const rows = await db
    .selectFrom('reserve_leaf')
    .select(['subject', 'amount_atoms'])
    .where('snapshot_id', '=', snapshotId)
    .orderBy('position')
    .execute()
  return rows.map((row) => ({ subject: row.subject, amountAtoms: row.amount_atoms }))
}

const transferColumns = [
  'id',
  'kind',
  'rental_id',
  'external_id',
  'destination',
  'amount_atoms',
  'status',
  'signature',
  'attempts',
  'last_error',
  'created_at',
] as const

/** Transfers that are not seen final yet, oldest first, and the sum over all of them. */
export async function findDebts(db: Db, limit: number) {
  const open = db.selectFrom('transfer').where('status', '!=', 'confirmed')
  const [rows, sums] = await Promise.all([
    open.select(transferColumns).orderBy('created_at').orderBy('id').limit(limit).execute(),
    open
      .select(({ fn }) => [fn.countAll<bigint>().as('count'), sql<string>`coalesce(sum(amount_atoms), 0)`.as('atoms')])
      .executeTakeFirstOrThrow(),
  ])
  return { rows, count: Number(sums.count), atoms: BigInt(sums.atoms) }
}

/** Receipts that matched nothing and have not gone back yet, and dust, oldest first, and the sum over all of them. */
export async function findStrayReceipts(db: Db, limit: number) {
  const stray = db
    .selectFrom('escrow_movement')
    .leftJoin('transfer', (join) => join.onRef('transfer.external_id', '=', 'escrow_movement.signature').on('transfer.kind', '=', 'refund'))
    .where('escrow_movement.fate', 'in', ['unmatched', 'waiting', 'dust'])
    .where('escrow_movement.slot', 'is not', null)
    .where((eb) => eb.or([eb('transfer.status', 'is', null), eb('transfer.status', '!=', 'confirmed')]))
  const [rows, sums] = await Promise.all([
    stray
      .select(['escrow_movement.signature', 'fate', 'delta_atoms', 'counterparty', 'memo', 'landed_at', 'transfer.id', 'transfer.status'])
      .orderBy('landed_at')
      .orderBy('escrow_movement.signature')
      .limit(limit)
      .execute(),
    stray
      .select(({ fn }) => [fn.countAll<bigint>().as('count'), sql<string>`coalesce(sum(delta_atoms), 0)`.as('atoms')])
      .executeTakeFirstOrThrow(),
  ])
  return { rows, count: Number(sums.count), atoms: BigInt(sums.atoms) }
}
