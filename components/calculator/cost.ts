// The cost of a plan: what is prepaid, and how it splits when the rental is stopped after some minutes. Exact, as the market computes it.
import { billedSeconds, chargeAtoms, prepaidAtoms, type Split, splitPrepaid } from '@flow402/protocol/money'

export type Plan = { units: number; minutes: number; priceAtomsPerHour: bigint; feeBps: number }

/** The prepaid amount and the price of all units together for an hour, in atoms. */
export function costOf(plan: Plan): { prepaid: bigint; perHour: bigint } {
  return {
    prepaid: prepaidAtoms(plan.units, plan.priceAtomsPerHour, plan.minutes * 60),
    perHour: BigInt(plan.units) * plan.priceAtomsPerHour,
  }
}

/** The split if the machine runs for this long and is then stopped. */
export function splitAfter(plan: Plan, runMinutes: number): Split {
  const seconds = billedSeconds(runMinutes * 60, runMinutes > 0, plan.minutes * 60)
  return splitPrepaid(costOf(plan).prepaid, chargeAtoms(plan.units, plan.priceAtomsPerHour, seconds), plan.feeBps)
}
