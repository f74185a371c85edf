// The reserves in a real browser: nothing is claimed before it was checked, one's own rental is proved, and an alarm looks like one.

import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRealHouse, type RealHouse, type Rented } from '../support/real-house.ts'
import { type Chromium, inspect, openChromium, type Watched } from './browser.ts'

const widths = [1280, 390]
let house: RealHouse
let chromium: Chromium
let rented: Rented
beforeAll(async () => {
  house = await openRealHouse({ pages: true })
  chromium = await openChromium(house.url)
}, 240_000)
afterAll(async () => {
  await chromium?.close()
  await house?.close()
})

/** Opens the page as a browser that keeps the rental. */
async function openPage(watched: Watched): Promise<void> {
  await watched.page.goto('/reserves')
  await watched.page.evaluate(
    (kept) => localStorage.setItem('flow402.rentals', JSON.stringify(kept)),
    rented ? [{ id: rented.id, accessToken: rented.accessToken, label: 'desk, 256 MB' }] : [],
  )
  await watched.page.reload()
}

/** Whether the clock may compare: it cannot while somebody else has the history in hand. What it had begun is done in a moment. */
const mayCompare = (may: boolean) =>
  sql`update escrow_scan set work_token = ${may ? null : 'this test'}, work_until = ${may ? null : new Date(Date.now() + 3_600_000)}`.execute(
    house.db,
  )

/** Writes a comparison as if the clock had made it. */
const addCheck = (differenceAtoms: number, ageSeconds: number) =>
  sql`insert into reserve_check (slot, chain_atoms, ledger_atoms, waiting_atoms, difference_atoms, created_at)
    select coalesce(max(slot), 1), 0, 0, 0, ${differenceAtoms}, now() - make_interval(secs => ${ageSeconds}) from reserve_check`.execute(
    house.db,
  )

test.each(widths)('%i pixels wide: before the first comparison nothing is claimed', async (width) => {
  await mayCompare(false)
  const watched = await chromium.visit(width)
  await sql`delete from reserve_snapshot`.execute(house.db)
  await openPage(watched)
  await watched.page.getByText('Not compared with the chain yet').waitFor()
  expect(await watched.page.getByTestId('prove-button').isDisabled()).toBe(true)
  await inspect(watched, 'reserves-never')
  expect(watched.wrongs).toEqual([])
})

test('a rental that is paid can be checked to be in the sum, step by step, at both widths; a forged proof is seen', async () => {
  await mayCompare(true)
  rented = await house.rent()
  await house.until(rented, 'running')
  // The proof of a rental that is not in the newest snapshot makes a newer one.
  await expect
    .poll(async () => (await fetch(`${house.url}/api/rentals/${rented.id}/reserve-proof`, { headers: house.bearer(rented) })).status, {
      timeout: 60_000,
      interval: 1_000,
    })
    .toBe(200)
  for (const width of widths) {
    const watched = await chromium.visit(width)
    await openPage(watched)
    const { page } = watched
    expect(await page.getByTestId('reserves-on-chain').textContent()).toBe(await page.getByTestId('reserves-owed').textContent())
    expect(await page.getByTestId('reserves-difference').textContent()).toBe('$0.000000')
    // The browser's own rentals come with its scripts, a moment after the page.
    await expect.poll(() => page.getByTestId('prove-id').inputValue()).toBe(rented.id)
    await page.getByTestId('prove-button').click()
    await page.locator('[data-testid=prove-result][data-valid=true]').waitFor()
    await inspect(watched, 'reserves')
    await page.route('**/reserve-proof', async (route) => {
      const answer = await route.fetch()
      const proof = (await answer.json()) as { leaf: { amountAtoms: string } }
      await route.fulfill({ response: answer, json: { ...proof, leaf: { ...proof.leaf, amountAtoms: `${proof.leaf.amountAtoms}0` } } })
    })
    await page.getByTestId('prove-button').click()
    await page.locator('[data-testid=prove-result][data-valid=false]').waitFor()
    await page.getByTestId('prove-token').fill('f402_wrong')
    await page.unroute('**/reserve-proof')
    await page.getByTestId('prove-button').click()
    await page.getByText('There is no such rental, or the access token is not its own.').waitFor()
    expect(watched.wrongs.filter((text) => !text.includes('404'))).toEqual([])
  }
})

test.each(widths)('%i pixels wide: a difference is an alarm, and an old comparison is not shown as a fresh one', async (width) => {
  await mayCompare(false)
  const watched = await chromium.visit(width)
  await addCheck(-1_500_000, 0)
  await openPage(watched)
  await watched.page.getByTestId('reserves-frozen').waitFor()
  expect(await watched.page.getByTestId('reserves-difference').textContent()).toBe('−$1.500000')
  await inspect(watched, 'reserves-frozen')
  await addCheck(0, 3_600)
  await openPage(watched)
  await watched.page.getByTestId('reserves-late').waitFor()
  await inspect(watched, 'reserves-late')
  expect(watched.wrongs).toEqual([])
})
