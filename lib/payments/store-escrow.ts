// What touched the escrow, in SQL: each chain transaction once with its fate, how far the history is read, and every check of the reserves.
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import { type EscrowMovement, nameIn, type ScanPosition } from './payment-rail.ts'

/** What a movement was. waiting: may still be claimed by its payment. unexplained: left the escrow without our doing. */
export type Fate = 'payment' | 'transfer' | 'waiting' | 'unmatched' | 'dust' | 'failed' | 'unexplained'
export type KnownMovement = { signature: string; fate: Fate; externalId: string | null; slot: bigint | null }

/** Notes a movement that nobody has noted, with its fate; false when its signature is known already. */
export async function addMovement(
  tx: Tx,
  movement: EscrowMovement,
  fate: Fate,
  externalId: string | null,
  nowMs: number,
): Promise<boolean> {
  const added = await tx
    .insertInto('escrow_movement')
    .values({
      signature: movement.signature,
      fate,
      external_id: externalId,
      delta_atoms: movement.deltaAtoms,
      memo: movement.memo,
      counterparty: movement.counterparty,
      fee_lamports: movement.feeLamports,
      slot: movement.slot,
      landed_at: new Date(movement.landedAtMs),
      created_at: new Date(nowMs),
    })
    .onConflict((conflict) => conflict.column('signature').doNothing())
    .executeTakeFirst()
  return added.numInsertedOrUpdatedRows === 1n
}

/** A fork took a movement away before it was final: its signature may be claimed again if it lands again. */
export async function forgetMovement(tx: Tx, signature: string): Promise<void> {
  await tx
    .updateTable('escrow_movement')
    .set({ fate: 'waiting', external_id: null })
    .where('signature', '=', signature)
    .where('slot', 'is', null)
    .execute()
}

/** Notes that a known movement is final, with what the chain says of it; false when that was noted before. */
export async function setMovementFinal(tx: Tx, movement: EscrowMovement): Promise<boolean> {
  const updated = await tx
    .updateTable('escrow_movement')
    .set({
      slot: movement.slot,
      landed_at: new Date(movement.landedAtMs),
      delta_atoms: movement.deltaAtoms,
      memo: movement.memo,
      counterparty: movement.counterparty,
      fee_lamports: movement.feeLamports,
    })
    .where('signature', '=', movement.signature)
    .where('slot', 'is', null)
    .executeTakeFirst()
  return updated.numUpdatedRows === 1n
}

/** Gives a movement another fate if it still has this one; false when it has not. */
export async function setFate(tx: Tx, signature: string, from: Fate, to: Fate, externalId: string | null): Promise<boolean> {
  const updated = await tx
    .updateTable('escrow_movement')
    .set({ fate: to, external_id: externalId })
    .where('signature', '=', signature)
    .where('fate', '=', from)
    .executeTakeFirst()
  return updated.numUpdatedRows === 1n
}

/** What is known of these signatures. */
export async function findMovements(db: Db | Tx, signatures: string[]): Promise<Map<string, KnownMovement>> {
  if (signatures.length === 0) return new Map()
  const rows = await db
    .selectFrom('escrow_movement')
    .select(['signature', 'fate', 'external_id', 'slot'])
    .where('signature', 'in', signatures)
    .execute()
  return new Map(
    rows.map(({ signature, fate, external_id, slot }) => [signature, { signature, fate: fate as Fate, externalId: external_id, slot }]),
  )
}

/** Money that was seen before `seenBeforeMs` and is still waiting for its payment to claim it, oldest first. */
export async function findWaiting(db: Db, seenBeforeMs: number, limit: number): Promise<EscrowMovement[]> {
  const rows = await db
    .selectFrom('escrow_movement')
    .selectAll()
    .where('fate', '=', 'waiting')
    .where('slot', 'is not', null)
    .where('created_at', '<', new Date(seenBeforeMs))
    .orderBy('created_at')
    .limit(limit)
    .execute()
  return rows.map((row) => ({
    signature: row.signature,
    slot: row.slot ?? 0n,
    landedAtMs: row.landed_at?.getTime() ?? 0,
    deltaAtoms: row.delta_atoms,
    hasFailed: false,
    memo: row.memo,
    counterparty: row.counterparty,
    feeLamports: row.fee_lamports,
  }))
}

/** Movements that left the escrow in the name of one of these transfers and that nothing explained so far: transfer id -> signature. */
export async function findUnexplained(db: Db, transferIds: string[]): Promise<Map<string, string>> {
  if (transferIds.length === 0) return new Map()
  const rows = await db
    .selectFrom('escrow_movement')
    .select(['memo', 'signature'])
    .where('fate', '=', 'unexplained')
    .where(sql`split_part(memo, ' ', 1)`, '=', sql`any(${transferIds}::text[])`)
    .execute()
  return new Map(rows.map((row) => [nameIn(row.memo), row.signature] as const))
}

/** Takes the reading of the history into one worker's hand; undefined while another has it. */
export async function takeScan(
  db: Db,
  { token, nowMs, leaseMs }: { token: string; nowMs: number; leaseMs: number },
): Promise<{ position: ScanPosition; openedAtMs: number; openingAtoms: bigint | null } | undefined> {
  const row = await db
    .updateTable('escrow_scan')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
    .returningAll()
    .executeTakeFirst()
  if (!row) return undefined
  return {
    position: { doneTo: row.done_to, top: row.pass_top, before: row.pass_before },
    openedAtMs: row.opened_at.getTime(),
    openingAtoms: row.opening_atoms,
  }
}

/** Writes how far the history is read and lets go; false when the lease had gone to somebody else. */
export async function saveScan(db: Db, token: string, position: ScanPosition, completedAtMs: number | undefined): Promise<boolean> {
  const saved = await db
    .updateTable('escrow_scan')
    .set({
      done_to: position.doneTo,
      pass_top: position.top,
      pass_before: position.before,
      work_token: null,
      work_until: null,
      ...(completedAtMs === undefined ? {} : { completed_at: new Date(completedAtMs) }),
    })
    .where('work_token', '=', token)
    .executeTakeFirst()
  return saved.numUpdatedRows === 1n
}

/** Lets go of the reading without having got anywhere. */
export async function dropScan(db: Db, token: string): Promise<void> {
  await db.updateTable('escrow_scan').set({ work_token: null, work_until: null }).where('work_token', '=', token).execute()
}

/** Writes once what the escrow held before this market; false when it was written before. */
export async function setOpening(tx: Tx, openingAtoms: bigint): Promise<boolean> {
  const set = await tx.updateTable('escrow_scan').set({ opening_atoms: openingAtoms }).where('opening_atoms', 'is', null).executeTakeFirst()
  return set.numUpdatedRows === 1n
}

/** When the history was last read to its end, Unix ms; null when never. */
export async function findScanCompletion(db: Db | Tx): Promise<number | null> {
  const row = await db.selectFrom('escrow_scan').select('completed_at').executeTakeFirstOrThrow()
  return row.completed_at?.getTime() ?? null
}

/**
 * The escrow at a finalized slot, as three parts tell it: every movement seen (`seenAtoms`), what the books say of exactly those
 * (`ledgerAtoms`, the opening included), and what was received but is not booked yet (`waitingAtoms`).
 */
export async function sumEscrow(
  tx: Tx,
  slot: bigint,
): Promise<{ seenAtoms: bigint; ledgerAtoms: bigint; waitingAtoms: bigint; openingAtoms: bigint | null }> {
  const { rows } = await sql<{ seen: bigint; ledger: bigint; waiting: bigint; opening: bigint | null }>`
    select
      (select coalesce(sum(delta_atoms), 0)::bigint from escrow_movement where slot <= ${slot}) as seen,
      (select coalesce(sum(delta_atoms), 0)::bigint from escrow_movement where slot <= ${slot} and fate = 'waiting') as waiting,
      (
        select coalesce(sum(entry.amount_atoms), 0)::bigint
        from ledger_entry entry join ledger_transaction booked on booked.id = entry.transaction_id
        where entry.account = 'escrow'
          and (booked.signature is null or exists (
            select from escrow_movement where escrow_movement.signature = booked.signature and escrow_movement.slot <= ${slot}
          ))
      ) as ledger,
      (select opening_atoms from escrow_scan) as opening`.execute(tx)
  const row = rows[0]
  if (!row) throw new Error('the escrow has no sums')
  return { seenAtoms: row.seen, ledgerAtoms: row.ledger, waitingAtoms: row.waiting, openingAtoms: row.opening }
}

/** One comparison of chain and books at a finalized slot. */
export type ReserveCheck = {
  slot: bigint
  chainAtoms: bigint
  ledgerAtoms: bigint
  waitingAtoms: bigint
  differenceAtoms: bigint
  detail: string | null
  atMs: number
}

export async function addReserveCheck(tx: Tx, check: ReserveCheck): Promise<void> {
  await tx
    .insertInto('reserve_check')
    .values({
      slot: check.slot,
      chain_atoms: check.chainAtoms,
      ledger_atoms: check.ledgerAtoms,
      waiting_atoms: check.waitingAtoms,
      difference_atoms: check.differenceAtoms,
      detail: check.detail,
      created_at: new Date(check.atMs),
    })
    .execute()
}

/** The newest comparisons, newest first. */
export async function findReserveChecks(db: Db | Tx, limit: number): Promise<ReserveCheck[]> {
  const rows = await db.selectFrom('reserve_check').selectAll().orderBy('id', 'desc').limit(limit).execute()
  return rows.map((row) => ({
    slot: row.slot,
    chainAtoms: row.chain_atoms,
    ledgerAtoms: row.ledger_atoms,
    waitingAtoms: row.waiting_atoms,
    differenceAtoms: row.difference_atoms,
    detail: row.detail,
    atMs: row.created_at.getTime(),
  }))
}

/** Whether payouts and fees must not leave: the newest comparison found a difference. */
export async function isFrozen(db: Db | Tx): Promise<boolean> {
  const [newest] = await findReserveChecks(db, 1)
  return newest !== undefined && newest.differenceAtoms !== 0n
}

/** What our own fee payer spent on transactions that touched the escrow since then, in lamports. */
export async function sumFees(db: Db, sinceMs: number): Promise<bigint> {
  const row = await db
    .selectFrom('escrow_movement')
    .select(sql<bigint>`coalesce(sum(fee_lamports), 0)::bigint`.as('sum'))
    .where('landed_at', '>', new Date(sinceMs))
    .executeTakeFirstOrThrow()
  return row.sum
}
