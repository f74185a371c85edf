// The main job in a real browser, on real containers: see, choose, pay, work, stop, and read where the money went.

import { newId } from '@flow402/protocol/id'
import type { Receipt } from '@flow402/protocol/receipt'
import { usdcBalance } from '@flow402/sdk/pay-test-wallet'
import type { Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openRealHouse, type RealHouse, waitFor } from '../support/real-house.ts'
import { type Chromium, inspect, openChromium, picture, tabTo, type Watched } from './browser.ts'

const faucetAtoms = 10_000_000n
const limit = 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null'

let house: RealHouse
let chromium: Chromium
beforeAll(async () => {
  house = await openRealHouse({ pages: true, unitRamMb: 256 })
  chromium = await openChromium(house.url)
}, 180_000)
afterAll(async () => {
  await chromium?.close()
  await house?.close()
})

test.each([1280, 375])('%i pixels wide: an offer becomes a machine with a terminal, and what was not used comes back', async (width) => {
  const watched = await chromium.visit(width)
  const { page } = watched
  await page.goto('/')
  const row = page.getByTestId('offer-row').first()
  await expect.poll(() => row.textContent()).toMatch(/\$0\.60\s*\/unit-hour/)
  await inspect(watched, 'market')

  await row.getByTestId('rent-link').click()
  await page.getByTestId('minutes-input').fill('7')
  await fund(page)
  const asked = atomsOf(await textOf(page, 'pay-amount'))
  expect(asked).toBe((600_000n * 7n + 59n) / 60n)
  await inspect(watched, 'offer')

  await page.getByTestId('pay-button').click()
  await untilState(page, 'running')
  expect(await watched.layoutShift(/^\/rentals\//)).toBeLessThanOrEqual(0.1)
  await type(page, limit, String(256 * 1024 * 1024))
  const left = await textOf(page, 'time-left')
  await expect.poll(() => textOf(page, 'time-left')).not.toBe(left)
  await inspect(watched, 'running')

  await page.getByTestId('stop-button').click()
  await picture(page, 'stop')
  await page.getByTestId('stop-confirm').click()
  await page.getByTestId('receipt').waitFor()
  const shown = async (part: string) => atomsOf(await textOf(page, `receipt-${part}`))
  const [prepaid, payout, fee, refund] = [await shown('prepaid'), await shown('payout'), await shown('fee'), await shown('refund')]
  expect(prepaid).toBe(asked)
  expect(payout + fee + refund).toBe(prepaid)
  expect(refund).toBeGreaterThan(0n)
  await inspect(watched, 'receipt')

  const receipt = await receiptOf(page)
  const amounts = [receipt.prepaidAtoms, receipt.payoutAtoms, receipt.feeAtoms, receipt.refundAtoms]
  expect(amounts).toEqual([prepaid, payout, fee, refund].map(String))
  const { rpcUrl, usdcMint } = house.network
  const payer = receipt.transfers.find(({ kind }) => kind === 'refund')?.to ?? ''
  expect(await usdcBalance(rpcUrl, usdcMint, payer)).toBe(faucetAtoms - payout - fee)

  await page.goto('/rentals')
  await page.getByText('Settled').waitFor()
  await inspect(watched, 'rentals')
  expect(wrongsBut(watched, 402)).toEqual([])
})

test('a reload keeps the rental, and the terminal shows what was there before', async () => {
  const watched = await chromium.visit(800)
  const { page } = watched
  await rent(page)
  expect(await watched.layoutShift(/^\/rentals\//)).toBeLessThanOrEqual(0.1)
  await type(page, 'kept=still; echo first-$((40+2))', 'first-42')
  await page.reload()
  await untilState(page, 'running')
  await seeInTerminal(page, 'first-42')
  await type(page, 'echo $kept-here', 'still-here')
  await stop(page)
  expect(wrongsBut(watched, 402)).toEqual([])
})

test('with the keyboard alone one gets from the market to a paid rental, into its terminal, out again, and to the refund', async () => {
  const watched = await chromium.visit(1280)
  const { page } = watched
  await page.goto('/')
  await tabTo(page, '[data-testid=rent-link]')
  await page.keyboard.press('Enter')
  await page.getByTestId('minutes-input').waitFor()
  await tabTo(page, '[data-testid=minutes-input]')
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.type('5')
  await page.locator('[data-testid=faucet-button]:enabled').waitFor()
  await tabTo(page, '[data-testid=faucet-button]')
  await page.keyboard.press('Enter')
  await page.locator('[data-testid=pay-button]:enabled').waitFor()
  await tabTo(page, '[data-testid=pay-button]')
  await page.keyboard.press('Enter')
  await untilState(page, 'running')
  // The terminal takes the focus by itself, and Tab belongs to the shell in it; Shift+Tab is the way out.
  await page.locator('.xterm-helper-textarea:focus').waitFor()
  await page.keyboard.type('echo by-$((40+2))\n')
  await seeInTerminal(page, 'by-42')
  await tabTo(page, '[data-testid=stop-button]', 'Shift+Tab')
  await page.keyboard.press('Enter')
  await tabTo(page, '[data-testid=stop-confirm]')
  await page.keyboard.press('Enter')
  await page.getByTestId('receipt').waitFor()
  expect(wrongsBut(watched, 402)).toEqual([])
})

test('what cannot be had says so: an offer that is not there, a rental without its token, a wallet without money', async () => {
  for (const width of [1280, 375]) {
    const watched = await chromium.visit(width)
    const { page } = watched
    const answer = await page.goto(`/offers/${newId('offer')}`)
    expect(answer?.status()).toBe(404)
    await page.getByRole('heading', { name: 'Nothing is here' }).waitFor()
    expect(await page.title()).toBe('Not found · Flow402')
    await inspect(watched, 'no-offer')
    await page.goto(`/rentals/${newId('rental')}`)
    await page.getByText('This browser has no access to this rental').waitFor()
    await inspect(watched, 'no-token')
    await page.goto('/rentals')
    await page.getByText('No rental in this browser yet').waitFor()
    await inspect(watched, 'no-rentals')
    await page.goto(`/offers/${house.offerId}`)
    await page.getByText('Not enough USDC').waitFor()
    expect(await page.getByTestId('pay-button').isDisabled()).toBe(true)
    expect(wrongsBut(watched, 404)).toEqual([])
  }
})

test('the pages that explain can be read by everyone at both widths', async () => {
  for (const width of [1280, 375]) {
    const watched = await chromium.visit(width)
    for (const name of ['docs', 'errors']) {
      await watched.page.goto(`/${name}`)
      await inspect(watched, name)
    }
    expect(watched.wrongs).toEqual([])
  }
})

/** Chooses the test wallet, which has nothing yet, and lets the faucet fill it. */
async function fund(page: Page): Promise<void> {
  await page.getByTestId('wallet-test').click()
  await expect.poll(() => textOf(page, 'usdc-balance')).toContain('$0')
  expect(await page.getByTestId('pay-button').isDisabled()).toBe(true)
  await page.getByTestId('faucet-button').click()
  await expect.poll(() => textOf(page, 'usdc-balance')).toContain('$10')
}

async function rent(page: Page): Promise<void> {
  await page.goto(`/offers/${house.offerId}`)
  await fund(page)
  await page.getByTestId('pay-button').click()
  await untilState(page, 'running')
}

async function stop(page: Page): Promise<void> {
  await page.getByTestId('stop-button').click()
  await page.getByTestId('stop-confirm').click()
  await page.getByTestId('receipt').waitFor()
}

const untilState = (page: Page, state: string) => page.locator(`[data-testid=rental-state][data-state=${state}]`).waitFor()

/** Types a command into the terminal once it is connected, and waits for its output. */
async function type(page: Page, command: string, output: string): Promise<void> {
  await page.getByTestId('terminal').getByText('Connected').waitFor()
  await seeInTerminal(page, '#')
  await page.locator('.xterm-helper-textarea').focus()
  await page.keyboard.type(`${command}\n`)
  await seeInTerminal(page, output)
}

const seeInTerminal = (page: Page, text: string) =>
  waitFor(`"${text}" in the terminal`, async () => (await page.locator('.xterm-rows').textContent())?.includes(text) === true, 15_000)

const textOf = async (page: Page, testId: string) => (await page.getByTestId(testId).textContent()) ?? ''

/** Dollars on the screen as atoms: "$0.06" -> 60000n. */
function atomsOf(text: string): bigint {
  const [, whole = '', decimals = ''] = /\$(\d+)(?:\.(\d{1,6}))?/.exec(text) ?? []
  return BigInt(whole + decimals.padEnd(6, '0'))
}

/** The receipt as the API gives it for the token that this browser keeps. */
async function receiptOf(page: Page): Promise<Receipt> {
  const [kept] = (await page.evaluate(() => JSON.parse(localStorage.getItem('flow402.rentals') ?? '[]'))) as {
    id: string
    accessToken: string
  }[]
  if (!kept) throw new Error('the browser keeps no rental')
  const answer = await fetch(`${house.url}/api/rentals/${kept.id}/receipt`, { headers: house.bearer(kept) })
  return answer.json() as Promise<Receipt>
}

/** What went wrong in the browser, except that it reports an answer with this status as an error. */
function wrongsBut({ wrongs }: Watched, status: number): string[] {
  return wrongs.filter((wrong) => !wrong.includes(`responded with a status of ${status}`))
}
