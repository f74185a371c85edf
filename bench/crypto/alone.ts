// One run in a process of its own, started by bench:crypto: alone.ts merkle <way> <leaves> <leaf bytes> | statement <engine> <file>
import { readFileSync } from 'node:fs'
import { openNodeEngines } from './engines.ts'
import { type Alone, peakMbOf } from './memory.ts'
import { madeLeaves, openRootWays } from './root-ways.ts'

const [what, name, ...words] = process.argv.slice(2)

if (what === 'merkle') {
  const [count = 0, leafBytes = 0] = words.map(Number)
  const way = (await openRootWays(count)).find((each) => each.name === name)
  if (!way) throw new Error(`There is no way ${name}.`)
  const size = Math.min(way.most ?? count, count)
  way.rootOf(madeLeaves(64, leafBytes), leafBytes)
  measure(
    () => madeLeaves(size, leafBytes),
    (leaves) => way.rootOf(leaves, leafBytes),
  )
} else if (what === 'statement') {
  const engine = (await openNodeEngines()).find((each) => each.name === name)?.engine
  if (!engine) throw new Error(`There is no engine ${name}.`)
  const [file = '', small = ''] = words
  engine.verifyStatement(readFileSync(small))
  measure(
    () => readFileSync(file),
    (statement) => {
      const verdict = engine.verifyStatement(statement)
      if (!verdict.ok) throw new Error(`${name} refuses the statement: ${verdict.fault} at ${verdict.record}`)
    },
  )
} else throw new Error(`There is no "${what}" to run alone.`)

/** Prints what one run took; everything is loaded and warm before. */
function measure<Input extends Uint8Array>(open: () => Input, run: (input: Input) => unknown): void {
  const input = open()
  const before = peakMbOf('self')
  const startedAt = performance.now()
  run(input)
  const seconds = (performance.now() - startedAt) / 1000
  const alone: Alone = { peakMb: peakMbOf('self') - before, inputMb: input.length / 1e6, seconds }
  process.stdout.write(JSON.stringify(alone))
}
