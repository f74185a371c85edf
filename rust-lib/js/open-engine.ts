// Opens the engine of this process or page.
import { primitives } from '#platform'
import type { Engine } from './engine.ts'
import { javascriptEngine } from './javascript-engine.ts'

let opened: Promise<Engine> | undefined

/** The engine of this process or page, the same one however often it is asked for; `name` says which it is. */
export function openEngine(): Promise<Engine> {
  opened ??= Promise.resolve(javascriptEngine(primitives))
  return opened
}
