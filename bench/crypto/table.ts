// What bench:crypto prints: markdown tables, ratios of rounds, aims with yes or no.

import { median } from '../measure.ts'
import { type Taken, type Turns, takeTurns, type Way } from './rounds.ts'

/** What a part is told. `isQuick`: sizes for a run of a minute, good for a look and for no claim. */
export type Plan = { isQuick: boolean; turns: Turns }
/** A figure that was promised: `least` for a ratio, `most` for milliseconds. `byCpu` is the same ratio of CPU time. */
export type Aim = { what: string; measured: number } & ({ least: number; byCpu: number } | { most: number })
/** A part's output: markdown, and the aims that it measured. */
export type Section = { title: string; lines: string[]; aims: Aim[] }

/** A markdown table whose columns line up. */
export function table(head: string[], rows: string[][]): string[] {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: string[]) => `| ${widths.map((width, column) => (cells[column] ?? '').padEnd(width)).join(' | ')} |`
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)]
}

/** How often per second, in the middle of the rounds. */
export function perSecond({ seconds }: Taken): number {
  return 1 / median(seconds)
}

/** Takes turns in this process, whose CPU time is known. */
export function takeTurnsHere(ways: readonly Way[], turns: Turns): Promise<Taken[]> {
  return takeTurns(ways, turns, () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
}

/** The aim of a ratio, by the clock and by CPU time. */
export function ratioAim(what: string, subject: Taken, peer: Taken, least: number): Aim {
  const cpuOf = ({ name, cpuSeconds }: Taken) => ({ name, seconds: cpuSeconds, cpuSeconds })
  return { what, measured: timesAsFast(subject, peer), byCpu: timesAsFast(cpuOf(subject), cpuOf(peer)), least }
}

/** The median over the rounds of how many times as fast the subject was as its peer in the same round. */
export function timesAsFast(subject: Taken, peer: Taken): number {
  // A way that was too slow for rounds has one figure, which stands for all.
  const rounds = Math.max(subject.seconds.length, peer.seconds.length)
  const at = ({ seconds }: Taken, round: number) => seconds[round] ?? seconds[0] ?? Number.NaN
  return median(Array.from({ length: rounds }, (_, round) => at(peer, round) / at(subject, round)))
}

/** The fastest of some. */
export function fastest(taken: readonly Taken[]): Taken {
  const best = taken.toSorted((a, b) => median(a.seconds) - median(b.seconds))[0]
  if (!best) throw new Error('Nothing was measured.')
  return best
}

/** Of one name. */
export function named(taken: readonly Taken[], name: string): Taken {
  const found = taken.find((each) => each.name === name)
  if (!found) throw new Error(`${name} was not measured.`)
  return found
}

/** Three digits that matter, with commas. */
export function brief(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumSignificantDigits: 3 })
}

/** Milliseconds below a second, seconds above. */
export function duration(seconds: number): string {
  return seconds < 1 ? `${brief(seconds * 1000)} ms` : `${brief(seconds)} s`
}

/** One line per aim; what the clock says decides. */
export function aimLines(aims: readonly Aim[]): string[] {
  const rows = aims.map((aim) => {
    if ('most' in aim) return [aim.what, `under ${aim.most} ms`, `${brief(aim.measured)} ms`, '', yesOrNo(aim.measured < aim.most)]
    return [aim.what, `at least ${aim.least} x`, `${brief(aim.measured)} x`, `${brief(aim.byCpu)} x`, yesOrNo(aim.measured >= aim.least)]
  })
  return table(['aim', 'wanted', 'measured', 'in CPU time', 'met'], rows)
}

const yesOrNo = (isMet: boolean) => (isMet ? 'yes' : '**no**')

/** How long so many operations take, and whether that is one run's figure. */
export function durationOf({ seconds }: Taken, count = 1): string {
  return `${duration(median(seconds) * count)}${seconds.length === 1 ? ' (1 run)' : ''}`
}
