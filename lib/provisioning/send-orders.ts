// Sending orders: what the market wants of a lease reaches the node, now or as soon as it is back.
import { type LeaseOrder, lostAfterMs } from '@flow402/protocol/lease'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findOpenLeases, findUnsentOrders, type RentalRecord, setSentRevision } from '../rentals/store.ts'
import type { NodeLink } from './node-link.ts'
import { signOrder } from './sign-for-node.ts'

export type OrderDeps = { db: Db; now: Now; keys: MarketKeys; link: NodeLink }

const batch = 100

/** The order that a rental's present state asks for. */
export function orderFor(rental: RentalRecord): LeaseOrder {
  const { units, perUnit } = rental
  return {
    rentalId: rental.id,
    epoch: rental.epoch,
    revision: rental.revision,
    desired: rental.status === 'starting' || rental.status === 'running' ? 'running' : 'ended',
    paidSeconds: rental.minutes * 60,
    spec: {
      image: rental.image,
      command: rental.command,
      env: rental.env,
      sshPublicKey: rental.sshPublicKey,
      ramMb: units * perUnit.ramMb,
      cpuMillis: units * perUnit.cpuMillis,
      diskMb: units * perUnit.diskMb,
      gpuUnits: rental.kind === 'gpu' ? units : 0,
    },
  }
}

/**
 * Sends one rental's order; false when the node cannot be reached now (the clock tries again).
 * The answer only says that the order is on the node's disk: what became of the lease comes in its reports, after the usage that they end.
 */
export async function sendOrder(deps: OrderDeps, rental: RentalRecord): Promise<boolean> {
  if (!deps.link.isConnected(rental.nodeId)) return false
  try {
    await deps.link.putLease(rental.nodeId, rental.id, await signOrder(deps.keys, rental.nodeId, orderFor(rental)))
    await setSentRevision(deps.db, rental.id, rental.revision)
    return true
  } catch (error) {
    console.error(JSON.stringify({ level: 'warn', event: 'order_not_delivered', rental: rental.id, message: (error as Error).message }))
    return false
  }
}

/** Sends every order that its node has not acknowledged. Returns how many were delivered. */
export async function sendUnsentOrders(deps: OrderDeps): Promise<number> {
  const rentals = await findUnsentOrders(deps.db, deps.now() - lostAfterMs, batch)
  const sent = await Promise.all(rentals.map((rental) => sendOrder(deps, rental)))
  return sent.filter(Boolean).length
}

/** A node is back: it gets the order of every lease that it may still hold. */
export async function sendAllOrders(deps: OrderDeps, nodeId: string): Promise<void> {
  for (const rental of await findOpenLeases(deps.db, nodeId)) await sendOrder(deps, rental)
}
