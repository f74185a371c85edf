// Which engine is opened, and that it is opened once.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

// A process opens one engine; each of these tests is a process of its own.
beforeEach(() => vi.resetModules())
afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

const open = async () => (await import('./open-engine.ts')).openEngine()

test('WebAssembly runs here, and whoever asks again gets the same engine', async () => {
  const { openEngine } = await import('./open-engine.ts')
  const [first, second] = await Promise.all([openEngine(), openEngine()])
  expect(first.name).toBe('wasm-simd')
  expect(second).toBe(first)
  expect(await openEngine()).toBe(first)
})

test('the twin runs where there is no WebAssembly, and says so', async () => {
  const warn = vi.spyOn(console, 'warn').mockReturnValue()
  vi.stubGlobal('WebAssembly', undefined)
  expect((await open()).name).toBe('javascript')
  expect(warn).toHaveBeenCalledOnce()
})

test('the twin runs where WebAssembly has no SIMD', async () => {
  vi.spyOn(console, 'warn').mockReturnValue()
  vi.spyOn(WebAssembly, 'validate').mockReturnValue(false)
  expect((await open()).name).toBe('javascript')
})

test('the twin runs where the page forbids to compile WebAssembly', async () => {
  vi.spyOn(console, 'warn').mockReturnValue()
  vi.spyOn(WebAssembly, 'instantiate').mockRejectedValue(new WebAssembly.CompileError('forbidden'))
  expect((await open()).name).toBe('javascript')
})

test('another failure is an error and not another engine; the next call tries again', async () => {
  vi.doMock('./wasm-full.ts', () => {
    throw new Error('The file did not arrive.')
  })
  const { openEngine } = await import('./open-engine.ts')
  await expect(openEngine()).rejects.toThrow()
  vi.doUnmock('./wasm-full.ts')
  expect((await openEngine()).name).toBe('wasm-simd')
})
