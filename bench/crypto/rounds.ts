// Turns for bench:crypto: every way of doing a thing runs once per round, forwards and then backwards. Runs in Node and in a browser.

/** One way of doing a thing. `run` does `count` operations. */
export type Way = { name: string; count: number; run: () => unknown }
/**
 * Seconds per operation, one figure per round; a way too slow to be repeated has one only. `cpuSeconds` are those of the whole process, which
 * say the truth on a machine that does other things as well; empty in a browser, which does not know them.
 */
export type Taken = { name: string; seconds: number[]; cpuSeconds: number[] }
/** How long to measure: rounds, milliseconds that a slice lasts at least, and from how many milliseconds per run a way runs once only. */
export type Turns = { rounds: number; sliceMs: number; onceMs: number }
/** CPU seconds of this process so far. */
type CpuClock = () => number

/**
 * Measures some ways beside each other. The first run of each warms it up and says how many runs fill a slice; a run that is longer than
 * `onceMs` is its only one and counts.
 */
export async function takeTurns(ways: readonly Way[], { rounds, sliceMs, onceMs }: Turns, cpu?: CpuClock): Promise<Taken[]> {
  const slices: { way: Way; runs: number; taken: Slice[] }[] = []
  for (const way of ways) {
    const first = await slice(way, 1, cpu)
    const isSlow = first.seconds * 1000 > onceMs
    slices.push({ way, runs: isSlow ? 0 : await runsThatFill(way, sliceMs), taken: isSlow ? [first] : [] })
  }
  for (let round = 0; round < rounds; round += 1)
    for (const { way, runs, taken } of round % 2 === 0 ? slices : slices.toReversed()) if (runs > 0) taken.push(await slice(way, runs, cpu))
  return slices.map(({ way, taken }) => ({
    name: way.name,
    seconds: taken.map(({ seconds }) => seconds / way.count),
    cpuSeconds: taken.flatMap(({ cpuSeconds }) => (cpuSeconds === undefined ? [] : [cpuSeconds / way.count])),
  }))
}

/** How many runs last as long as a slice should. */
async function runsThatFill(way: Way, sliceMs: number): Promise<number> {
  for (let runs = 1; ; ) {
    const ms = (await slice(way, runs)).seconds * 1000 * runs
    if (ms >= sliceMs) return runs
    runs = Math.max(runs + 1, Math.min(runs * 10, Math.ceil((runs * sliceMs * 1.1) / Math.max(ms, 0.01))))
  }
}

/** Seconds of one run among so many. */
type Slice = { seconds: number; cpuSeconds: number | undefined }

async function slice(way: Way, runs: number, cpu?: CpuClock): Promise<Slice> {
  const cpuBefore = cpu?.()
  const startedAt = performance.now()
  for (let run = 0; run < runs; run += 1) {
    const result = way.run()
    if (result instanceof Promise) await result
  }
  const seconds = (performance.now() - startedAt) / 1000 / runs
  return { seconds, cpuSeconds: cpu && cpuBefore !== undefined ? (cpu() - cpuBefore) / runs : undefined }
}

/** Bytes that look like any others and are the same everywhere (xorshift). */
export function madeBytes(length: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(length / 4))
  let word = 0x9e3779b9
  for (let index = 0; index < words.length; index += 1) {
    word ^= word << 13
    word ^= word >>> 17
    word ^= word << 5
    words[index] = word
  }
  return new Uint8Array(words.buffer, 0, length)
}

/** Throws when a way did not answer what the reference answers: nothing wrong is ever timed. */
export function mustEqual(what: string, answer: Uint8Array, wanted: Uint8Array): void {
  const isEqual = answer.length === wanted.length && answer.every((byte, index) => byte === wanted[index])
  if (!isEqual) throw new Error(`${what} is wrong: it is not what the reference gives.`)
}
