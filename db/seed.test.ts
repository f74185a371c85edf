// The example machines: they fill the market's list, and a second seeding adds nothing.
import { expect, test } from 'vitest'
import { freshDatabase } from '../__tests__/support/database.ts'
import { openDatabase } from '../lib/db/client.ts'
import { listOffers } from '../lib/offers/list-offers.ts'
import { seed } from './seed.ts'

test('seeding lists example machines that are offline, and seeding again adds none', async () => {
  const database = await freshDatabase()
  const db = openDatabase(database.url)
  try {
    const added = await seed(db)
    expect(added).toBeGreaterThan(2)
    expect(await seed(db)).toBe(0)
    const { items } = await listOffers({ db, now: () => Date.now() }, {})
    expect(items).toHaveLength(added)
    expect(items.every(({ online }) => !online)).toBe(true)
  } finally {
    await db.destroy()
    await database.drop()
  }
})
