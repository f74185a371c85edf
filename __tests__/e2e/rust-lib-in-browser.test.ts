// The check of a statement in a real browser: WebAssembly and its twin give every verdict of the vectors there, too.
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createViteServer } from 'vitest/node'
import { type Chromium, openChromium, type Watched } from './browser.ts'
import type { CheckedInPage } from './rust-lib-page.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
let server: Awaited<ReturnType<typeof createViteServer>>
let chromium: Chromium
let url: string

/** Serves the sources as a bundler for browsers resolves them. */
beforeAll(async () => {
  server = await createViteServer({
    root,
    configFile: false,
    logLevel: 'error',
    appType: 'custom',
    cacheDir: '.flow402/test-vite',
    optimizeDeps: { noDiscovery: true, include: [] },
    server: { host: '127.0.0.1', port: 0, hmr: false, ws: false, watch: null },
  })
  await server.listen()
  url = server.resolvedUrls?.local[0] ?? ''
  chromium = await openChromium(url)
})
afterAll(async () => {
  await chromium?.close()
  await server?.close()
})

/** Opens the page under a policy for its scripts, and answers what it found. */
async function checkInPage(scriptPolicy: string): Promise<{ watched: Watched; checked: CheckedInPage }> {
  const watched = await chromium.visit(1280)
  await watched.page.route('**/vectors-page', (route) =>
    route.fulfill({
      contentType: 'text/html',
      headers: { 'content-security-policy': `script-src ${scriptPolicy}` },
      body: '<!doctype html><title>Vectors</title><link rel="icon" href="data:,"><script type="module" src="/__tests__/e2e/rust-lib-page.ts"></script>',
    }),
  )
  await watched.page.goto(`${url}vectors-page`)
  await watched.page.waitForFunction(() => 'checked' in window, undefined, { timeout: 60_000 })
  return { watched, checked: await watched.page.evaluate(() => (window as unknown as { checked: CheckedInPage }).checked) }
}

test('Chromium runs the WebAssembly, and both engines agree with every vector', async () => {
  const { watched, checked } = await checkInPage("'self' 'wasm-unsafe-eval'")
  expect(checked.opened).toBe('wasm-simd')
  expect(checked.differences).toEqual({ opened: [], twin: [] })
  expect(checked.spoiled).toHaveLength(2)
  expect(watched.wrongs).toEqual([])
})

test('a page that forbids WebAssembly checks with the twin, and says so', async () => {
  const { checked } = await checkInPage("'self'")
  expect(checked.opened).toBe('javascript')
  expect(checked.differences).toEqual({ opened: [], twin: [] })
})

test('no page loads what only Node has', async () => {
  const loaded = [...server.environments.client.moduleGraph.idToModuleMap.keys()]
  expect(loaded.some((id) => id.endsWith('rust-lib/js/noble-primitives.ts'))).toBe(true)
  expect(loaded.filter((id) => /node-primitives|platform-node|node:|__vite-browser-external/.test(id))).toEqual([])
})
