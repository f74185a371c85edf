// What machines tell: each report goes to the verb that owns it.

import type { SignedUsage } from '@flow402/protocol/usage'
import { takeUsage } from '../lib/metering/take-usage.ts'
import { authenticateNode } from '../lib/nodes/authenticate-node.ts'
import { markNodeSeen } from '../lib/nodes/mark-node-seen.ts'
import { recordDoctor } from '../lib/offers/record-doctor.ts'
import { sendAllOrders } from '../lib/provisioning/send-orders.ts'
import { takeLeaseStatus } from '../lib/provisioning/take-lease-status.ts'
import type { House } from '../lib/wiring.ts'
import type { TunnelEvents } from './tunnel.ts'

/** Connects the tunnel to the house. */
export function machineEvents(house: House): TunnelEvents {
  async function takeUsages(nodeId: string, usages: readonly SignedUsage[]): Promise<void> {
    const verdicts = await takeUsage(house, nodeId, usages)
    for (const [index, verdict] of verdicts.entries()) {
      const rental = usages[index]?.record.rentalId
      // A record that is not genuine is answered like any other, so that it does not block what follows; it counts for nothing.
      if (verdict.kind === 'refused') log('usage_refused', { node: nodeId, rental, reason: verdict.reason })
    }
    if (verdicts.some((verdict) => verdict.kind === 'added' && verdict.final)) house.wake('books')
  }

  return {
    async authenticate(hello, nonce) {
      await authenticateNode(house, hello, nonce)
    },
    async connected(nodeId) {
      await markNodeSeen(house, nodeId)
      // Not waited for: reports must flow while orders go out.
      sendAllOrders(house, nodeId).catch((error: Error) => log('orders_not_sent', { node: nodeId, message: error.message }))
    },
    takeUsages,
    async takeReport(nodeId, report) {
      if (report.kind === 'heartbeat') return markNodeSeen(house, nodeId)
      if (report.kind === 'doctor') {
        const { listed } = await recordDoctor(house, nodeId, report.report)
        return log('node_tested', { node: nodeId, listed })
      }
      if (report.kind === 'usage') return takeUsages(nodeId, [report.usage])
      const changed = await takeLeaseStatus(house, nodeId, report.status)
      if (changed) {
        house.wake('books')
        house.wake('orders')
      }
    },
  }
}

function log(event: string, fields: Record<string, unknown>): void {
  console.log(JSON.stringify({ level: 'info', event, ...fields }))
}
