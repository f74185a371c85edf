// One by one: a row that cannot be worked on is logged and skipped, so that it never keeps the others waiting.

/** Runs `work` for each item in order and counts how often it answered true; an error is logged as `event` and counts as false. */
export async function oneByOne<T>(
  event: string,
  items: readonly T[],
  idOf: (item: T) => string,
  work: (item: T) => Promise<boolean>,
): Promise<number> {
  let done = 0
  for (const item of items) {
    try {
      if (await work(item)) done++
    } catch (error) {
      console.error(JSON.stringify({ level: 'error', event, rental: idOf(item), message: (error as Error).message }))
    }
  }
  return done
}
