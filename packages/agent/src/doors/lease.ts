// Lease door: the market's signed orders come in, and what this node knows of its leases goes out.
import { SignedOrder } from '@flow402/protocol/lease'
import { answerJson, type Call, type DoorDeps, readBody } from './door.ts'

/** Takes an order: 200 with the lease's status once it is on disk; a stale one changes nothing and gets the same answer. */
export async function serveOrder(deps: DoorDeps, call: Call): Promise<void> {
  const { order } = await readBody(call.stream, SignedOrder)
  const checked = await deps.word.order(order, call.rentalId)
  answerJson(call.stream, 200, deps.leases.order(checked))
}

/** 200 `{items: LeaseStatus[]}`: every lease of the last days. */
export async function serveLeases(deps: DoorDeps, call: Call): Promise<void> {
  answerJson(call.stream, 200, { items: deps.leases.statuses() })
}
