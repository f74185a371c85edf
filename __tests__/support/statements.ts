// SQL from outside the house: for tests that prepare or look at a database by themselves.
import pg from 'pg'

/** Runs statements one after another on a connection of their own; answers the rows of the last one. */
export async function runStatements(url: string, ...statements: string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}
