// npm run invite: prints a token with which one more machine may enrol within the hour.
import { openDatabase } from '../lib/db/client.ts'
import { inviteNode } from '../lib/nodes/invite-node.ts'
import { readRunning } from './state.ts'

const databaseUrl = process.env.DATABASE_URL ?? readRunning()?.databaseUrl
if (!databaseUrl) {
  console.error('No market runs from this clone: start it with npm run up, or name its database with DATABASE_URL.')
  process.exit(1)
}
const db = openDatabase(databaseUrl, { max: 1 })
console.log(await inviteNode(db, { nowMs: Date.now() }))
await db.destroy()
