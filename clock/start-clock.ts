// The clock: time drives every rental onward, whatever request, crash or silence came before.

import { decideDueDisputes } from '../lib/disputes/decide-dispute.ts'
import { followEvents } from '../lib/follow-events.ts'
import { forgetOldAnswers } from '../lib/idempotency/forget-old-answers.ts'
import { endDueRentals } from '../lib/metering/end-due-rentals.ts'
import { reconcilePayments } from '../lib/payments/reconcile-payments.ts'
import { scanEscrow } from '../lib/payments/scan-escrow.ts'
import { assignRentals } from '../lib/provisioning/assign-rentals.ts'
import { sendUnsentOrders } from '../lib/provisioning/send-orders.ts'
import { takeSnapshot } from '../lib/reserves/take-snapshot.ts'
import { checkStatements } from '../lib/settlement/check-statements.ts'
import { closeBooks } from '../lib/settlement/close-books.ts'
import { payOutEarnings } from '../lib/settlement/pay-out-earnings.ts'
import { reversePayments } from '../lib/settlement/reverse-payments.ts'
import { sendTransfers } from '../lib/settlement/send-transfers.ts'
import { settleRentals } from '../lib/settlement/settle-rentals.ts'
import type { House } from '../lib/wiring.ts'
import { beat } from './beat.ts'

/** How long a transfer is awaited with more attention: final on mainnet takes some 13 s. */
const awaitedMs = 20_000

/** Starts every beat and connects it to the house's wake-up calls. `stop` waits for what is under way. */
export function startClock(house: House): { stop(): Promise<void> } {
  const upSinceMs = house.now()
  // What was just sent is looked for more often: somebody waits for the refund.
  let sentAtMs = 0
  const escrowEveryMs = () => (house.now() - sentAtMs < awaitedMs ? 250 : 1_000)
  const beats = {
    payments: beat('payments', 1_000, () => reconcilePayments(house)),
    assign: beat('assign', 1_000, () => assignRentals(house)),
    orders: beat('orders', 1_000, () => sendUnsentOrders(house)),
    time: beat('time', 1_000, () => endDueRentals(house, upSinceMs)),
    escrow: beat('escrow', escrowEveryMs, async () => {
      const scanned = await scanEscrow(house)
      if (!scanned) return 0
      const { found, isComplete } = scanned
      if (found.payment > 0) beats.books.wake()
      if (found.undecided > 0) beats.payments.wake()
      if (found.transfer > 0) beats.receipts.wake()
      if (found.payment + found.refund > 0) beats.transfers.wake()
      return isComplete ? 0 : 1
    }),
    reversals: beat('reversals', 5_000, async () => {
      const reversed = await reversePayments(house)
      if (reversed > 0) beats.orders.wake()
      return reversed
    }),
    reserves: beat('reserves', 30_000, async () => {
      await takeSnapshot(house)
      return 0
    }),
    books: beat('books', 1_000, async () => {
      const checked = await checkStatements(house)
      const closed = await closeBooks(house)
      if (closed > 0) beats.payouts.wake()
      if (closed > 0) beats.transfers.wake()
      return checked + closed
    }),
    payouts: beat('payouts', 1_000, async () => {
      const paid = await payOutEarnings(house)
      if (paid > 0) beats.transfers.wake()
      return paid
    }),
    transfers: beat('transfers', 1_000, async () => {
      const sent = await sendTransfers(house)
      if (sent > 0) sentAtMs = house.now()
      if (sent > 0) beats.escrow.wake()
      return sent
    }),
    receipts: beat('receipts', 1_000, () => settleRentals(house)),
    disputes: beat('disputes', 10_000, async () => {
      const decided = await decideDueDisputes(house)
      if (decided > 0) beats.transfers.wake()
      return decided
    }),
    answers: beat('answers', 600_000, () => forgetOldAnswers(house)),
  }
  house.onWake((name) => beats[name].wake())
  // What another process committed: without it, that would wait for the next beat.
  const follow = followEvents(house)
  const events = beat('events', 250, async () => {
    for (const work of await follow()) beats[work].wake()
    return 0
  })
  return {
    async stop() {
      await Promise.all([events, ...Object.values(beats)].map((each) => each.stop()))
    },
  }
}
