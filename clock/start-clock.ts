// The clock: time drives every rental onward, whatever request, crash or silence came before.

import { endDueRentals } from '../lib/metering/end-due-rentals.ts'
import { reconcilePayments } from '../lib/payments/reconcile-payments.ts'
import { assignRentals } from '../lib/provisioning/assign-rentals.ts'
import { sendUnsentOrders } from '../lib/provisioning/send-orders.ts'
import { closeBooks } from '../lib/settlement/close-books.ts'
import { sendTransfers } from '../lib/settlement/send-transfers.ts'
import { settleRentals } from '../lib/settlement/settle-rentals.ts'
import type { House } from '../lib/wiring.ts'
import { beat } from './beat.ts'

/** Starts every beat and connects it to the house's wake-up calls. `stop` waits for what is under way. */
export function startClock(house: House): { stop(): Promise<void> } {
  const upSinceMs = house.now()
  const beats = {
    payments: beat('payments', 1_000, () => reconcilePayments(house)),
    assign: beat('assign', 1_000, () => assignRentals(house)),
    orders: beat('orders', 1_000, () => sendUnsentOrders(house)),
    time: beat('time', 1_000, () => endDueRentals(house, upSinceMs)),
    books: beat('books', 1_000, async () => {
      const closed = await closeBooks(house)
      if (closed > 0) beats.transfers.wake()
      return closed
    }),
    transfers: beat('transfers', 1_000, async () => {
      const confirmed = await sendTransfers(house)
      if (confirmed > 0) beats.receipts.wake()
      return confirmed
    }),
    receipts: beat('receipts', 1_000, () => settleRentals(house)),
  }
  house.onWake((name) => beats[name].wake())
  return {
    async stop() {
      await Promise.all(Object.values(beats).map((each) => each.stop()))
    },
  }
}
