// Following events: every committed change of state, in an order that misses none, for whoever has to do something about it.
import type { Db } from './db/client.ts'
import { type EventPosition, findEvents, findNewestEvent } from './db/events.ts'
import type { Work } from './wake.ts'

const batch = 500

/** What is to be done once something came to a state: `noun to_status` -> work. */
const workFor: Record<string, Work[]> = {
  'rental paid': ['assign'],
  'rental ending': ['orders', 'books'],
  'transfer owed': ['transfers'],
  'transfer signed': ['escrow'],
  'transfer confirmed': ['receipts'],
}

/**
 * Opens a follower at the newest event, or after `from`. Each call reads what was committed since and answers the work that it asks for; an event may come
 * twice (then its work is looked for once more, and there is none), but never not at all: only what is older than every open
 * transaction is read, so nothing can be committed behind the position.
 */
export function followEvents(deps: { db: Db }, from?: EventPosition): () => Promise<Set<Work>> {
  let position = from
  return async () => {
    position ??= await findNewestEvent(deps.db)
    const events = await findEvents(deps.db, position, batch)
    position = events.at(-1)?.position ?? position
    return new Set(events.flatMap(({ noun, toStatus }) => workFor[`${noun} ${toStatus}`] ?? []))
  }
}
