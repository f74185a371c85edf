// The database client: whatever the connection does, the process lives on and the next question is answered.
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ChaosProxy, proxyBefore } from '../../__tests__/support/chaos-proxy.ts'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { type Db, inTransaction, openDatabase, pingDatabase } from './client.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let wire: ChaosProxy
let db: Db
beforeEach(async () => {
  database = await freshDatabase()
  wire = await proxyBefore(database.url)
  db = openDatabase(wire.through(database.url), { silentMs: 400 })
})
afterEach(async () => {
  await db.destroy()
  await wire.close()
  await database.drop()
})

test('a connection that breaks within a transaction, between two statements, fails that transaction and nothing else', async () => {
  const broken = inTransaction(db, async (tx) => {
    await sql`select 1`.execute(tx)
    wire.cut()
    await new Promise((resolve) => setTimeout(resolve, 50))
    await sql`select 1`.execute(tx)
  })
  await expect(broken).rejects.toThrow()
  await wire.mend()
  await pingDatabase(db)
})

test('a server that falls silent is given up in time, and the next question gets a new connection', async () => {
  await pingDatabase(db)
  wire.stall()
  const askedAt = performance.now()
  await expect(pingDatabase(db)).rejects.toThrow(/terminated/)
  expect(performance.now() - askedAt).toBeLessThan(3_000)
  await wire.mend()
  await pingDatabase(db)
})
