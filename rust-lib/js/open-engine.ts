// Opens the engine: WebAssembly where it can run, its twin in TypeScript where it cannot.
import { primitives } from '#platform'
import type { Engine } from './engine.ts'
import { javascriptEngine } from './javascript-engine.ts'
import { openWasmEngine } from './wasm-engine.ts'
import { WasmMissing } from './wasm-module.ts'

let opened: Promise<Engine> | undefined

/**
 * The engine of this process or page, the same one however often it is asked for; `name` says which it is. The twin is taken only where
 * WebAssembly or its SIMD is missing or forbidden (a page's script-src needs 'wasm-unsafe-eval'), and the console says so. Any other failure,
 * such as a file that did not arrive, is the caller's error, and the next call tries again: the twin never hides that an engine is broken.
 */
export function openEngine(): Promise<Engine> {
  opened ??= openBest().catch((error: unknown) => {
    opened = undefined
    throw error
  })
  return opened
}

async function openBest(): Promise<Engine> {
  try {
    return await openWasmEngine()
  } catch (error) {
    if (!(error instanceof WasmMissing)) throw error
    console.warn(`${error.message} Statements are checked by JavaScript, which is slower.`)
    return javascriptEngine(primitives)
  }
}
