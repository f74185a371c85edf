// Sending what is owed: sign, store the signature, broadcast, and sign anew only what can never land. That it landed is for the scan to say.
import { randomUUID } from 'node:crypto'
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import { type Db, inTransaction, type Tx } from '../db/client.ts'
import { holdTransfer, voidTransfer } from '../ledger/post.ts'
import { lockSigning, sumSignedOut } from '../ledger/store.ts'
import { confirmTransfer, type PartsOf } from '../payments/finalize-movement.ts'
import { memoOf, type PaymentRail, type SignedMovement } from '../payments/payment-rail.ts'
import { findScanCompletion, findUnexplained, isFrozen, setFate } from '../payments/store-escrow.ts'
import {
  findPaidDestinations,
  putBackTransfer,
  setTransferOwedAgain,
  setTransferSigned,
  type Transfer,
  takeTransfers,
} from '../payments/store-transfers.ts'
import { findPayoutParts } from './store.ts'

type Deps = {
  db: Db
  now: Now
  rail: Pick<PaymentRail, 'signMovement' | 'broadcast' | 'findMovement'>
  crash: CrashPoint
  /** When this process began, Unix ms: the history must have been read to its end since. */
  upSinceMs: number
  /** What may be signed out of the escrow within any hour, by all processes together, in atoms. */
  escrowHourlyCapAtoms: bigint
}

const leaseMs = 15_000
const batch = 30
/** How long after a broadcast it is looked at again: the scan has usually seen it final by then. */
const lookAgainMs = 2_000
const firstRetryMs = 2_000
const slowestRetryMs = 300_000
/**
 * Nothing is sent while the escrow's history was last read longer ago, or before this process began (then over a backup, perhaps): it may
 * have been paid already.
 */
const staleScanMs = 120_000
/** How much older than the debt the chain's history is searched: clocks differ. */
const historyMarginMs = 60_000
const hourMs = 3_600_000
/** How soon a transfer that the hour did not allow is looked at again. */
const capRetryMs = 30_000

/** Whose money a transfer carries: the earnings of a payout, otherwise its rental, or the receipt that it answers. */
export const partsOf: PartsOf = async (tx, transfer) => {
  if (transfer.movement.kind === 'payout') return findPayoutParts(tx, transfer.id)
  return [{ subject: transfer.rentalId ?? transfer.movement.externalId, amountAtoms: transfer.movement.amountAtoms }]
}

/** Sends every transfer that is due; returns how many were broadcast. One that fails stays owed, visible, and is tried again later and later. */
export async function sendTransfers(deps: Deps): Promise<number> {
  const readAtMs = await findScanCompletion(deps.db)
  if (readAtMs === null || readAtMs < deps.upSinceMs || deps.now() - readAtMs > staleScanMs) return 0
  const token = randomUUID()
  const onlyRefunds = await isFrozen(deps.db)
  const transfers = await takeTransfers(deps.db, { token, nowMs: deps.now(), leaseMs, limit: batch, onlyRefunds })
  const paidBefore = await findUnexplained(
    deps.db,
    transfers.map(({ id }) => id),
  )
  const knownDestinations = await findPaidDestinations(
    deps.db,
    transfers.map(({ movement }) => movement.destination),
  )
  const overCap = await findOverCap(
    deps,
    transfers.filter((transfer) => !transfer.signed && !paidBefore.has(transfer.id)),
  )
  const sent = await Promise.all(
    transfers.map((transfer) =>
      sendOne(deps, transfer, token, {
        paidBefore: paidBefore.get(transfer.id),
        isOverCap: overCap.has(transfer.id),
        // Who pays has an account, and who was paid before had one: an account is opened once per address, at our cost, and never for a refund.
        mayOpenAccount: transfer.movement.kind !== 'refund' && !knownDestinations.has(transfer.movement.destination),
      }),
    ),
  )
  return sent.filter(Boolean).length
}

async function sendOne(
  deps: Deps,
  transfer: Transfer,
  token: string,
  { paidBefore, isOverCap, mayOpenAccount }: { paidBefore: string | undefined; isOverCap: boolean; mayOpenAccount: boolean },
): Promise<boolean> {
  try {
    if (paidBefore !== undefined) return await confirmPaid(deps, transfer, paidBefore)
    if (transfer.signed) return await sendAgain(deps, transfer, transfer.signed, token)
    if (isOverCap) return await waitForTheHour(deps, transfer, token)
    const signed = await deps.rail.signMovement(transfer.movement, memoOf(transfer), mayOpenAccount)
    const stored = await storeSigned(deps, transfer, signed, token)
    if (stored === 'over_cap') return await waitForTheHour(deps, transfer, token)
    if (stored === 'in_other_hands') return false
    deps.crash('transfer_signed')
    await deps.rail.broadcast(signed)
    deps.crash('transfer_sent')
    await putBackTransfer(deps.db, transfer.id, token, deps.now() + lookAgainMs, null)
    return true
  } catch (error) {
    return later(deps, transfer, token, (error as Error).message)
  }
}

/** Sent before, perhaps: only when it can never land any more may another signature be made for it. */
async function sendAgain(deps: Deps, transfer: Transfer, signed: SignedMovement, token: string): Promise<boolean> {
  const fact = await deps.rail.findMovement(transfer.id, signed.signature, transfer.createdAtMs - historyMarginMs)
  if (fact.kind === 'landed') {
    await putBackTransfer(deps.db, transfer.id, token, deps.now() + lookAgainMs, null)
    return false
  }
  if (fact.kind === 'failed') return owedAgain(deps, transfer, token, fact.reason)
  if (fact.finalizedHeight > signed.lastValidBlockHeight)
    return owedAgain(deps, transfer, token, 'it never landed and can no longer land; it is signed anew next time')
  await deps.rail.broadcast(signed)
  await putBackTransfer(deps.db, transfer.id, token, deps.now() + lookAgainMs, null)
  return true
}

/** The chain has it under this debt's name already: it was paid before this debt was written down (again). */
async function confirmPaid(deps: Deps, transfer: Transfer, signature: string): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    if (!(await setFate(tx, signature, 'unexplained', 'transfer', transfer.id))) return false
    return confirmTransfer({ now: deps.now, partsOf }, tx, transfer.id, signature)
  })
}

const holdOf = (transfer: Transfer, attempt: number, nowMs: number) => ({
  transferId: transfer.id,
  attempt,
  kind: transfer.movement.kind,
  rentalId: transfer.rentalId,
  currency: transfer.currency,
  nowMs,
})

type Stored = 'stored' | 'in_other_hands' | 'over_cap'

/** Stores a signature before anybody sees it, unless others have used up the hour meanwhile; then it is forgotten. */
async function storeSigned(deps: Deps, transfer: Transfer, signed: SignedMovement, token: string): Promise<Stored> {
  return inTransaction(deps.db, async (tx) => {
    // One after the other, so that two processes together stay below the cap as well.
    await lockSigning(tx)
    if ((await leftThisHour(deps, tx)) < transfer.movement.amountAtoms) return 'over_cap'
    const attempt = await setTransferSigned(tx, transfer.id, token, signed)
    if (attempt === undefined) return 'in_other_hands'
    await holdTransfer(tx, { ...holdOf(transfer, attempt, deps.now()), amountAtoms: transfer.movement.amountAtoms })
    return 'stored'
  })
}

/** What may still be signed now; less than nothing when the cap was lowered. */
async function leftThisHour({ db, now, escrowHourlyCapAtoms }: Deps, tx?: Tx): Promise<bigint> {
  return escrowHourlyCapAtoms - (await sumSignedOut(tx ?? db, now() - hourMs))
}

/** Which of these the hour does not allow, oldest served first: they are not even signed. One that is too large keeps no smaller one back. */
async function findOverCap(deps: Deps, unsigned: Transfer[]): Promise<Set<string>> {
  const over = new Set<string>()
  if (unsigned.length === 0) return over
  let left = await leftThisHour(deps)
  for (const { id, movement } of unsigned.toSorted((a, b) => a.createdAtMs - b.createdAtMs)) {
    if (movement.amountAtoms > left) over.add(id)
    else left -= movement.amountAtoms
  }
  if (over.size > 0)
    console.error(
      JSON.stringify({ level: 'error', event: 'hourly_cap_reached', waiting: over.size, capAtoms: deps.escrowHourlyCapAtoms.toString() }),
    )
  return over
}

async function waitForTheHour(deps: Deps, transfer: Transfer, token: string): Promise<false> {
  const cap = deps.escrowHourlyCapAtoms
  const reason =
    transfer.movement.amountAtoms > cap
      ? `it is more than may leave the escrow in an hour (ESCROW_HOURLY_CAP_ATOMS=${cap})`
      : `what may leave the escrow in an hour has left it (ESCROW_HOURLY_CAP_ATOMS=${cap}); it goes out when the hour allows`
  await putBackTransfer(deps.db, transfer.id, token, deps.now() + capRetryMs, reason)
  return false
}

async function owedAgain(deps: Deps, transfer: Transfer, token: string, reason: string): Promise<false> {
  await inTransaction(deps.db, async (tx) => {
    if (await setTransferOwedAgain(tx, transfer.id, token, reason)) await voidTransfer(tx, holdOf(transfer, transfer.attempts, deps.now()))
  })
  return later(deps, transfer, token, reason)
}

async function later(deps: Deps, transfer: Transfer, token: string, reason: string): Promise<false> {
  // The older the debt, the rarer the try, whether it failed before it was signed or after.
  const waitMs = Math.min(Math.max(firstRetryMs, Math.floor((deps.now() - transfer.createdAtMs) / 10)), slowestRetryMs)
  await putBackTransfer(deps.db, transfer.id, token, deps.now() + waitMs, reason)
  console.error(
    JSON.stringify({ level: 'warn', event: 'transfer_waits', transfer: transfer.id, rental: transfer.rentalId, reason, waitMs }),
  )
  return false
}
