// Orders without a clock: a gateway reaches machines that no other process can reach, so it sends their orders even where time is another's.
import { sendUnsentOrders } from '../lib/provisioning/send-orders.ts'
import type { House } from '../lib/wiring.ts'
import { beat } from './beat.ts'

/** Starts the one beat that a gateway needs when ROLE gives the clock to other processes. `stop` waits for what is under way. */
export function startOrders(house: House): { stop(): Promise<void> } {
  const orders = beat('orders', 1_000, () => sendUnsentOrders(house))
  house.onWake((name) => {
    if (name === 'orders') orders.wake()
  })
  return { stop: () => orders.stop() }
}
