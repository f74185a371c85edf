// Faults by number: every fault of the list that money must survive, and how a test says what it observed of one.
import { test } from 'vitest'

declare module 'vitest' {
  interface TaskMeta {
    /** Set by a fault test that passed: what was observed, in words. */
    outcome?: string
  }
}

/** The faults that this market's money is held against, by their numbers in the catalogue; `npm run test:faults` wants one test for each. */
export const faults = {
  1: 'one payment for two rentals, 50 times at once on two replicas',
  2: 'the same request retried after the client gave up waiting',
  3: 'the unsigned places of a payment filled with 100 kinds of noise',
  4: 'an atom less or more than asked',
  5: 'another mint, or one that takes a fee of every transfer',
  6: 'a payment for another network',
  7: 'a payment to somebody else',
  8: 'a memo missing, twice, or of another quote',
  9: 'instructions that drain the fee payer, or cannot be read offline',
  10: 'the blockhash expired before the claim',
  11: 'the buyer empties the account between judging and settling',
  12: 'a quote used after a price change, after its time, by somebody else',
  13: 'the facilitator fails before it broadcast',
  14: 'the facilitator answers late or not at all, after the landing',
  15: 'the facilitator says success and the chain has nothing',
  16: 'the facilitator says duplicate of our own earlier try',
  17: 'RPC nodes that lag, lie or disagree',
  18: 'kill -9 at every named point',
  19: 'a confirmed payment dropped by a fork',
  20: 'a payment that lands after its quote, its rental or its capacity is gone',
  21: 'two wallets pay for the same rental',
  22: 'two workers run one refund, one dies between broadcast and commit',
  23: 'amounts that are negative, zero, too large or no numbers; a refund beyond what is held',
  24: 'the account of a refund is closed or frozen',
  25: 'a stop races with settlement and with the end of paid time',
  26: 'a hijacked session changes where a provider is paid',
  27: 'the fee payer runs out of SOL, the RPC limits its rate',
  28: 'the key of the hot wallet is stolen',
  29: 'a flood of unasked-for transfers to the escrow',
  30: '100 buyers pay for the last unit at once, 20 rounds, two replicas',
  31: 'a bot asks for prices and never pays',
  32: 'an offer is unlisted, repriced or deleted while it is being paid',
  33: 'two transactions lock the same rows in opposite order',
  34: 'the same idempotency key 50 times at once',
  35: 'two clocks work on the same rentals',
  36: '32 writers on one offer',
  52: 'kill -9 of PostgreSQL in the middle of commits',
  53: 'the connection cut at every statement of a payment',
  54: 'failover to a database that lags',
  55: 'every connection taken, a table locked, a transaction left idle',
  56: 'the disk of the database full',
  57: 'a migration under traffic',
  58: 'the database restored from a backup',
  59: 'an old snapshot held open while the queue turns over',
  60: 'Redis gone, slow or wrong',
  61: 'a worker stands still with a job in hand, past its lease',
  62: 'a job that always fails',
  63: 'every event consumed again',
} as const

export type FaultNumber = keyof typeof faults

/**
 * Registers the test of one fault. `run` injects it, checks what must hold and answers what it observed, in words for
 * `fault #14 <name>: <outcome>`; the name is the list's, so that test and list cannot drift apart.
 */
export function fault<N extends FaultNumber>(number: N, name: (typeof faults)[N], run: () => Promise<string>, timeoutMs = 120_000): void {
  test(`fault #${number} ${name}`, { timeout: timeoutMs }, async ({ task }) => {
    task.meta.outcome = await run()
  })
}

/** Registers something that is to be shown beside the list, in the same manner. */
export function shown(name: string, run: () => Promise<string>, timeoutMs = 120_000): void {
  test(`shown: ${name}`, { timeout: timeoutMs }, async ({ task }) => {
    task.meta.outcome = await run()
  })
}

/** How often each value occurs, as `49x 409, 1x 201`, the most frequent first. */
export function tally(values: readonly unknown[]): string {
  const counts = Map.groupBy(values, String)
  return [...counts]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([value, all]) => `${all.length}x ${value}`)
    .join(', ')
}
