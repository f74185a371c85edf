// Debts, for the admin: every transfer that has not arrived yet and why, and every receipt that matched nothing.
import type { Debts, StrayReceipt } from '@flow402/protocol/reserve'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findDebts, findStrayReceipts } from './store.ts'

const usualLimit = 100

/** The oldest debts first, at most `limit` of each kind; counts and sums are over all of them. */
export async function listDebts(deps: { db: Db; now: Now }, { limit = usualLimit }: { limit?: number | undefined }): Promise<Debts> {
  const [transfers, receipts] = await Promise.all([findDebts(deps.db, limit), findStrayReceipts(deps.db, limit)])
  const nowMs = deps.now()
  return {
    transfers: transfers.rows.map((row) => ({
      id: row.id,
      kind: row.kind,
      rentalId: row.rental_id,
      externalId: row.external_id,
      destination: row.destination,
      amountAtoms: row.amount_atoms.toString(),
      status: row.status === 'signed' ? 'signed' : 'owed',
      signature: row.signature,
      attempts: row.attempts,
      lastError: row.last_error,
      createdAt: row.created_at.toISOString(),
      ageSeconds: Math.max(0, Math.floor((nowMs - row.created_at.getTime()) / 1000)),
    })),
    transferCount: transfers.count,
    transferAtoms: transfers.atoms.toString(),
    receipts: receipts.rows.map((row) => ({
      signature: row.signature,
      fate: row.fate as StrayReceipt['fate'],
      amountAtoms: row.delta_atoms.toString(),
      from: row.counterparty,
      memo: row.memo,
      landedAt: row.landed_at?.toISOString() ?? null,
      transferId: row.id,
      transferStatus: row.status,
    })),
    receiptCount: receipts.count,
    receiptAtoms: receipts.atoms.toString(),
  }
}
