// A real Chromium for the tests: one context per width, what its console says, how far its layout jumps, and what axe finds.
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import AxeBuilder from '@axe-core/playwright'
import { chromium, type Page } from 'playwright-core'
import { expect } from 'vitest'

const shots = 'test-results'
const args = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const heights: Record<number, number> = { 1280: 900, 375: 812 }
const schemes = ['light', 'dark'] as const

/** A page with everything that went wrong on it; `layoutShift` sums the jumps seen while the path matched. */
export type Watched = { page: Page; wrongs: string[]; layoutShift: (path: RegExp) => Promise<number> }
export type Chromium = Awaited<ReturnType<typeof openChromium>>

/** Starts the browser; `visit` opens a page of its own context, as a stranger without any storage. CHROME_PATH names another browser. */
export async function openChromium(baseURL: string) {
  mkdirSync(shots, { recursive: true })
  const browser = await chromium.launch({ executablePath: process.env.CHROME_PATH ?? '/usr/bin/chromium', headless: true, args })
  return {
    async visit(width: number): Promise<Watched> {
      const context = await browser.newContext({ baseURL, viewport: { width, height: heights[width] ?? 900 }, hasTouch: width < 500 })
      context.setDefaultTimeout(20_000)
      await context.addInitScript(watchLayout)
      const page = await context.newPage()
      const wrongs: string[] = []
      page.on('console', (message) => {
        if (message.type() === 'error') wrongs.push(`${message.text()} (${message.location().url})`)
      })
      page.on('pageerror', (error) => wrongs.push(String(error)))
      const layoutShift = async (path: RegExp) => {
        const jumps = await page.evaluate(() => (window as unknown as { jumps: { path: string; value: number }[] }).jumps)
        return jumps.filter((jump) => path.test(jump.path)).reduce((sum, jump) => sum + jump.value, 0)
      }
      return { page, wrongs, layoutShift }
    },
    close: () => browser.close(),
  }
}

/** Runs in the page: layout shifts that no click or key explains, with the path they happened on. */
function watchLayout(): void {
  const jumps: { path: string; value: number }[] = []
  Object.assign(window, { jumps })
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries() as (PerformanceEntry & { value: number; hadRecentInput: boolean })[]) {
      if (!entry.hadRecentInput) jumps.push({ path: location.pathname, value: entry.value })
    }
  }).observe({ type: 'layout-shift', buffered: true })
}

/** Holds a page, in both colour schemes, to what every page must be: nothing wider than the screen, nothing serious for axe. Keeps a picture of each. */
export async function inspect({ page }: Watched, name: string): Promise<void> {
  const width = page.viewportSize()?.width ?? 0
  await page.evaluate(() => scrollTo(0, 0))
  for (const colorScheme of schemes) {
    await page.emulateMedia({ colorScheme })
    await page.screenshot({ path: join(shots, `${name}-${width}-${colorScheme}.png`), fullPage: true })
    const axe = new AxeBuilder({ page })
    // Only colours differ between the schemes.
    const { violations } = await (colorScheme === 'light' ? axe : axe.withRules('color-contrast')).analyze()
    const grave = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
    expect(
      grave.map(({ id, nodes }) => `${name}, ${colorScheme}: ${id} at ${nodes.map(({ target }) => target.join(' ')).join(', ')}`),
    ).toEqual([])
  }
  expect(
    await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth),
    `${name} is too wide`,
  ).toBe(0)
}

/** Keeps a picture of what is on the screen, for eyes. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(shots, `${name}-${page.viewportSize()?.width}.png`) })
}

/** Goes with Tab (or back with Shift+Tab, around the end of the page) until the element has the focus; every stop on the way must show that it has it. */
export async function tabTo(page: Page, selector: string, key: 'Tab' | 'Shift+Tab' = 'Tab'): Promise<void> {
  for (let press = 0; press < 60; press += 1) {
    await page.keyboard.press(key)
    const seen = await page.evaluate((wanted) => {
      const at = document.activeElement as HTMLElement
      const style = getComputedStyle(at)
      return {
        isThere: at.matches(wanted),
        isShown: at === document.body || style.outlineStyle !== 'none' || style.boxShadow !== 'none',
        html: at.outerHTML,
      }
    }, selector)
    expect(seen.isShown, `the focus cannot be seen on ${seen.html.slice(0, 200)}`).toBe(true)
    if (seen.isThere) return
  }
  throw new Error(`${selector} cannot be reached with Tab`)
}
