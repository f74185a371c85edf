// The guard of our own fee payer: no new rental is quoted while it has too little SOL, or has spent the day's budget for network fees.

import { signerFromSeed } from './x402-chain.ts'
import { openFacilitatorRpc } from './x402-facilitator-rpc.ts'

/** How old a reading may be before somebody's question makes a new one, in ms; a failed one is tried again sooner. */
const readingMs = 10_000
const failedReadingMs = 2_000
const alarmEveryMs = 60_000
const dayMs = 86_400_000

/**
 * `minLamports`: below it new quotes pause, and what is left pays for the rentals that run: their extensions, refunds and payouts.
 * `dailyLamports`: what it may spend in any 24 hours before new quotes pause.
 */
export type FeeLimits = { minLamports: bigint; dailyLamports: bigint }

/** Says why no new rental may be quoted now, undefined when one may. Throws when what was spent cannot be read. */
export type FeeGuard = { pausedBecause(): Promise<string | undefined> }

/** How the balance of our own fee payer is read: lamports, as the RPC has them at confirmed commitment. */
export async function balanceOfFeePayer(config: { rpcUrl: string; feePayerSecretKey: string }): Promise<() => Promise<bigint>> {
  const rpc = openFacilitatorRpc(config.rpcUrl)
  const { address } = await signerFromSeed(config.feePayerSecretKey)
  return () => rpc.balance(address)
}

/**
 * Watches one fee payer. `balance`: its lamports now, throws when the chain cannot be asked; then quotes pause too, because nobody knows.
 * `spentLamports`: what it spent since a time in ms, as far as the books know. Nothing is read until somebody asks, and then at most
 * every 10 s however many ask. What pauses is logged as an alarm, level error, at once and then every minute that somebody asks.
 */
export function openFeeGuard(config: {
  balance: () => Promise<bigint>
  spentLamports: (sinceMs: number) => Promise<bigint>
  limits: FeeLimits
  now: () => number
}): FeeGuard {
  const { balance, spentLamports, limits, now } = config
  let reading: { reason: string | undefined; untilMs: number } | undefined
  let reads: Promise<string | undefined> | undefined
  let alarmedAtMs = Number.NEGATIVE_INFINITY

  function pause(event: string, reason: string, facts: Record<string, string>): string {
    if (now() >= alarmedAtMs + alarmEveryMs) {
      alarmedAtMs = now()
      console.error(JSON.stringify({ level: 'error', event, reason, ...facts }))
    }
    return reason
  }

  async function read(): Promise<string | undefined> {
    const spent = await spentLamports(now() - dayMs)
    const left = await balance().catch((error: Error) => error)
    if (left instanceof Error) {
      reading = {
        reason: pause('fee_payer_unknown', 'its balance cannot be read', { message: left.message }),
        untilMs: now() + failedReadingMs,
      }
      return reading.reason
    }
    const { minLamports, dailyLamports } = limits
    const facts = {
      lamports: String(left),
      minLamports: String(minLamports),
      spentLamports: String(spent),
      dailyLamports: String(dailyLamports),
    }
    let reason: string | undefined
    if (left < minLamports) reason = pause('fee_payer_low', 'it has too little SOL', facts)
    else if (spent >= dailyLamports) reason = pause('fee_payer_overspent', 'it has spent its budget for this day', facts)
    // The next trouble is told at once.
    else alarmedAtMs = Number.NEGATIVE_INFINITY
    reading = { reason, untilMs: now() + readingMs }
    return reason
  }

  return {
    async pausedBecause() {
      if (reading && now() < reading.untilMs) return reading.reason
      reads ??= read().finally(() => {
        reads = undefined
      })
      return reads
    },
  }
}
