// A provider's payouts: what is owed to its machine, and the rule by which it is paid.
import type { NodePayouts, PayoutPolicy } from '@flow402/protocol/node'
import { Problem } from '@flow402/protocol/problem'
import type { Db } from '../db/client.ts'
import { findNodePayouts, setPayoutPolicy } from './store.ts'

/** What a machine earned and got. Problem node_not_found. Who may see it was checked at the door. */
export async function getNodePayouts(deps: { db: Db }, nodeId: string): Promise<NodePayouts> {
  const payouts = await findNodePayouts(deps.db, nodeId)
  if (!payouts) throw new Problem('node_not_found')
  return payouts
}

/** Chooses from what sum on and how often the machine is paid, from the next payout on. The address is not changed by this. */
export async function choosePayouts(deps: { db: Db }, nodeId: string, policy: PayoutPolicy): Promise<NodePayouts> {
  await setPayoutPolicy(deps.db, nodeId, policy)
  return getNodePayouts(deps, nodeId)
}
