// Live cost: what a rental has cost up to this second and what is left, by the market's own formula.
import { billedSeconds, chargeAtoms } from '@flow402/protocol/money'
import type { Rental } from '@flow402/protocol/rental'

/** Seconds are whole; amounts are atoms. `isFinal` once the market has settled. */
export type LiveCost = { ranSeconds: number; leftSeconds: number; costAtoms: bigint; unspentAtoms: bigint; isFinal: boolean }

type Counted = Pick<
  Rental,
  'state' | 'startedAt' | 'paidUntil' | 'minutes' | 'units' | 'priceAtomsPerHour' | 'prepaidAtoms' | 'meteredSeconds' | 'chargedAtoms'
>

/** Counts from `startedAt` while running, from the node's metered seconds once it ended, and believes the market once settled. */
export function liveCost(rental: Counted, nowMs: number): LiveCost {
  const paidSeconds = rental.minutes * 60
  const prepaid = BigInt(rental.prepaidAtoms)
  const isFinal = rental.state === 'settled'
  const isRunning = rental.state === 'running' && rental.startedAt !== null
  const elapsed = isRunning ? Math.floor((nowMs - Date.parse(rental.startedAt as string)) / 1000) : rental.meteredSeconds
  const ranSeconds = Math.min(Math.max(elapsed, 0), paidSeconds)
  const billed = billedSeconds(ranSeconds, rental.startedAt !== null, paidSeconds)
  const counted = isFinal ? BigInt(rental.chargedAtoms) : chargeAtoms(rental.units, BigInt(rental.priceAtomsPerHour), billed)
  const costAtoms = counted < prepaid ? counted : prepaid
  const until = rental.paidUntil === null ? null : Date.parse(rental.paidUntil)
  const leftSeconds = isRunning && until !== null ? Math.max(0, Math.ceil((until - nowMs) / 1000)) : 0
  return { ranSeconds, leftSeconds, costAtoms, unspentAtoms: prepaid - costAtoms, isFinal }
}
