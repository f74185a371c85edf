// The end of a fault in a market of this process: every rental ends, everything is paid, and chain and books are held against each other.
import { checkReserves } from '../../lib/payments/check-reserves.ts'
import type { ReserveCheck } from '../../lib/payments/store-escrow.ts'
import { type Checked, checkMarket, untilQuiet } from './checker.ts'
import type { TestHouse } from './house.ts'

/** Compares the reserves; reads the history to its end first, however often another reader is met. */
export async function compareReserves(market: TestHouse): Promise<ReserveCheck> {
  for (;;) {
    const found = await checkReserves(market.house)
    if (found) return found
  }
}

/** Ends what is alive, lets time pass until nothing is under way, and throws when anything does not agree. */
export async function settleAll(market: TestHouse, timeoutMs = 60_000): Promise<Checked> {
  for (const { id } of await market.sql(`select id from rental where status in ('paid', 'starting', 'running')`))
    await market.stop(String(id))
  await untilQuiet(market, {
    timeoutMs,
    async meanwhile() {
      await market.advance(5_000)
      await market.tick()
    },
  })
  const { differenceAtoms } = await compareReserves(market)
  if (differenceAtoms !== 0n) throw new Error(`the reserves differ by ${differenceAtoms} atoms`)
  return checkMarket(market)
}

/** Lets every timer run, time passing by `stepMs` each time, until a question is answered with yes; throws after `timeoutMs` of real time. */
export async function tickUntil(
  market: TestHouse,
  what: string,
  isSo: () => Promise<boolean>,
  { stepMs = 0, timeoutMs = 30_000 }: { stepMs?: number; timeoutMs?: number } = {},
): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs
  while (!(await isSo())) {
    if (Date.now() > giveUpAt) throw new Error(`it never came to this: ${what}`)
    await market.advance(stepMs)
    await market.tick()
  }
}
