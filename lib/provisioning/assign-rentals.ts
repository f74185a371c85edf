// Assigning: a paid rental is given to its node under a new epoch, and the order goes out.
import { randomUUID } from 'node:crypto'
import type { CrashPoint } from '../crash.ts'
import { oneByOne } from '../one-by-one.ts'
import { moveRental } from '../rentals/move-rental.ts'
import { findRental, takeRentals } from '../rentals/store.ts'
import { type OrderDeps, sendOrder } from './send-orders.ts'

const leaseMs = 5_000
const batch = 50

/** Moves paid rentals to starting and sends their orders. Returns how many were moved. */
export async function assignRentals(deps: OrderDeps & { crash: CrashPoint }): Promise<number> {
  const nowMs = deps.now()
  const ids = await takeRentals(deps.db, 'paid', { token: randomUUID(), nowMs, leaseMs, limit: batch })
  const moved = await Promise.all(ids.map((id) => oneByOne('not_assigned', [id], String, () => assignOne(deps, id, nowMs))))
  return moved.reduce((total, count) => total + count, 0)
}

async function assignOne(deps: OrderDeps & { crash: CrashPoint }, id: string, nowMs: number): Promise<boolean> {
  const rental = await findRental(deps.db, id)
  if (rental?.status !== 'paid') return false
  deps.crash('paid')
  const epoch = rental.epoch + 1
  await moveRental(deps.db, rental, 'assign', { epoch, revision: 1, sent_revision: 0, assigned_at: new Date(nowMs) })
  deps.crash('assigned')
  await sendOrder(deps, { ...rental, status: 'starting', epoch, revision: 1 })
  return true
}
