// Reading receipts: what was written when the rental settled, with its statement made from the rows and its place on the chain.
import type { Receipt } from '@flow402/protocol/receipt'
import type { Engine } from '@flow402/rust-lib/engine'
import type { Db } from '../db/client.ts'
import { placeIn } from './anchor.ts'
import { makeStatement } from './make-statement.ts'
import { inPortions } from './portions.ts'
import type { StoredReceipt } from './store.ts'
import { findAnchoredRoots, findAnchors, findStated, findUsage } from './store-statements.ts'

/** How many records are in memory at most, but for one rental that has more. */
const recordsAtOnce = 50_000

export type ReadDeps = { db: Db; engine: Pick<Engine, 'digests' | 'merkleProof'> }

/** The receipts in their order, one portion after the other; those of version 1 as they are. */
export async function* readReceipts(deps: ReadDeps, stored: readonly StoredReceipt[], withStatement: boolean): AsyncGenerator<Receipt> {
  for (const portion of inPortions(stored, ({ usage }) => (withStatement ? usage.records : 0) + 1, recordsAtOnce)) {
    const anchored = portion.flatMap((receipt) => (receipt.version === 1 ? [] : [receipt.rentalId]))
    const anchors = await findAnchors(deps.db, anchored)
    const roots = await findAnchoredRoots(deps.db, [...new Set([...anchors.values()].map(({ transferId }) => transferId))])
    const statements = withStatement ? await statementsOf(deps, anchored) : new Map<string, Uint8Array>()
    for (const receipt of portion) {
      if (receipt.version === 1) {
        yield receipt
        continue
      }
      const { rentalId } = receipt
      const found = anchors.get(rentalId)
      const place = found && placeIn(roots.get(found.transferId) ?? new Map(), rentalId, deps.engine)
      const statement = statements.get(rentalId)
      yield {
        ...receipt,
        ...(statement ? { statement: Buffer.from(statement).toString('base64') } : {}),
        anchor: found && place ? { transaction: found.transaction, root: found.anchor, ...place } : null,
      }
    }
  }
}

/** The statements of rentals whose books are closed, made from the rows as they are now: whoever changed one is found out by its root. */
export async function statementsOf(deps: Pick<ReadDeps, 'db'> & { engine: Pick<Engine, 'digests'> }, rentalIds: readonly string[]) {
  const rentals = await findStated(deps.db, rentalIds)
  const usage = await findUsage(deps.db, [...rentals.values()])
  return new Map([...rentals].map(([id, rental]) => [id, makeStatement(rental, usage.get(id) ?? [], deps.engine)]))
}
