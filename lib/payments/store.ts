// Payments in SQL: every outside effect is claimed here first, in rows that can exist once.
import type { PaymentState } from '@flow402/protocol/payment'
import type { Updateable } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
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
    createdAtMs: row.created_at.getTime(),
    workToken: row.work_token,
  }
}

export async function findPayment(db: Db | Tx, id: string): Promise<PaymentRecord | undefined> {
  const row = await paymentQuery(db).where('id', '=', id).executeTakeFirst()
  return row && paymentFromRow(row)
}

/** The payments that a proof may collide with: the one of its quote, and the one that its transaction already pays for. */
export async function findClaims(
  db: Db | Tx,
  id: string,
  messageHash: string,
): Promise<{ sameQuote?: PaymentRecord; sameMessage?: PaymentRecord }> {
  const rows = await paymentQuery(db)
    .where((eb) => eb.or([eb('id', '=', id), eb('message_hash', '=', messageHash)]))
    .execute()
  const payments = rows.map(paymentFromRow)
  const sameQuote = payments.find((payment) => payment.id === id)
  const sameMessage = payments.find((payment) => payment.messageHash === messageHash)
  return { ...(sameQuote ? { sameQuote } : {}), ...(sameMessage ? { sameMessage } : {}) }
}

/** Adds a claimed payment, in hand of `workToken` until `workUntilMs`. A second claim of the same id or message breaks a unique constraint. */
export async function addPayment(
  tx: Tx,
  payment: Omit<PaymentRecord, 'status' | 'signature' | 'lastValidBlockHeight' | 'lastError'> & { workUntilMs: number },
): Promise<void> {
  await tx
    .insertInto('payment')
    .values({
      id: payment.id,
      rental_id: payment.rentalId,
      kind: payment.kind,
      status: 'claimed',
      minutes: payment.minutes,
      amount_atoms: payment.amountAtoms,
      currency: payment.currency,
      network: payment.network,
      asset: payment.asset,
      pay_to: payment.payTo,
      payer: payment.payer,
      message_hash: payment.messageHash,
      payload: JSON.stringify(payment.payload),
      created_at: new Date(payment.createdAtMs),
      work_token: payment.workToken,
      work_until: new Date(payment.workUntilMs),
    })
    .execute()
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

/** Stores, before the broadcast, the signature and the height after which it cannot land. False when the claim is not in hand any more. */
export async function setPaymentSubmitted(
  db: Db,
  id: string,
  workToken: string,
  submitted: { signature: string | null; lastValidBlockHeight: bigint },
): Promise<boolean> {
  const moved = await db
    .updateTable('payment')
    .set((eb) => ({
      status: 'submitted',
      signature: eb.fn.coalesce(eb.val(submitted.signature), 'signature'),
      // The first height stands: the message and its blockhash are the same in every try.
      last_valid_block_height: eb.fn.coalesce('last_valid_block_height', eb.val(submitted.lastValidBlockHeight)),
    }))
    .where('id', '=', id)
    .where('status', 'in', ['claimed', 'submitted'])
    .where('work_token', '=', workToken)
    .executeTakeFirst()
  return moved.numUpdatedRows === 1n
}

/** Takes undecided payments that nobody has in hand, oldest first. */
export async function takeUndecidedPayments(
  db: Db,
  { token, nowMs, leaseMs, limit }: { token: string; nowMs: number; leaseMs: number; limit: number },
): Promise<PaymentRecord[]> {
  const rows = await db
    .with('due', (cte) =>
      cte
        .selectFrom('payment')
        .select('id')
        .where('status', 'in', ['claimed', 'submitted'])
        .where((eb) => eb.or([eb('work_until', 'is', null), eb('work_until', '<', new Date(nowMs))]))
        .orderBy('created_at')
        .limit(limit)
        .forUpdate()
        .skipLocked(),
    )
    .updateTable('payment')
    .set({ work_token: token, work_until: new Date(nowMs + leaseMs) })
    .where('id', 'in', (eb) => eb.selectFrom('due').select('id'))
    .returning(columns)
    .execute()
  return rows.map(paymentFromRow)
}

/** Lets the next worker take a payment again at `atMs`; `lastValidBlockHeight` is kept when none was known. */
export async function putBackPayment(
  db: Db,
  id: string,
  token: string,
  { atMs, lastError, lastValidBlockHeight }: { atMs: number; lastError: string; lastValidBlockHeight?: bigint | undefined },
): Promise<void> {
  await db
    .updateTable('payment')
    .set((eb) => ({
      work_token: null,
      work_until: new Date(atMs),
      last_error: lastError,
      last_valid_block_height: eb.fn.coalesce('last_valid_block_height', eb.val(lastValidBlockHeight ?? null)),
    }))
    .where('id', '=', id)
    .where('work_token', '=', token)
    .execute()
}

/** What a rental was paid with and that is not yet given back as unmatched, for its refund. */
export async function findSettledPayments(db: Db | Tx, rentalId: string): Promise<(PaidBy & { signature: string })[]> {
  const rows = await db
    .selectFrom('payment')
    .select(['id', 'payer', 'amount_atoms', 'settled_at', 'signature'])
    .where('rental_id', '=', rentalId)
    .where('status', '=', 'settled')
    .where('counted', '=', true)
    .orderBy('settled_at')
    .execute()
  return rows.map((row) => ({
    paymentId: row.id,
    payer: row.payer,
    amountAtoms: row.amount_atoms,
    settledAtMs: row.settled_at?.getTime() ?? 0,
    signature: row.signature ?? '',
  }))
}
