// Payments in SQL: every outside effect is claimed here first, in rows that can exist once.
import type { PaymentState } from '@flow402/protocol/payment'
import type { Updateable } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import { gather } from '../db/gather.ts'
import type { DB } from '../db/types.ts'
import type { PaidBy } from './payment-rail.ts'

/** A payment as the market works with it. */
export type PaymentRecord = {
  id: string
  rentalId: string
  kind: 'rent' | 'extend'
  status: PaymentState
  minutes: number
  amountAtoms: bigint
  currency: string
  network: string
  asset: string
  payTo: string
  payer: string
  messageHash: string
  payload: unknown
  signature: string | null
  lastValidBlockHeight: bigint | null
  lastError: string | null
  /** The client's own name for this payment (x402 payment-identifier), if it gave one. */
  identifier: string | null
  /** False: it landed too late to buy anything and is owed back. */
  counted: boolean
  isFinal: boolean
  createdAtMs: number
  workToken: string | null
}

const columns = [
  'id',
  'rental_id',
  'kind',
  'status',
  'minutes',
  'amount_atoms',
  'currency',
  'network',
  'asset',
  'pay_to',
  'payer',
  'message_hash',
  'payload',
  'signature',
  'last_valid_block_height',
  'last_error',
  'identifier',
  'counted',
  'finalized_at',
  'created_at',
  'work_token',
] as const

function paymentQuery(db: Db | Tx) {
  return db.selectFrom('payment').select(columns)
}
type PaymentRow = Awaited<ReturnType<ReturnType<typeof paymentQuery>['executeTakeFirstOrThrow']>>

function paymentFromRow(row: PaymentRow): PaymentRecord {
  return {
    id: row.id,
    rentalId: row.rental_id,
    kind: row.kind,
    status: row.status,
    minutes: row.minutes,
    amountAtoms: row.amount_atoms,
    currency: row.currency,
    network: row.network,
    asset: row.asset,
    payTo: row.pay_to,
    payer: row.payer,
    messageHash: row.message_hash,
    payload: row.payload,
    signature: row.signature,
    lastValidBlockHeight: row.last_valid_block_height,
    lastError: row.last_error,
    identifier: row.identifier,
    counted: row.counted,
    isFinal: row.finalized_at !== null,
    createdAtMs: row.created_at.getTime(),
    workToken: row.work_token,
  }
}

export async function findPayment(db: Db | Tx, id: string): Promise<PaymentRecord | undefined> {
  const row = await paymentQuery(db).where('id', '=', id).executeTakeFirst()
  return row && paymentFromRow(row)
}

/** The payments that a proof may collide with: of its quote, paid by its very transaction, under its identifier. */
export async function findClaims(
  db: Db | Tx,
  claim: { id: string; messageHash: string; identifier: string | null },
): Promise<{ sameQuote?: PaymentRecord; sameMessage?: PaymentRecord; sameIdentifier?: PaymentRecord }> {
  const rows = await paymentQuery(db)
    .where((eb) =>
      eb.or([
        eb('id', '=', claim.id),
        eb('message_hash', '=', claim.messageHash),
        ...(claim.identifier === null ? [] : [eb('identifier', '=', claim.identifier)]),
      ]),
    )
    .execute()
  const payments = rows.map(paymentFromRow)
  const sameQuote = payments.find((payment) => payment.id === claim.id)
  const sameMessage = payments.find((payment) => payment.messageHash === claim.messageHash)
  const sameIdentifier = payments.find((payment) => claim.identifier !== null && payment.identifier === claim.identifier)
  return { ...(sameQuote ? { sameQuote } : {}), ...(sameMessage ? { sameMessage } : {}), ...(sameIdentifier ? { sameIdentifier } : {}) }
}

/** A payment as it is when it is claimed, in hand of `workToken` until `workUntilMs`. From `lastValidBlockHeight` on it can be told that it never landed. */
export type NewPayment = Omit<PaymentRecord, 'status' | 'signature' | 'lastError' | 'counted' | 'isFinal' | 'lastValidBlockHeight'> & {
  lastValidBlockHeight: bigint
  workUntilMs: number
}

/** Writes a status if the payment is still in one it may leave; false when somebody else was first. */
export async function setPaymentStatus(
  db: Db | Tx,
  id: string,
  from: readonly PaymentState[],
  to: PaymentState,
  change: Omit<Updateable<DB['payment']>, 'id' | 'status'> = {},
): Promise<boolean> {
  const moved = await db
    .updateTable('payment')
    .set({ ...change, status: to })
    .where('id', '=', id)
    .where('status', 'in', from)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

// Not "in ('claimed', 'submitted')": the planner would then read the whole index of undecided payments instead of the few rows.
const submit = gather<{ id: string; workToken: string; signature: string | null }, { nth: bigint }>('submit_payment', {
  key: 'id',
  columns: { id: 'text', workToken: 'text', signature: 'text' },
  text: `submitted as (
    update payment set status = 'submitted', signature = coalesce(asked.signature, payment.signature)
    from asked
    where payment.id = asked.id and payment.status not in ('settled', 'rejected', 'expired') and payment.work_token = asked.work_token
    returning asked.nth
  )
  select nth from submitted`,
})

/** Stores, before the broadcast, that it may land from now on, and the signature if it is known. False when the claim is not in hand any more. */
export async function setPaymentSubmitted(db: Db, id: string, workToken: string, signature: string | null): Promise<boolean> {
  return (await submit(db, { id, workToken, signature })) !== undefined
}

/** Takes undecided payments that nobody has in hand, oldest first. */
export async function takeUndecidedPayments(
  db: Db,
  { token, nowMs, leaseMs, limit }: { token: string; nowMs: number; leaseMs: number; limit: number },
): Promise<PaymentRecord[]> {
  return takeDue(db, { token, nowMs, leaseMs }, (due) =>
    due.where('status', 'in', ['claimed', 'submitted']).orderBy('created_at').limit(limit),
  )
}

const freePayments = (db: Pick<Db, 'selectFrom'>, nowMs: number) =>
  db
    .selectFrom('payment')
    .select('id')
    .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
type FreePayments = ReturnType<typeof freePayments>

/** Takes payments that nobody has in hand; `choose` says which of them, in what order and how many. */
async function takeDue(
  db: Db,
  { token, nowMs, leaseMs }: { token: string; nowMs: number; leaseMs: number },
  choose: (free: FreePayments) => FreePayments,
): Promise<PaymentRecord[]> {
  const rows = await db
    .with('due', (cte) => choose(freePayments(cte, nowMs)).forUpdate().skipLocked())
    .updateTable('payment')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where('id', 'in', (eb) => eb.selectFrom('due').select('id'))
    .returning(columns)
    .execute()
  return rows.map(paymentFromRow)
}

/** Lets the next worker take a payment again at `atMs`. */
export async function putBackPayment(
  db: Db,
  id: string,
  token: string,
  { atMs, lastError }: { atMs: number; lastError: string },
): Promise<void> {
  await db
    .updateTable('payment')
    .set({ work_token: null, work_until: new Date(atMs), last_error: lastError })
    .where('id', '=', id)
    .where('work_token', '=', token)
    .execute()
}

/** Takes payments that were settled before `settledBeforeMs` and are not final yet: a fork may have taken them away. */
export async function takeUnfinalPayments(
  db: Db,
  {
    token,
    nowMs,
    leaseMs,
    limit,
    settledBeforeMs,
  }: { token: string; nowMs: number; leaseMs: number; limit: number; settledBeforeMs: number },
): Promise<PaymentRecord[]> {
  return takeDue(db, { token, nowMs, leaseMs }, (due) =>
    due
      .where('status', '=', 'settled')
      .where('finalized_at', 'is', null)
      .where('settled_at', '<', new Date(settledBeforeMs))
      .orderBy('settled_at')
      .limit(limit),
  )
}

/** The transaction of a settled payment is on a finalized block; undefined when that was known, or it is another transaction's. */
export async function setPaymentFinal(tx: Tx, id: string, signature: string, nowMs: number): Promise<PaymentRecord | undefined> {
  const row = await tx
    .updateTable('payment')
    .set({ finalized_at: new Date(nowMs), last_error: null })
    .where('id', '=', id)
    .where('status', '=', 'settled')
    .where('signature', '=', signature)
    .where('finalized_at', 'is', null)
    .returning(columns)
    .executeTakeFirst()
  return row && paymentFromRow(row)
}

/** What these rentals were paid with, late payments that bought nothing left out, oldest first. */
export async function findSettledPayments(db: Db | Tx, rentalIds: string[]): Promise<(PaidBy & { rentalId: string; signature: string })[]> {
  const rows = await db
    .selectFrom('payment')
    .select(['id', 'rental_id', 'payer', 'amount_atoms', 'settled_at', 'signature'])
    .where((eb) => eb('rental_id', '=', eb.fn.any(eb.val(rentalIds))))
    .where('status', '=', 'settled')
    .where('counted', '=', true)
    .orderBy('settled_at')
    .execute()
  return rows.map((row) => ({
    paymentId: row.id,
    rentalId: row.rental_id,
    payer: row.payer,
    amountAtoms: row.amount_atoms,
    settledAtMs: row.settled_at?.getTime() ?? 0,
    signature: row.signature ?? '',
  }))
}
