// Verifying in a real browser: a real rental's receipt without a network, and any file on /verify, with the wrong record named.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { AnchoredReceipt } from '@flow402/protocol/receipt'
import { openEngine } from '@flow402/rust-lib/open-engine'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cloneDir } from '../../scripts/state.ts'
import { plantReceipt } from '../support/planted-receipt.ts'
import { openRealHouse, type RealHouse, type Rented, waitFor } from '../support/real-house.ts'
import { type Chromium, inspect, openChromium, type Watched } from './browser.ts'

const widths = [1280, 390]
const month = 43_200
const dir = mkdtempSync(join(tmpdir(), 'flow402-verify-'))
let house: RealHouse
let chromium: Chromium
beforeAll(async () => {
  house = await openRealHouse({ pages: true })
  chromium = await openChromium(house.url)
}, 240_000)
afterAll(async () => {
  await chromium?.close()
  await house?.close()
  rmSync(dir, { recursive: true, force: true })
})

/** Cuts the network; what the page asks for from now on is written down, but for Next's own look ahead at the pages behind its links. */
async function cut(page: Page): Promise<string[]> {
  const asked: string[] = []
  page.on('request', (request) => {
    if (!request.url().includes('_rsc=')) asked.push(request.url())
  })
  await page.context().setOffline(true)
  return asked
}

const drop = (page: Page, name: string, content: string | Buffer) =>
  page
    .getByTestId('file-input')
    .setInputFiles({ name, mimeType: 'application/octet-stream', buffer: typeof content === 'string' ? Buffer.from(content) : content })

const newest = (page: Page) => page.getByTestId('checked-file').first()
const verdictOf = async (page: Page) => (await newest(page).getByTestId('verdict').textContent()) ?? ''

/** The receipt with one bit of record `position` changed; the rest of it is untouched. */
function flipped(receipt: AnchoredReceipt, position: number): AnchoredReceipt {
  const bytes = Buffer.from(receipt.statement ?? '', 'base64')
  const at = 176 + (position - 1) * 93 + 56
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return { ...receipt, statement: bytes.toString('base64') }
}

test.each(widths)('%i pixels wide: /verify needs no network once it is loaded, and judges every kind of file', async (width) => {
  const engine = await openEngine()
  const { receipt } = plantReceipt(engine, { records: 6 })
  const watched = await chromium.visit(width)
  const { page } = watched
  await page.goto('/verify')
  await page.getByTestId('engine').getByText('from here on no network is needed').waitFor()
  expect(await page.getByTestId('engine').textContent()).toContain('Rust in WebAssembly')
  await inspect(watched, 'verify-empty')
  const asked = await cut(page)

  await drop(page, 'receipt.json', JSON.stringify(receipt, null, 2))
  await expect.poll(() => verdictOf(page)).toContain('This bill is right6 signed records')
  await inspect(watched, 'verify-good')
  await page.getByRole('button', { name: 'Remove receipt.json' }).click()

  await drop(page, 'changed.json', JSON.stringify(flipped(receipt, 4)))
  await expect.poll(() => verdictOf(page)).toContain('This bill is refused: record 4 is wrong')
  await inspect(watched, 'verify-refused')
  await drop(page, 'statement.f402', Buffer.from(receipt.statement ?? '', 'base64'))
  await expect.poll(() => verdictOf(page)).toContain('This statement is right')
  await drop(page, 'note.txt', 'not a receipt')
  await expect.poll(() => verdictOf(page)).toContain('This is not a receipt')

  const many = [...Array.from({ length: 30 }, () => plantReceipt(engine).receipt), flipped(receipt, 2)]
  await drop(page, 'month.ndjson', many.map((each) => `${JSON.stringify(each)}\n`).join(''))
  await expect.poll(() => verdictOf(page)).toContain('1 of 31 is refused')
  await newest(page).getByTestId('checked-row').first().locator('summary').click()
  await newest(page).locator('[data-testid=check-records][data-outcome=failed]').first().waitFor()
  await inspect(watched, 'verify-month')
  expect([asked, withoutAway(watched)]).toEqual([[], []])
})

test('a month of records is checked without holding up the page', async () => {
  const { receipt } = plantReceipt(await openEngine(), { records: month })
  const file = join(dir, 'month.json')
  writeFileSync(file, JSON.stringify(receipt))
  const watched = await chromium.visit(1280)
  const { page } = watched
  await page.goto('/verify')
  await page.getByTestId('engine').getByText('from here on no network is needed').waitFor()
  await page.evaluate(() => {
    const seen: number[] = []
    Object.assign(window, { longTasks: seen })
    new PerformanceObserver((list) => seen.push(...list.getEntries().map(({ duration }) => duration))).observe({ entryTypes: ['longtask'] })
  })
  await page.getByTestId('file-input').setInputFiles(file)
  await expect.poll(() => verdictOf(page), { timeout: 110_000 }).toContain('This bill is right43,200 signed records')
  const longest = await page.evaluate(() => Math.max(0, ...(window as unknown as { longTasks: number[] }).longTasks))
  const engineAndTime = await newest(page)
    .getByText(/engine|WebAssembly|JavaScript/i)
    .last()
    .textContent()
  console.log(`a month of ${month} records in Chromium: ${engineAndTime} The page was held up for ${longest} ms at most.`)
  expect(longest).toBeLessThan(500)
  expect(watched.wrongs).toEqual([])
})

test('the receipt of a real rental verifies on its page without a network; one flipped byte of it is named on /verify', async () => {
  const rented = await house.rent({ minutes: 2 })
  await house.until(rented, 'running')
  await waitFor('two records of usage', async () => (await house.look(rented)).meteredSeconds > 20, 90_000)
  await house.stop(rented)
  await house.until(rented, 'settled')
  for (const width of widths) {
    const watched = await chromium.visit(width)
    const { page } = watched
    await openRental(page, rented)
    await page.getByTestId('verification').getByText('This bill is right').waitFor()
    for (const outcome of await page
      .locator('[data-testid^=check-]')
      .evaluateAll((all) => all.map((one) => (one as HTMLElement).dataset.outcome)))
      expect(['ok', 'skipped']).toContain(outcome)
    await inspect(watched, 'receipt-verified')
    const before = Number(await page.getByTestId('verification-runs').getAttribute('data-runs'))
    const asked = await cut(page)
    await page.getByTestId('verify-again').click()
    await page.locator(`[data-testid=verification-runs][data-runs="${before + 1}"]`).waitFor()
    await page.getByTestId('verification').getByText('This bill is right').waitFor()
    expect(asked.filter((url) => !/\/api\/rentals\/[^/]+(\/receipt|\/logs.*)?$/.test(url))).toEqual([])

    const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('download-receipt').click()])
    const file = join(dir, `${width}-${download.suggestedFilename()}`)
    await download.saveAs(file)
    const receipt = AnchoredReceipt.parse(JSON.parse(readFileSync(file, 'utf8')))
    expect(receipt.usage.records).toBeGreaterThan(1)

    const told = await promisify(execFile)(process.execPath, [
      join(cloneDir, 'packages/sdk/src/cli.ts'),
      'verify',
      file,
      '--rpc',
      house.network.rpcUrl,
    ])
    expect(told.stdout).toMatch(new RegExp(`^Good\\. ${receipt.usage.records} records, `, 'm'))

    await page.context().setOffline(false)
    await page.goto('/verify')
    await page.getByTestId('engine').getByText('from here on no network is needed').waitFor()
    await page.context().setOffline(true)
    await page.getByTestId('file-input').setInputFiles(file)
    await expect.poll(() => verdictOf(page)).toContain('This bill is right')
    await drop(page, 'changed.json', JSON.stringify(flipped(receipt, 2)))
    await expect.poll(() => verdictOf(page)).toContain('This bill is refused: record 2 is wrong')
    expect(withoutAway(watched)).toEqual([])
  }
})

test('a receipt that was changed on its way to the rental’s page is refused there', async () => {
  const rented = await house.rent({ minutes: 1 })
  await house.until(rented, 'running')
  await house.stop(rented)
  await house.until(rented, 'settled')
  const { page } = await chromium.visit(1280)
  await page.route('**/receipt*', async (route) => {
    const answer = await route.fetch()
    const receipt = AnchoredReceipt.parse(await answer.json())
    await route.fulfill({ response: answer, json: { ...receipt, chargedAtoms: String(BigInt(receipt.chargedAtoms) + 1n) } })
  })
  await openRental(page, rented)
  await page.getByRole('alert').getByText('This bill is refused').waitFor()
  for (const name of ['digest', 'agreement']) await page.locator(`[data-testid=check-${name}][data-outcome=failed]`).waitFor()
})

/** What went wrong in the browser, except that the network was away. */
const withoutAway = ({ wrongs }: Watched) => wrongs.filter((text) => !text.includes('ERR_INTERNET_DISCONNECTED'))

/** Opens the rental's page as the browser that keeps its token. */
async function openRental(page: Page, rented: Rented): Promise<void> {
  await page.goto(`/rentals/${rented.id}#token=${rented.accessToken}`)
  await page.getByTestId('receipt').waitFor()
}
