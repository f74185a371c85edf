// The arithmetic of money: whole atoms in bigint, and the figures of a bill (docs/statement.md).

const secondsPerHour = 3600n
const bpsPerWhole = 10_000n

/** Shortest time that is billed once a rental has run at all, in seconds. */
export const minimumBilledSeconds = 60

/** floor(units x price x seconds / 3600), in atoms. */
export function chargeAtoms(units: bigint, priceAtomsPerHour: bigint, seconds: bigint): bigint {
  return (units * priceAtomsPerHour * seconds) / secondsPerHour
}

/** ceil(units x price x seconds / 3600), in atoms. */
export function prepayAtoms(units: bigint, priceAtomsPerHour: bigint, seconds: bigint): bigint {
  return (units * priceAtomsPerHour * seconds + secondsPerHour - 1n) / secondsPerHour
}

/** The market's part: floor(charged x feeBps / 10000), in atoms. */
export function feeOf(chargedAtoms: bigint, feeBps: bigint): bigint {
  return (chargedAtoms * feeBps) / bpsPerWhole
}

/** What the figures of a bill follow from; lastSecond is the toSecond of the last record, 0 without any. Times in Unix ms. */
export type BillTerms = {
  units: number
  priceAtomsPerHour: bigint
  minutes: number
  feeBps: number
  startedAt: number
  endedAt: number
  prepaidAtoms: bigint
  lastSecond: number
}

export type BillFigures = {
  meteredSeconds: number
  billedSeconds: number
  chargedAtoms: bigint
  feeAtoms: bigint
  payoutAtoms: bigint
  refundAtoms: bigint
}

/** The figures of a bill: seconds metered and billed, and how the prepaid amount is split, to the atom. */
export function billFigures(terms: BillTerms): BillFigures {
  const hasRun = terms.startedAt !== 0
  const paidSeconds = 60 * terms.minutes
  const ranSeconds = Math.floor((terms.endedAt - terms.startedAt) / 1000)
  const meteredSeconds = hasRun ? Math.min(terms.lastSecond, paidSeconds, ranSeconds) : 0
  const billedSeconds = hasRun ? Math.min(Math.max(meteredSeconds, minimumBilledSeconds), paidSeconds) : 0
  const price = chargeAtoms(BigInt(terms.units), terms.priceAtomsPerHour, BigInt(billedSeconds))
  const chargedAtoms = price < terms.prepaidAtoms ? price : terms.prepaidAtoms
  const feeAtoms = feeOf(chargedAtoms, BigInt(terms.feeBps))
  return {
    meteredSeconds,
    billedSeconds,
    chargedAtoms,
    feeAtoms,
    payoutAtoms: chargedAtoms - feeAtoms,
    refundAtoms: terms.prepaidAtoms - chargedAtoms,
  }
}
