// Transfers out of the escrow in SQL: owed, then signed (the signature stored before any broadcast), then confirmed.
import { newId } from '@flow402/protocol/id'
import type { Db, Tx } from '../db/client.ts'
import type { Movement, SignedMovement } from './payment-rail.ts'

/** One transfer that we owe or made. */
export type Transfer = {
  id: string
  rentalId: string
  currency: string
  movement: Movement
  status: 'owed' | 'signed' | 'confirmed'
  signed: SignedMovement | null
  attempts: number
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
] as const

type TransferRow = {
  id: string
  rental_id: string
  kind: Movement['kind']
  external_id: string
  destination: string
  amount_atoms: bigint
  currency: string
  status: Transfer['status']
  signature: string | null
  wire: string | null
  last_valid_block_height: bigint | null
  attempts: number
}

function transferFromRow(row: TransferRow): Transfer {
  const { signature, wire, last_valid_block_height: height } = row
  return {
    id: row.id,
    rentalId: row.rental_id,
    currency: row.currency,
    movement: { kind: row.kind, externalId: row.external_id, destination: row.destination, amountAtoms: row.amount_atoms },
    status: row.status,
    signed: signature !== null && wire !== null && height !== null ? { signature, wire, lastValidBlockHeight: height } : null,
    attempts: row.attempts,
  }
}

/** Adds a debt to be paid on chain; the same movement is added once, however often it is asked for. */
export async function addOwedTransfer(
  tx: Tx,
  owed: { rentalId: string; currency: string; movement: Movement; nowMs: number },
): Promise<void> {
  await tx
    .insertInto('transfer')
    .values({
      id: newId('transfer', owed.nowMs),
      rental_id: owed.rentalId,
      kind: owed.movement.kind,
      external_id: owed.movement.externalId,
      destination: owed.movement.destination,
      amount_atoms: owed.movement.amountAtoms,
      currency: owed.currency,
      created_at: new Date(owed.nowMs),
    })
    .onConflict((conflict) => conflict.columns(['kind', 'external_id']).doNothing())
    .execute()
}

/** Takes unfinished transfers that nobody has in hand, oldest first. */
export async function takeTransfers(
  db: Db,
  { token, nowMs, leaseMs, limit }: { token: string; nowMs: number; leaseMs: number; limit: number },
): Promise<Transfer[]> {
  const rows = await db
    .with('due', (cte) =>
      cte
        .selectFrom('transfer')
        .select('id')
        .where('status', 'in', ['owed', 'signed'])
        .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
        .orderBy('created_at')
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .updateTable('transfer')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where('id', 'in', (eb) => eb.selectFrom('due').select('id'))
    .returning(columns)
    .execute()
  return rows.map(transferFromRow)
}

/** Stores a signature before it is broadcast; false when the transfer is in other hands by now. */
export async function setTransferSigned(db: Db, id: string, token: string, signed: SignedMovement): Promise<boolean> {
  const moved = await db
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
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

/** The old signature can never land: the transfer is owed again and may be signed anew. */
export async function setTransferOwedAgain(db: Db, id: string, token: string, reason: string): Promise<boolean> {
  const moved = await db
    .updateTable('transfer')
    .set({ status: 'owed', signature: null, wire: null, last_valid_block_height: null, last_error: reason })
    .where('id', '=', id)
    .where('status', '=', 'signed')
    .where('work_token', '=', token)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

/** The transfer landed with this signature; false when it was confirmed before, or is being made anew with another one. */
export async function setTransferConfirmed(tx: Tx, id: string, signature: string, nowMs: number): Promise<boolean> {
  const moved = await tx
    .updateTable('transfer')
    .set({ status: 'confirmed', confirmed_at: new Date(nowMs), work_token: null, last_error: null })
    .where('id', '=', id)
    .where('status', '=', 'signed')
    .where('signature', '=', signature)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

export async function putBackTransfer(db: Db, id: string, token: string, atMs: number, lastError: string): Promise<void> {
  await db
    .updateTable('transfer')
    .set({ work_token: null, work_until: new Date(atMs), last_error: lastError })
    .where('id', '=', id)
    .where('work_token', '=', token)
    .execute()
}

/** All transfers of a rental, for its receipt. */
export async function findTransfers(db: Db | Tx, rentalId: string): Promise<Transfer[]> {
  const rows = await db
    .selectFrom('transfer')
    .select(columns)
    .where('rental_id', '=', rentalId)
    .orderBy('created_at')
    .orderBy('kind')
    .execute()
  return rows.map(transferFromRow)
}
