// The world of the model runs: one database, one mock chain, one clock, and market processes that can die between any two statements.
import { randomBytes } from 'node:crypto'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { Kysely, PostgresDialect, type PostgresPool } from 'kysely'
import pg from 'pg'
import { deriveMarketKeys } from '../../lib/auth/market-keys.ts'
import type { CrashName } from '../../lib/crash.ts'
import type { Db } from '../../lib/db/client.ts'
import type { DB } from '../../lib/db/types.ts'
import { openMockChain } from '../../lib/payments/mock-chain.ts'
import { mockEscrow, openMockRail } from '../../lib/payments/mock-rail.ts'
import type { PaymentRail } from '../../lib/payments/payment-rail.ts'
import type { NodeLink } from '../../lib/provisioning/node-link.ts'
import { partsOf } from '../../lib/settlement/send-transfers.ts'

/** The market's address for its fee, what it takes, and below what a stray receipt is not worth sending back. */
export const feeAddress = 'market-fee'
export const feeBps = 500
export const dustAtoms = 1_000n
/** So few that a scan takes several pages now and then. */
const pageSize = 20

/** When a process dies: at the nth pass of a named point, before its nth statement, or around its nth call to the chain. */
export type Death = { point?: CrashName; nth?: number; statement?: number; call?: number }

/** Thrown at a process that is dead: whatever it still wanted to do does not happen. */
export class Dead extends Error {
  constructor() {
    super('this process is dead')
  }
}

export type World = Awaited<ReturnType<typeof openWorld>>
export type Process = ReturnType<World['process']>

const railCalls = [
  'refusalOf',
  'settle',
  'findCharge',
  'lastValidHeight',
  'signMovement',
  'broadcast',
  'findMovement',
  'scanEscrow',
  'escrowBalance',
] as const

const int8Oid = 20

/** Opens a world over a migrated, empty database. */
export async function openWorld(databaseUrl: string) {
  let nowMs = Date.UTC(2027, 0, 1)
  const startedAtMs = nowMs
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 12,
    // Nothing may wait longer than this for a lock: a deadlock of ours is a finding, not a pause.
    lock_timeout: 2_000,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') =>
        oid === int8Oid ? (value: string) => BigInt(value) : pg.types.getTypeParser(oid, format as 'text'),
    } as pg.CustomTypesConfig,
  })
  // What still listens while its database is dropped is of no interest.
  pool.on('error', () => undefined)
  pool.on('connect', (client) => client.on('error', () => undefined))
  const chain = openMockChain({ now: () => nowMs })
  const pause = async () => undefined
  const openRails = () => ({
    local: openMockRail({ chain, feeAddress, pause, pageSize }),
    remote: openMockRail({ chain, feeAddress, pause, pageSize, knowsSignature: false }),
  })
  let rails = openRails()
  const keys = deriveMarketKeys(randomBytes(32).toString('base64url'))
  const engine = await openEngine()
  const names = new Map<string, string>()
  const stats = { statements: 0, crashes: 0, forks: 0 }

  /** One statement; those that come often are prepared once per connection. */
  function ask(client: pg.PoolClient, text: string, values: unknown[]): Promise<pg.QueryResult> {
    stats.statements++
    if (!names.has(text) && names.size < 300) names.set(text, `s${names.size}`)
    const name = names.get(text)
    return client.query(name === undefined ? { text, values } : { name, text, values })
  }

  /** A market process of its own. `schedule` decides when an answer of the chain arrives. */
  function process(
    options: {
      death?: Death | undefined
      link?: NodeLink
      rail?: 'local' | 'remote'
      payoutHoldMs?: number
      isPatient?: boolean
      schedule?: <T>(answer: Promise<T>) => Promise<T>
    } = {},
  ) {
    const { death, isPatient = true, schedule = (answer) => answer } = options
    const left = { point: death?.nth ?? 1, statement: death?.statement ?? Infinity, call: death?.call ?? Infinity }
    let isDead = false
    let hasAskedTime = false
    let aheadMs = 0

    function die(): never {
      if (!isDead) stats.crashes++
      isDead = true
      throw new Dead()
    }
    function live(counter: 'statement' | 'call'): void {
      hasAskedTime = false
      if (isDead || --left[counter] < 0) die()
    }
    const guarded = (client: pg.PoolClient) => ({
      async query(text: string, values: readonly unknown[] = []) {
        if (!/^rollback$/i.test(text)) live('statement')
        const answer = await ask(client, text, [...values])
        if (isDead && !/^rollback$/i.test(text)) throw new Dead()
        return answer
      },
      // The connection dies with its process: what it had begun is undone, and nobody else ever works inside of it.
      release: () => client.release(isDead),
    })
    const guardedPool = {
      connect: async () => {
        if (isDead) throw new Dead()
        return guarded(await pool.connect())
      },
      end: async () => undefined,
      options: {},
    }
    const db: Db = new Kysely<DB>({ dialect: new PostgresDialect({ pool: guardedPool as unknown as PostgresPool }) })

    const base = rails[options.rail ?? 'local']
    const rail: PaymentRail = { ...base }
    for (const name of railCalls) {
      const real = base[name] as (...given: unknown[]) => Promise<unknown>
      const call = async (...given: unknown[]) => {
        live('call')
        const answer = await schedule(real(...given))
        if (isDead) throw new Dead()
        return answer
      }
      Object.assign(rail, { [name]: call })
    }
    const deps = {
      db,
      rail,
      keys,
      engine,
      feeBps,
      currency: 'USDC',
      dustAtoms,
      escrowHourlyCapAtoms: 10_000_000_000n,
      // Every process here has been up since the history was last read; fault 58 is about those that have not.
      upSinceMs: 0,
      payoutHoldMs: options.payoutHoldMs ?? 0,
      partsOf,
      feeGuard: { pausedBecause: async () => undefined },
      payee: base.payee(),
      link: options.link ?? noLink,
      now() {
        // Who asks twice with nothing in between waits for time to pass; here no time passes while one waits.
        if (!isPatient && hasAskedTime) aheadMs += 30_000
        hasAskedTime = true
        return nowMs + aheadMs
      },
      crash(passed: CrashName) {
        if (isDead) throw new Dead()
        if (passed === death?.point && --left.point === 0) die()
      },
    }
    return { deps, isDead: () => isDead }
  }

  return {
    chain,
    keys,
    stats,
    startedAtMs,
    /** Signatures that a fork took away at some time. */
    dropped: new Set<string>(),
    now: () => nowMs,
    passMs(ms: number): void {
      nowMs += ms
    },
    /** The facilitators as they are before anything was planned for them. */
    openRails(): void {
      rails = openRails()
    },
    get rails() {
      return rails
    },
    process,
    /** A row or more, past all of the market's code. */
    async sql<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
      const client = await pool.connect()
      try {
        return (await ask(client, text, values)).rows as Row[]
      } finally {
        client.release()
      }
    },
    escrow: mockEscrow,
    async close(): Promise<void> {
      await pool.end()
      chain.close()
    },
  }
}

const refuse = async () => {
  throw new Error('no machine is behind this process')
}
const noLink: NodeLink = {
  isConnected: () => false,
  putLease: refuse,
  exec: refuse,
  logs: refuse,
  terminal: refuse,
  resizeTerminal: refuse,
}
