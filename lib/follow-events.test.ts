// Following events: every committed change is told, in order, even by transactions that end in another order than they began.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase } from '../__tests__/support/database.ts'
import { type Db, openDatabase } from './db/client.ts'
import { findEvents, findNewestEvent } from './db/events.ts'
import { followEvents } from './follow-events.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let db: Db
beforeAll(async () => {
  database = await freshDatabase()
  db = openDatabase(database.url)
})
afterAll(async () => {
  await db.destroy()
  await database.drop()
})

const addTransfer = (tx: Db, id: string) =>
  tx
    .insertInto('transfer')
    .values({
      id: `trf_${id.repeat(32)}`,
      kind: 'refund',
      external_id: id,
      destination: 'somebody',
      amount_atoms: 1n,
      currency: 'USDC',
      created_at: new Date(),
    })
    .execute()

test('J1: a change that is committed after later ones is told too, once each, and one that is rolled back never', async () => {
  const start = await findNewestEvent(db)
  const follow = followEvents({ db })
  await follow()
  const slow = await db.startTransaction().execute()
  await addTransfer(slow, 'a')
  await addTransfer(db, 'b')
  const undone = await db.startTransaction().execute()
  await addTransfer(undone, 'c')
  await undone.rollback().execute()
  // Nothing behind an open transaction is told yet: its own event would be missed.
  expect(await findEvents(db, start, 10)).toEqual([])
  expect(await follow()).toEqual(new Set())
  await slow.commit().execute()
  // Transactions of other databases of this server hold events back too, for as long as they are open.
  await expect.poll(() => findEvents(db, start, 10)).toHaveLength(2)
  const events = await findEvents(db, start, 10)
  expect(events.map(({ noun, nounId, fromStatus, toStatus }) => [noun, nounId.at(-1), fromStatus, toStatus])).toEqual([
    ['transfer', 'a', null, 'owed'],
    ['transfer', 'b', null, 'owed'],
  ])
  expect(await follow()).toEqual(new Set(['transfers']))
  expect(await follow()).toEqual(new Set())
  // Told again from an earlier position: the same ones.
  expect(await findEvents(db, start, 10)).toEqual(events)
})
