// The database client: whatever the connection does, the process lives on and the next question is answered.
import { sql } from 'kysely'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { openWire, type Wire } from '../../__tests__/support/wire.ts'
import { type Db, inTransaction, openDatabase, pingDatabase } from './client.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let wire: Wire
let db: Db
beforeEach(async () => {
  database = await freshDatabase()
  const url = new URL(database.url)
  wire = await openWire({ host: url.hostname, port: Number(url.port) })
  url.host = `127.0.0.1:${wire.port}`
  db = openDatabase(url.href, { silentMs: 400 })
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
  wire.mend()
  await pingDatabase(db)
})

test('a server that falls silent is given up in time, and the next question gets a new connection', async () => {
  await pingDatabase(db)
  wire.stall()
  const askedAt = performance.now()
  await expect(pingDatabase(db)).rejects.toThrow(/terminated/)
  expect(performance.now() - askedAt).toBeLessThan(3_000)
  wire.mend()
  await pingDatabase(db)
})
