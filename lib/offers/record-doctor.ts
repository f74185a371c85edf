// The self-test: a node's offers are listed only while its last test passed and covers what they promise.
import type { DoctorReport } from '@flow402/protocol/node'
import { type Db, inTransaction } from '../db/client.ts'
import { setNodeDoctor } from '../nodes/store.ts'
import { setOffersPublished, sumOffered } from './store.ts'

/** Stores a node's self-test and lists or unlists its offers. Running rentals are not touched. */
export async function recordDoctor(deps: { db: Db }, nodeId: string, report: DoctorReport): Promise<{ listed: boolean }> {
  return inTransaction(deps.db, async (tx) => {
    const offered = await sumOffered(tx, nodeId)
    const listed = report.ok && offered.ramMb <= report.ramMb && offered.diskMb <= report.diskMb
    await setNodeDoctor(tx, nodeId, report)
    await setOffersPublished(tx, nodeId, listed)
    return { listed }
  })
}
