// Portions: work of very different sizes in parts that are all bearable.

/** Divides items, in their order, so that the weights of a portion add up to at most `most`; a heavier one is a portion by itself. */
export function* inPortions<T>(items: readonly T[], weightOf: (item: T) => number, most: number): Generator<T[]> {
  let portion: T[] = []
  let weight = 0
  for (const item of items) {
    if (portion.length > 0 && weight + weightOf(item) > most) {
      yield portion
      portion = []
      weight = 0
    }
    portion.push(item)
    weight += weightOf(item)
  }
  if (portion.length > 0) yield portion
}
