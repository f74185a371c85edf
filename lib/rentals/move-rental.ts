// Moving a rental: every change of state goes through the one table of moves and is guarded by the state it leaves.
import { Problem } from '@flow402/protocol/problem'
import { type EndReason, nextState, type RentalEvent, type RentalState } from '@flow402/protocol/rental'
import type { Db, Tx } from '../db/client.ts'
import { type RentalChange, setRentalStatus } from './store.ts'

/**
 * Moves a rental by an event. Problem rental_cannot when the table has no such move,
 * rental_moved_meanwhile when the row left that state before us (drop the result: somebody else was first).
 */
export async function moveRental(
  db: Db | Tx,
  rental: { id: string; status: RentalState },
  event: RentalEvent,
  change: RentalChange = {},
): Promise<RentalState> {
  const to = nextState(rental.status, event)
  if (!to) throw new Problem('rental_cannot', { id: rental.id, state: rental.status, event })
  if (!(await setRentalStatus(db, rental.id, rental.status, to, change))) throw new Problem('rental_moved_meanwhile', { id: rental.id })
  return to
}

const endEvents = { paid: 'giveUp', starting: 'fail', running: { stopped: 'stop', time_up: 'timeUp', node_lost: 'lose' } } as const

/** The event that ends a rental in this state for this reason; undefined when it is not alive any more. */
export function endEvent(status: RentalState, reason: EndReason): RentalEvent | undefined {
  if (status === 'paid' || status === 'starting') return endEvents[status]
  if (status !== 'running') return undefined
  return (endEvents.running as Partial<Record<EndReason, RentalEvent>>)[reason] ?? 'exit'
}
