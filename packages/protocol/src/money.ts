// Money: whole atoms of a currency (micro-USDC), exact prices and the exact three-way split of a prepaid amount.
import { z } from 'zod'

/** An amount on the wire: a decimal string of atoms, no sign, no leading zero, at most 18 digits (fits PostgreSQL's bigint). */
export const Atoms = z.string().regex(/^(0|[1-9]\d{0,17})$/, 'a whole number of atoms as a decimal string')

/** The only currency of the first market: USDC with 6 decimals, so one atom is a millionth of a dollar. */
export const Currency = z.enum(['USDC'])
export type Currency = z.infer<typeof Currency>

const secondsPerHour = 3600n
const bpsPerWhole = 10_000n

/** Shortest time that is billed once a rental has run at all, in seconds. */
export const minimumBilledSeconds = 60

/** What a rental must prepay: ceil(units x price x seconds / 3600), in atoms. */
export function prepaidAtoms(units: number, priceAtomsPerHour: bigint, seconds: number): bigint {
  const total = BigInt(units) * priceAtomsPerHour * BigInt(seconds)
  return (total + secondsPerHour - 1n) / secondsPerHour
}

/** What cumulative metered seconds cost: floor(units x price x seconds / 3600), in atoms; windows of it telescope. */
export function chargeAtoms(units: number, priceAtomsPerHour: bigint, meteredSeconds: number): bigint {
  return (BigInt(units) * priceAtomsPerHour * BigInt(meteredSeconds)) / secondsPerHour
}

/** The seconds that are billed: nothing if it never ran, at least the minimum once it did, never more than was paid for. */
export function billedSeconds(meteredSeconds: number, hasRun: boolean, paidSeconds: number): number {
  if (!hasRun) return 0
  return Math.min(Math.max(meteredSeconds, minimumBilledSeconds), paidSeconds)
}

/** How a prepaid amount ends: chargedAtoms = payoutAtoms + feeAtoms, and payout + fee + refund = prepaid, to the atom. */
export type Split = { chargedAtoms: bigint; feeAtoms: bigint; payoutAtoms: bigint; refundAtoms: bigint }

/** Splits a prepaid amount into payout, fee (floor of the charge's basis points, from the provider's side) and refund. */
export function splitPrepaid(prepaid: bigint, charge: bigint, feeBps: number): Split {
  const chargedAtoms = charge < prepaid ? charge : prepaid
  const feeAtoms = (chargedAtoms * BigInt(feeBps)) / bpsPerWhole
  return { chargedAtoms, feeAtoms, payoutAtoms: chargedAtoms - feeAtoms, refundAtoms: prepaid - chargedAtoms }
}

/** Atoms as dollars for people, exact: 1234500n -> "1.2345"; at least `minDecimals` decimals, at most 6. */
export function formatUsdc(atoms: bigint, minDecimals = 2): string {
  const sign = atoms < 0n ? '-' : ''
  const digits = (atoms < 0n ? -atoms : atoms).toString().padStart(7, '0')
  const decimals = digits.slice(-6).replace(/0+$/, '').padEnd(minDecimals, '0')
  return `${sign}${digits.slice(0, -6)}${decimals ? `.${decimals}` : ''}`
}
