// The support itself: every test gets a migrated database that nobody else writes to.
import { expect, test } from 'vitest'
import { freshDatabase } from './database.ts'
import { runStatements } from './statements.ts'

test('two fresh databases have the whole schema and share no rows', async () => {
  const [first, second] = await Promise.all([freshDatabase(), freshDatabase()])
  try {
    await runStatements(first.url, `insert into node_invite (token_hash, expires_at, created_at) values ('x', now(), now())`)
    expect(await runStatements(first.url, 'select token_hash from node_invite')).toHaveLength(1)
    expect(await runStatements(second.url, 'select token_hash from node_invite')).toHaveLength(0)
  } finally {
    await Promise.all([first.drop(), second.drop()])
  }
})
