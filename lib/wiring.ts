// Wiring: the one place that builds the real dependencies; everybody else is given what they may use.
import type { Engine } from '@flow402/rust-lib/engine'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { deriveMarketKeys, type MarketKeys } from './auth/market-keys.ts'
import type { Now } from './clock.ts'
import { type CrashPoint, crashAt } from './crash.ts'
import { type Db, openDatabase } from './db/client.ts'
import type { Env } from './env.ts'
import type { PartsOf } from './payments/finalize-movement.ts'
import { openMockChain } from './payments/mock-chain.ts'
import { openMockRail } from './payments/mock-rail.ts'
import type { PaymentRail } from './payments/payment-rail.ts'
import { sumFees } from './payments/store-escrow.ts'
import { openExactRail } from './payments/x402-exact-rail.ts'
import { balanceOfFeePayer, type FeeGuard, openFeeGuard } from './payments/x402-fee-guard.ts'
import type { NodeLink } from './provisioning/node-link.ts'
import { partsOf } from './settlement/send-transfers.ts'
import type { Wake, Work } from './wake.ts'

/** Everything a door or a timer may hand to a verb. */
export type House = {
  env: Env
  version: string
  db: Db
  now: Now
  /** When this process opened the house, Unix ms. */
  upSinceMs: number
  keys: MarketKeys
  /** Digests, signatures and the check of usage statements. */
  engine: Engine
  rail: PaymentRail
  /** Asked before a new rental is quoted. */
  feeGuard: FeeGuard
  link: NodeLink
  crash: CrashPoint
  feeBps: number
  payee: ReturnType<PaymentRail['payee']>
  currency: 'USDC'
  payoutHoldMs: number
  disputeDefaultRefundBps: number
  dustAtoms: bigint
  escrowHourlyCapAtoms: bigint
  /** Whose money a transfer carries: settlement knows, the escrow's scan asks. */
  partsOf: PartsOf
  wake: Wake
  onWake(listener: (work: Work) => void): void
  close(): Promise<void>
}

/** Opens the house. The link to the machines is given, because the gateway owns it; tests give their own time. */
export async function openHouse(env: Env, version: string, link: NodeLink, now: Now = Date.now): Promise<House> {
  const db = openDatabase(env.databaseUrl)
  const rail = env.paymentRail === 'mock' ? mockRail(env, now) : await openExactRail(env, now)
  const listeners: ((work: Work) => void)[] = []
  return {
    env,
    version,
    db,
    now,
    upSinceMs: now(),
    keys: deriveMarketKeys(env.secret),
    engine: await openEngine(),
    rail,
    feeGuard: env.paymentRail === 'mock' ? unguarded : await feeGuard(env, db, now),
    link,
    crash: crashAt(env.crashAt),
    feeBps: env.feeBps,
    payee: rail.payee(),
    currency: 'USDC',
    payoutHoldMs: env.payoutHoldMs,
    disputeDefaultRefundBps: env.disputeDefaultRefundBps,
    dustAtoms: env.dustAtoms,
    escrowHourlyCapAtoms: env.escrowHourlyCapAtoms,
    partsOf,
    wake(work) {
      for (const listener of listeners) listener(work)
    },
    onWake(listener) {
      listeners.push(listener)
    },
    close: () => db.destroy(),
  }
}

/** Watches our own fee payer also when others settle: payouts and refunds need it. */
async function feeGuard(env: Env, db: Db, now: Now): Promise<FeeGuard> {
  return openFeeGuard({
    balance: await balanceOfFeePayer(env),
    spentLamports: (sinceMs) => sumFees(db, sinceMs),
    limits: { minLamports: env.feePayerMinLamports, dailyLamports: env.feePayerDailyLamports },
    now,
  })
}

/** A mock market pays no network. */
const unguarded: FeeGuard = { pausedBecause: async () => undefined }

/** Every payer of a mock market begins with this much, in atoms. */
const mockOpeningAtoms = 1_000_000_000n

/** The rail that moves no money; lib/env.ts refuses it in production. */
function mockRail(env: Env, now: Now): PaymentRail {
  const chain = openMockChain({ now, file: env.mockChainFile, openingAtoms: mockOpeningAtoms })
  return openMockRail({ chain, feeAddress: env.feeAddress })
}
