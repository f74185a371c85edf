// Words for the reserves: what each account is to people, and how the newest comparison stands.
import type { LiabilityAccount, Reserves } from '@flow402/protocol/reserve'

/** In the order in which money passes them. */
export const breakdownWords: readonly { account: LiabilityAccount; name: string }[] = [
  { account: 'held', name: 'Prepaid by renters, not used yet' },
  { account: 'provider', name: 'Earned by providers, not paid out yet' },
  { account: 'disputed', name: 'Held until a dispute is decided' },
  { account: 'refund', name: 'On its way back to renters' },
  { account: 'fee', name: 'The market’s fees, not taken yet' },
  { account: 'unmatched', name: 'Came for nothing, goes back' },
]

/** A comparison is made every half minute; after this many ms without one the chain is said not to answer. */
export const lateAfterMs = 180_000

/** never: nothing was compared yet. late: the last comparison is old. frozen: it found a difference. */
export function reservesState(reserves: Pick<Reserves, 'checkedAt' | 'frozen'>, nowMs: number): 'never' | 'late' | 'frozen' | 'right' {
  if (reserves.checkedAt === null) return 'never'
  if (reserves.frozen) return 'frozen'
  return nowMs - Date.parse(reserves.checkedAt) > lateAfterMs ? 'late' : 'right'
}

/** "12 s", "5 min", "3 h", "2 d". */
export function ageText(at: string | null, nowMs: number): string {
  const seconds = at === null ? 0 : Math.max(0, Math.floor((nowMs - Date.parse(at)) / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86_400)} d`
}
