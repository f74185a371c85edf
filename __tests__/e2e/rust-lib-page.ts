// Runs in the page of rust-lib-in-browser.test.ts: both engines against the vectors, and what a month of usage takes to check.
import { javascriptEngine } from '../../rust-lib/js/javascript-engine.ts'
import { noblePrimitives } from '../../rust-lib/js/noble-primitives.ts'
import { openEngine } from '../../rust-lib/js/open-engine.ts'
import { differences } from '../../rust-lib/vectors/check-engine.ts'
import type { Vectors } from '../../rust-lib/vectors/format.ts'
import vectors from '../../rust-lib/vectors.json'

export type CheckedInPage = {
  opened: string
  differences: { opened: string[]; twin: string[] }
  spoiled: string[]
}

const engine = await openEngine()
const twin = javascriptEngine(noblePrimitives)
const written = vectors as Vectors
const [first] = written.statements
if (first === undefined) throw new Error('There are no vectors.')
/** With a wrong verdict written down both must differ in exactly that, or this page would see nothing at all. */
const spoiled: Vectors = { ...written, statements: [{ ...first, verdict: { ok: false, fault: 'root', record: 0 } }] }

const checked: CheckedInPage = {
  opened: engine.name,
  differences: { opened: differences(engine, written), twin: differences(twin, written) },
  spoiled: [...differences(engine, spoiled), ...differences(twin, spoiled)],
}
Object.assign(window, { checked })
