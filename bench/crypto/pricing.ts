// The exact price of a million samples: sum of floor(quantity x price / divisor). Part of bench:crypto.
import { openNodeEngines } from './engines.ts'
import type { Way } from './rounds.ts'
import { brief, duration, named, type Plan, perSecond, type Section, table, takeTurnsHere, timesAsFast } from './table.ts'

const secondsPerHour = 3600n

/** Measures sumPrices of every engine that differs in it beside the loop that anyone would write. */
export async function measurePricing({ turns }: Plan): Promise<Section> {
  const count = 1_000_000
  // Seconds below 2^31 and atoms below 10^12: products need 71 bits.
  const quantities = BigUint64Array.from({ length: count }, (_, index) => BigInt((index * 2_654_435_761) % 2 ** 31))
  const prices = BigUint64Array.from({ length: count }, (_, index) => BigInt((index * 40_503_000_017) % 1e12))
  const wanted = sumByLoop(quantities, prices)
  // The twin's sum does not depend on what hashes for it.
  const engines = (await openNodeEngines()).filter(({ name }) => name !== 'twin, noble')
  const ways: Way[] = [
    { name: 'BigInt loop', sum: () => sumByLoop(quantities, prices) },
    ...engines.map(({ name, engine }) => ({
      name: name === 'wasm' ? name : 'twin',
      sum: () => engine.sumPrices(quantities, prices, secondsPerHour),
    })),
  ].map(({ name, sum }) => {
    const run = () => {
      const answer = sum()
      if (answer !== wanted) throw new Error(`${name} says ${answer}, and it is ${wanted}.`)
    }
    run()
    return { name, count, run }
  })
  const taken = await takeTurnsHere(ways, turns)
  const rows = taken.map((each) => [
    each.name,
    duration(count / perSecond(each)),
    brief(perSecond(each) / 1e6),
    brief(timesAsFast(named(taken, 'wasm'), each)),
  ])
  return {
    title: 'Exact price of 1,000,000 samples, floor(quantity x price / 3600) each',
    lines: ['', ...table(['way', 'time', 'million per second', 'wasm is so many times as fast'], rows)],
    aims: [],
  }
}

function sumByLoop(quantities: BigUint64Array, prices: BigUint64Array): bigint {
  let sum = 0n
  for (let index = 0; index < quantities.length; index += 1)
    sum += ((quantities[index] as bigint) * (prices[index] as bigint)) / secondsPerHour
  return sum
}
