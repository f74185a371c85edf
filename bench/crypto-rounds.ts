// Turns for bench:crypto: every way of doing a thing runs once per round, forwards and then backwards. Runs in Node and in a browser.

/** One way of doing a thing. `run` does `count` operations. */
export type Way = { name: string; count: number; run: () => unknown }
/** Seconds per operation, one figure per round; a way too slow to be repeated has one only. */
export type Taken = { name: string; seconds: number[] }
/** How long to measure: rounds, milliseconds that a slice lasts at least, and from how many milliseconds per run a way runs once only. */
export type Turns = { rounds: number; sliceMs: number; onceMs: number }

/**
 * Measures some ways beside each other. The first run of each warms it up and says how many runs fill a slice; a run that is longer than
 * `onceMs` is its only one and counts.
 */
export async function takeTurns(ways: readonly Way[], { rounds, sliceMs, onceMs }: Turns): Promise<Taken[]> {
  const taken: (Taken & { way: Way; runs: number })[] = []
  for (const way of ways) {
    let runs = 1
    let ms = await slice(way, runs)
    const isSlow = ms > onceMs
    while (!isSlow && ms < sliceMs) {
      runs = Math.max(runs + 1, Math.min(runs * 10, Math.ceil((runs * sliceMs * 1.1) / Math.max(ms, 0.01))))
      ms = await slice(way, runs)
    }
    taken.push({ way, name: way.name, runs: isSlow ? 0 : runs, seconds: isSlow ? [ms / 1000 / way.count] : [] })
  }
  for (let round = 0; round < rounds; round += 1)
    for (const each of round % 2 === 0 ? taken : taken.toReversed())
      if (each.runs > 0) each.seconds.push((await slice(each.way, each.runs)) / 1000 / (each.runs * each.way.count))
  return taken.map(({ name, seconds }) => ({ name, seconds }))
}

/** Milliseconds of so many runs, one after the other. */
async function slice(way: Way, runs: number): Promise<number> {
  const startedAt = performance.now()
  for (let run = 0; run < runs; run += 1) {
    const result = way.run()
    if (result instanceof Promise) await result
  }
  return performance.now() - startedAt
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
