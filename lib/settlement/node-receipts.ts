// A provider's receipts: all that its machine was settled for within some time, one after the other, however many.
import type { Receipt, ReceiptsQuery } from '@flow402/protocol/receipt'
import { type ReadDeps, readReceipts } from './read-receipts.ts'
import { findReceiptsOf, type ReceiptPosition } from './store.ts'

/** How many receipts are read at once: so much is in memory, and no more, however long the whole is. */
const pageSize = 100

/** Receipts with their statements, by the time of settlement, from `from` on and before `to`. Who may see them was checked at the door. */
export async function* nodeReceipts(deps: ReadDeps, nodeId: string, { from, to }: ReceiptsQuery): AsyncGenerator<Receipt> {
  const time = { fromMs: from === undefined ? 0 : Date.parse(from), toMs: to === undefined ? farMs : Date.parse(to) }
  for (let after: ReceiptPosition | undefined; ; ) {
    const page = await findReceiptsOf(deps.db, nodeId, { ...time, after, limit: pageSize })
    yield* readReceipts(
      deps,
      page.map(({ receipt }) => receipt),
      true,
    )
    after = page.at(-1)?.position
    if (page.length < pageSize) return
  }
}

/** Later than anything: the year 9999. */
const farMs = 253_402_300_799_000
