// Paying out: what a provider earned becomes one transfer to its own address, as often and from what sum on as it chose.
import { createHash } from 'node:crypto'
import type { Engine } from '@flow402/rust-lib/engine'
import type { Now } from '../clock.ts'
import { type Db, inTransaction } from '../db/client.ts'
import { oneByOne } from '../one-by-one.ts'
import { addOwedTransfer, transferIdFor } from '../payments/store-transfers.ts'
import { anchorOf } from './anchor.ts'
import { findPayoutsDue, lockPayableEarnings, setEarningsPaidBy } from './store.ts'
import { findRoots } from './store-statements.ts'

const nodesAtOnce = 100
/** How many rentals one transfer pays for at most. */
const earningsAtOnce = 1_000

type Deps = { db: Db; now: Now; engine: Pick<Engine, 'merkleRoot'> }

/** Makes the transfers that are due; returns for how many machines. Two workers never pay the same earning: each is given to one transfer. */
export async function payOutEarnings(deps: Deps): Promise<number> {
  const nodeIds = await findPayoutsDue(deps.db, deps.now(), nodesAtOnce)
  return oneByOne('payout_not_made', nodeIds, String, (nodeId) => payOutNode(deps, nodeId))
}

async function payOutNode(deps: Deps, nodeId: string): Promise<boolean> {
  return inTransaction(deps.db, async (tx) => {
    const nowMs = deps.now()
    const payable = await lockPayableEarnings(tx, nodeId, nowMs, earningsAtOnce)
    // The address is frozen with each rental: what was agreed for another address or currency goes out by itself next time.
    const [first] = payable
    if (!first) return false
    const { payoutAddress: destination, currency } = first
    const earnings = payable.filter((earning) => earning.payoutAddress === destination && earning.currency === currency)
    const ids = earnings.map(({ externalId }) => externalId)
    const externalId = ids.length === 1 ? first.externalId : bundleId(ids)
    const amountAtoms = earnings.reduce((sum, earning) => sum + earning.amountAtoms, 0n)
    const rentalId = ids.length === 1 ? first.rentalId : null
    const roots = await findRoots(
      tx,
      earnings.map((earning) => earning.rentalId),
    )
    const anchor = anchorOf(roots, deps.engine)
    await addOwedTransfer(tx, { rentalId, currency, movement: { kind: 'payout', externalId, destination, amountAtoms }, nowMs, anchor })
    await setEarningsPaidBy(tx, nodeId, ids, transferIdFor('payout', externalId), nowMs)
    return true
  })
}

/** What a transfer for many earnings is called: it follows from which they are. */
function bundleId(externalIds: string[]): string {
  return `bundle_${createHash('sha256').update(externalIds.toSorted().join('\n')).digest('hex').slice(0, 32)}`
}
