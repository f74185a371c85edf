// What an engine must say of made statements before it is timed. Runs in Node and in a browser; part of bench:crypto.
import type { Engine } from '../../rust-lib/js/engine.ts'
import { mustEqual } from './rounds.ts'

/** Where record `record` (from 1) of a statement begins. */
const startOf = (record: number) => 176 + 93 * (record - 1)

/** Throws unless the engine accepts a good statement with the root that stands in it. */
export function mustAccept(name: string, { verifyStatement }: Pick<Engine, 'verifyStatement'>, statement: Uint8Array): void {
  const verdict = verifyStatement(statement)
  if (!verdict.ok) throw new Error(`${name} refuses a good statement: ${verdict.fault} at record ${verdict.record}.`)
  mustEqual(`${name}'s root of a statement`, verdict.root, statement.subarray(-32))
}

/** Throws unless the engine also names what is wrong with the same statement when a byte of the signature, of a record or of the root is another. */
export function mustJudge(name: string, engine: Pick<Engine, 'verifyStatement'>, statement: Uint8Array, records: number): void {
  mustAccept(name, engine, statement)
  const record = Math.ceil((records * 2) / 3)
  for (const [fault, at, where] of [
    ['signature', startOf(records + 1) + 40, records],
    ['chain', startOf(record) + 47, record],
    ['root', statement.length - 1, 0],
  ] as const) {
    const broken = statement.slice()
    broken[at] = (broken[at] ?? 0) ^ 1
    const verdict = engine.verifyStatement(broken)
    if (verdict.ok || verdict.fault !== fault || verdict.record !== where)
      throw new Error(
        `${name} does not see ${fault} at record ${where}: ${verdict.ok ? 'it accepts' : `${verdict.fault} at ${verdict.record}`}.`,
      )
  }
}
