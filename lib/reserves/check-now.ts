// Comparisons of chain and books, for the admin: the newest ones, and one more on demand.
import { Problem } from '@flow402/protocol/problem'
import type { ReserveChecks, ReserveCheck as View } from '@flow402/protocol/reserve'
import type { Db } from '../db/client.ts'
import { findReserveChecks, type ReserveCheck } from '../payments/store-escrow.ts'
import { type SnapshotDeps, takeSnapshot } from './take-snapshot.ts'

const usualLimit = 20

/** The newest comparisons, newest first. */
export async function listReserveChecks(deps: { db: Db }, { limit = usualLimit }: { limit?: number | undefined }): Promise<ReserveChecks> {
  return { items: (await findReserveChecks(deps.db, limit)).map(checkView) }
}

/** Compares now. Problems: reserves_busy while another reader has the escrow's history, chain_unavailable when the chain does not answer. */
export async function checkReservesNow(deps: SnapshotDeps): Promise<View> {
  let check: ReserveCheck | undefined
  try {
    check = await takeSnapshot(deps)
  } catch (error) {
    console.error(JSON.stringify({ level: 'warn', event: 'reserves_not_checked', message: (error as Error).message }))
    throw new Problem('chain_unavailable', { detail: 'The escrow could not be read from the chain; nothing was compared' })
  }
  if (!check) throw new Problem('reserves_busy')
  return checkView(check)
}

function checkView(check: ReserveCheck): View {
  return {
    slot: check.slot.toString(),
    at: new Date(check.atMs).toISOString(),
    chainAtoms: check.chainAtoms.toString(),
    ledgerAtoms: check.ledgerAtoms.toString(),
    waitingAtoms: check.waitingAtoms.toString(),
    differenceAtoms: check.differenceAtoms.toString(),
    detail: check.detail,
  }
}
