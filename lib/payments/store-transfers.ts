// Transfers out of the escrow in SQL: owed, then signed (the signature stored before any broadcast), then confirmed on a finalized block.
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import type { Movement, SignedMovement } from './payment-rail.ts'

/** One transfer that we owe or made. `rentalId` is null when it is for many rentals or for a receipt that matched nothing. */
export type Transfer = {
  id: string
  rentalId: string | null
  currency: string
  movement: Movement
  status: 'owed' | 'signed' | 'confirmed'
  /** The signature that paid it, once confirmed; before that the one that may. */
  signature: string | null
  /** What may be sent (again); null also when it was paid by a signature of which a restored database knows no more. */
  signed: SignedMovement | null
  /** How often it was signed; each signature has its own hold in the ledger. */
  attempts: number
  createdAtMs: number
  /** What its memo anchors on chain beside its id, hex: fixed before anything of it is signed. */
  anchor: string | null
}

const columns = [
  'id',
  'rental_id',
  'kind',
  'external_id',
  'destination',
  'amount_atoms',
  'currency',
  'status',
  'signature',
  'wire',
  'last_valid_block_height',
  'attempts',
  'created_at',
  'anchor',
] as const

function transferQuery(db: Db | Tx) {
  return db.selectFrom('transfer').select(columns)
}
type TransferRow = Awaited<ReturnType<ReturnType<typeof transferQuery>['executeTakeFirstOrThrow']>>

function transferFromRow(row: TransferRow): Transfer {
  const { signature, wire, last_valid_block_height: height } = row
  return {
    id: row.id,
    rentalId: row.rental_id,
    currency: row.currency,
    movement: { kind: row.kind, externalId: row.external_id, destination: row.destination, amountAtoms: row.amount_atoms },
    status: row.status,
    signature,
    signed: signature !== null && wire !== null && height !== null ? { signature, wire, lastValidBlockHeight: height } : null,
    attempts: row.attempts,
    createdAtMs: row.created_at.getTime(),
    anchor: row.anchor,
  }
}

/**
 * The id of a transfer, which is the first word of its memo on chain: it follows from what the transfer is for, so that a debt that is written down anew
 * after a restored backup finds what was paid before.
 */
export function transferIdFor(kind: Movement['kind'], externalId: string): string {
  return `trf_${createHash('sha256').update(`${kind}\n${externalId}`).digest('hex').slice(0, 32)}`
}

/** A debt to be paid on chain; `anchor` (hex) is what its memo says beside its id. */
export type OwedTransfer = { rentalId: string | null; currency: string; movement: Movement; nowMs: number; anchor?: string | null }

/** Adds debts; the same movement is added once, however often it is asked for. */
export async function addOwedTransfers(tx: Tx, owed: OwedTransfer[]): Promise<void> {
  if (owed.length === 0) return
  await sql`
    insert into transfer (id, rental_id, kind, external_id, destination, amount_atoms, currency, created_at, anchor)
    select id, rental_id, kind::transfer_kind, external_id, destination, amount_atoms, currency, created_at, anchor
    from unnest(
      ${owed.map(({ movement }) => transferIdFor(movement.kind, movement.externalId))}::text[],
      ${owed.map(({ rentalId }) => rentalId)}::text[], ${owed.map(({ movement }) => movement.kind)}::text[],
      ${owed.map(({ movement }) => movement.externalId)}::text[], ${owed.map(({ movement }) => movement.destination)}::text[],
      ${owed.map(({ movement }) => movement.amountAtoms.toString())}::bigint[], ${owed.map(({ currency }) => currency)}::text[],
      ${owed.map(({ nowMs }) => new Date(nowMs))}::timestamptz[], ${owed.map(({ anchor }) => anchor ?? null)}::text[]
    ) as owed (id, rental_id, kind, external_id, destination, amount_atoms, currency, created_at, anchor)
    on conflict (kind, external_id) do nothing`.execute(tx)
}

/** Adds one debt. */
export function addOwedTransfer(tx: Tx, owed: OwedTransfer): Promise<void> {
  return addOwedTransfers(tx, [owed])
}

/**
 * Takes unfinished transfers that nobody has in hand, oldest first. `onlyRefunds`: only refunds of rentals, each bounded by what was
 * paid for it; what answers a receipt that matched nothing is not, because books that lost something may have paid it out already.
 */
export async function takeTransfers(
  db: Db,
  take: { token: string; nowMs: number; leaseMs: number; limit: number; onlyRefunds: boolean },
): Promise<Transfer[]> {
  const { token, nowMs, leaseMs, limit, onlyRefunds } = take
  const rows = await db
    .with('due', (cte) => {
      let due = cte
        .selectFrom('transfer')
        .select('id')
        .where('status', 'in', ['owed', 'signed'])
        .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
      if (onlyRefunds) due = due.where('kind', '=', 'refund').where('rental_id', 'is not', null)
      return due.orderBy('created_at').limit(limit).forUpdate().skipLocked()
    })
    .updateTable('transfer')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where('id', 'in', (eb) => eb.selectFrom('due').select('id'))
    .returning(columns)
    .execute()
  return rows.map(transferFromRow)
}

/** Stores a signature before it is broadcast and counts it; the attempt's number, or undefined when the transfer is in other hands by now. */
export async function setTransferSigned(tx: Tx, id: string, token: string, signed: SignedMovement): Promise<number | undefined> {
  const row = await tx
    .updateTable('transfer')
    .set((eb) => ({
      status: 'signed',
      signature: signed.signature,
      wire: signed.wire,
      last_valid_block_height: signed.lastValidBlockHeight,
      attempts: eb('attempts', '+', 1),
    }))
    .where('id', '=', id)
    .where('status', '=', 'owed')
    .where('work_token', '=', token)
    .returning('attempts')
    .executeTakeFirst()
  return row?.attempts
}

/** The old signature can never land: the transfer is owed again and may be signed anew. False when it is in other hands or confirmed. */
export async function setTransferOwedAgain(tx: Tx, id: string, token: string, reason: string): Promise<boolean> {
  const moved = await tx
    .updateTable('transfer')
    .set({ status: 'owed', signature: null, wire: null, last_valid_block_height: null, last_error: reason })
    .where('id', '=', id)
    .where('status', '=', 'signed')
    .where('work_token', '=', token)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

/** The transfer is on a finalized block with this signature, whichever we knew of; undefined when it was confirmed before. */
export async function setTransferConfirmed(tx: Tx, id: string, signature: string, nowMs: number): Promise<Transfer | undefined> {
  const row = await tx
    .updateTable('transfer')
    .set({ status: 'confirmed', signature, confirmed_at: new Date(nowMs), work_token: null, work_until: null, last_error: null })
    .where('id', '=', id)
    .where('status', 'in', ['owed', 'signed'])
    .returning(columns)
    .executeTakeFirst()
  return row && transferFromRow(row)
}

export async function putBackTransfer(db: Db, id: string, token: string, atMs: number, lastError: string | null): Promise<void> {
  await db
    .updateTable('transfer')
    .set({ work_token: null, work_until: new Date(atMs), last_error: lastError })
    .where('id', '=', id)
    .where('work_token', '=', token)
    .execute()
}

/** Which of these addresses were paid before: they had an account then. */
export async function findPaidDestinations(db: Db, destinations: string[]): Promise<Set<string>> {
  if (destinations.length === 0) return new Set()
  const rows = await db
    .selectFrom('transfer')
    .select('destination')
    .distinct()
    .where((eb) => eb('destination', '=', eb.fn.any(eb.val(destinations))))
    .where('status', '=', 'confirmed')
    .execute()
  return new Set(rows.map((row) => row.destination))
}

export async function findTransfer(db: Db | Tx, id: string): Promise<Transfer | undefined> {
  const row = await transferQuery(db).where('id', '=', id).executeTakeFirst()
  return row && transferFromRow(row)
}

/** All transfers of a rental but payouts that it shares with others, for its receipt. */
export async function findTransfers(db: Db | Tx, rentalId: string): Promise<Transfer[]> {
  const rows = await transferQuery(db).where('rental_id', '=', rentalId).orderBy('created_at').orderBy('kind').execute()
  return rows.map(transferFromRow)
}
