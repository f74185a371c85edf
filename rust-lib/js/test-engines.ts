// The engines that the tests hold to the same verdicts.
import type { Engine, StatementVerdict } from './engine.ts'
import { javascriptEngine } from './javascript-engine.ts'
import { noblePrimitives } from './noble-primitives.ts'
import { nodePrimitives } from './node-primitives.ts'
import { openWasmEngine } from './wasm-engine.ts'

export type TestedEngine = { label: string; engine: Engine; isFast: boolean }

export const testedEngines: TestedEngine[] = [
  { label: 'WebAssembly', engine: await openWasmEngine(), isFast: true },
  { label: 'the twin with node:crypto', engine: javascriptEngine(nodePrimitives), isFast: true },
  { label: 'the twin with noble', engine: javascriptEngine(noblePrimitives), isFast: false },
]

/** A verdict as one text, so that two can be compared in whole. */
export function verdictText(verdict: StatementVerdict): string {
  if (verdict.ok) return `ok, ${verdict.records} records, root ${Buffer.from(verdict.root).toString('hex')}`
  const figures = verdict.stated === undefined && verdict.computed === undefined ? '' : `, ${verdict.stated} instead of ${verdict.computed}`
  return `${verdict.fault}, record ${verdict.record}${figures}`
}
