// Sending what is owed: sign, store the signature, broadcast, and book only what the chain confirmed.
import { randomUUID } from 'node:crypto'
import type { Now } from '../clock.ts'
import type { CrashPoint } from '../crash.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { postTransfer } from '../ledger/post.ts'
import type { PaymentRail, SignedMovement } from '../payments/payment-rail.ts'
import {
  putBackTransfer,
  setTransferConfirmed,
  setTransferOwedAgain,
  setTransferSigned,
  type Transfer,
  takeTransfers,
} from '../payments/store-transfers.ts'

type Deps = { db: Db; now: Now; rail: PaymentRail; crash: CrashPoint }

const leaseMs = 15_000
const confirmMs = 10_000
const batch = 30
const firstRetryMs = 2_000
const slowestRetryMs = 300_000

/** Sends every transfer that is due; returns how many were confirmed. A failed one stays owed, visible, and is tried again later and later. */
export async function sendTransfers(deps: Deps): Promise<number> {
  const token = randomUUID()
  const transfers = await takeTransfers(deps.db, { token, nowMs: deps.now(), leaseMs, limit: batch })
  const confirmed = await Promise.all(transfers.map((transfer) => sendOne(deps, transfer, token)))
  return confirmed.filter(Boolean).length
}

async function sendOne(deps: Deps, transfer: Transfer, token: string): Promise<boolean> {
  try {
    const signed = transfer.signed ?? (await sign(deps, transfer, token))
    if (!signed) return false
    deps.crash('transfer_signed')
    // Sent before, perhaps: the chain is asked first, so that an old blockhash is not mistaken for a failure.
    let fact = transfer.signed ? await deps.rail.movementFact(signed.signature, 0) : undefined
    if (fact?.kind !== 'landed') {
      if (fact?.kind === 'absent' && fact.finalizedHeight > signed.lastValidBlockHeight) {
        await setTransferOwedAgain(deps.db, transfer.id, token, 'it never landed and can no longer land')
        return await later(deps, transfer, token, 'signed anew next time')
      }
      await deps.rail.broadcast(signed)
      deps.crash('transfer_sent')
      fact = await deps.rail.movementFact(signed.signature, confirmMs)
    }
    if (fact.kind === 'failed') {
      await setTransferOwedAgain(deps.db, transfer.id, token, fact.reason)
      return await later(deps, transfer, token, fact.reason)
    }
    if (fact.kind === 'absent') return await later(deps, transfer, token, 'not on chain yet')
    return await confirm(deps, transfer, signed)
  } catch (error) {
    return later(deps, transfer, token, (error as Error).message)
  }
}

async function sign(deps: Deps, transfer: Transfer, token: string): Promise<SignedMovement | undefined> {
  const signed = await deps.rail.signMovement(transfer.movement, transfer.id)
  return (await setTransferSigned(deps.db, transfer.id, token, signed)) ? signed : undefined
}

async function confirm(deps: Deps, transfer: Transfer, signed: SignedMovement): Promise<boolean> {
  const nowMs = deps.now()
  return inTransaction(deps.db, async (tx) => {
    if (!(await setTransferConfirmed(tx, transfer.id, signed.signature, nowMs))) return false
    const { rentalId, currency } = transfer
    const { kind, amountAtoms } = transfer.movement
    await postTransfer(tx, { rentalId, currency, transferId: transfer.id, kind, amountAtoms, signature: signed.signature, nowMs })
    return true
  })
}

async function later(deps: Deps, transfer: Transfer, token: string, reason: string): Promise<false> {
  const waitMs = Math.min(firstRetryMs * 2 ** Math.min(transfer.attempts, 10), slowestRetryMs)
  await putBackTransfer(deps.db, transfer.id, token, deps.now() + waitMs, reason)
  console.error(
    JSON.stringify({ level: 'warn', event: 'transfer_waits', transfer: transfer.id, rental: transfer.rentalId, reason, waitMs }),
  )
  return false
}
