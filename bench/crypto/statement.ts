// The whole check of a statement in Node: a month of records, and a million, with the memory that they take. Part of bench:crypto.

import { median } from '../measure.ts'
import { openNodeEngines } from './engines.ts'
import { runAlone } from './memory.ts'
import type { Taken } from './rounds.ts'
import { mustAccept, mustJudge } from './statement-check.ts'
import type { MadeStatements } from './statement-files.ts'
import { brief, duration, durationOf, named, type Plan, type Section, table, takeTurnsHere, timesAsFast } from './table.ts'

/** Measures the three engines; noble is not given the million, which would take it a quarter of an hour. */
export async function measureStatements({ turns }: Plan, made: MadeStatements): Promise<Section> {
  const engines = await openNodeEngines()
  for (const { name, engine } of engines) mustJudge(name, engine, made.small.bytes, made.small.records)
  const month = await takeTurnsHere(
    engines.map(({ name, engine }) => ({ name, count: 1, run: () => mustAccept(name, engine, made.month.bytes) })),
    turns,
  )
  const rowsOfMonth = month.map((each) => [
    each.name,
    durationOf(each),
    brief((median(each.seconds) * 1e6) / made.month.records),
    brief(timesAsFast(named(month, 'wasm'), each)),
  ])

  const alone: (Taken & { peakMb: number; inputMb: number })[] = ['twin, node:crypto', 'wasm'].map((name) => ({
    name,
    seconds: [],
    cpuSeconds: [],
    peakMb: 0,
    inputMb: 0,
  }))
  for (let round = 0; round < Math.min(3, turns.rounds); round += 1)
    for (const each of alone) {
      // As in other turns: what is very slow runs once.
      if ((each.seconds[0] ?? 0) * 1000 > 6 * turns.onceMs) continue
      const { seconds, peakMb, inputMb } = await runAlone('statement', [each.name, made.long.file, made.small.file])
      each.seconds.push(seconds)
      Object.assign(each, { peakMb: Math.max(each.peakMb, peakMb), inputMb })
    }
  const rowsOfLong = alone.map((each) => [
    each.name,
    durationOf(each),
    brief((median(each.seconds) * 1e6) / made.long.records),
    brief(timesAsFast(named(alone, 'wasm'), each)),
    brief(each.peakMb),
    brief(each.inputMb),
  ])
  const scaled = (median(named(month, 'twin, noble').seconds) * made.long.records) / made.month.records
  rowsOfLong.unshift(['twin, noble (not run: scaled from the one above)', duration(scaled), brief((scaled * 1e6) / made.long.records)])
  return {
    title: 'verifyStatement in Node',
    lines: [
      '',
      `A statement of ${made.month.records.toLocaleString('en-US')} records of 60 seconds`,
      '',
      ...table(head, rowsOfMonth),
      '',
      `A statement of ${made.long.records.toLocaleString('en-US')} records, each run in a process of its own`,
      '',
      ...table([...head, 'own peak MB', 'statement MB'], rowsOfLong),
    ],
    aims: [],
  }
}

const head = ['engine', 'time', 'microseconds per record', 'wasm is so many times as fast']
