// The engines that bench:crypto measures in Node: the WebAssembly, and its twin over node:crypto and over noble.
import type { Engine } from '../../rust-lib/js/engine.ts'
import { javascriptEngine } from '../../rust-lib/js/javascript-engine.ts'
import { noblePrimitives } from '../../rust-lib/js/noble-primitives.ts'
import { nodePrimitives } from '../../rust-lib/js/node-primitives.ts'
import { openWasmEngine } from '../../rust-lib/js/wasm-engine.ts'

export type NamedEngine = { name: 'wasm' | 'twin, node:crypto' | 'twin, noble'; engine: Engine }

/** The three, the slowest first. */
export async function openNodeEngines(): Promise<NamedEngine[]> {
  return [
    { name: 'twin, noble', engine: javascriptEngine(noblePrimitives) },
    { name: 'twin, node:crypto', engine: javascriptEngine(nodePrimitives) },
    { name: 'wasm', engine: await openWasmEngine() },
  ]
}
