// Measuring: rounds that alternate between a subject and its peer, medians, and the CPU that an operation cost on each side.
import { readdirSync, readFileSync } from 'node:fs'

/** What one run came to: operations, wall seconds, and CPU seconds of this program (with its children) and of PostgreSQL. */
export type Run = { count: number; seconds: number; ownCpu: number; databaseCpu: number }

/** The middle of some numbers. */
export function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  return sorted.length % 2 === 1 ? (sorted[Math.floor(middle)] ?? Number.NaN) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}

const rate = (run: Run) => run.count / run.seconds

/** The median rate of some runs, per second, and the median CPU per operation in microseconds: of this program and of PostgreSQL. */
export function summary(runs: Run[]): { perSecond: number; ownMicros: number; databaseMicros: number } {
  return {
    perSecond: median(runs.map(rate)),
    ownMicros: median(runs.map((run) => (run.ownCpu / run.count) * 1e6)),
    databaseMicros: median(runs.map((run) => (run.databaseCpu / run.count) * 1e6)),
  }
}

/** The median over the rounds of how many times as fast the subject was as its peer in the same round. */
export function ratio(subject: Run[], peer: Run[]): number {
  return median(subject.map((run, round) => rate(run) / rate(peer[round] ?? run)))
}

/** Runs some work and measures it. `postgresPid` names the server whose CPU counts; where /proc is missing, CPU is NaN. */
export async function measure(postgresPid: number, work: () => Promise<{ count: number; seconds?: number }>): Promise<Run> {
  const before = { own: cpuOf(process.pid), database: familyCpu(postgresPid) }
  const startedAt = performance.now()
  const { count, seconds } = await work()
  const wall = (performance.now() - startedAt) / 1000
  return {
    count,
    seconds: seconds ?? wall,
    ownCpu: cpuOf(process.pid) - before.own,
    databaseCpu: familyCpu(postgresPid) - before.database,
  }
}

const ticksPerSecond = 100

/** CPU seconds of a process and of its children that have ended. */
function cpuOf(pid: number): number {
  try {
    // The name in parentheses may hold spaces; the times are fields 14 to 17.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /s, '')
      .split(' ')
    return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / ticksPerSecond
  } catch {
    return Number.NaN
  }
}

/** CPU seconds of a process with all its children, living or not. */
function familyCpu(pid: number): number {
  let sum = cpuOf(pid)
  for (const name of Number.isNaN(sum) ? [] : readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const parent = readFileSync(`/proc/${name}/stat`, 'utf8')
        .replace(/^.*\) /s, '')
        .split(' ')[1]
      if (Number(parent) === pid) sum += cpuOf(Number(name)) || 0
    } catch {
      // It ended between the listing and the reading; its parent counts it from then on.
    }
  }
  return sum
}
