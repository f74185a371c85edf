// Environment: the one place that reads process.env; a wrong or unsafe setting stops the start with one clear line.
import { z } from 'zod'

const networks = {
  mainnet: { caip2: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp', usdcMint: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v' },
  devnet: { caip2: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1', usdcMint: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU' },
} as const

/** The mock rail's chain is no network of anybody's. */
const mockNetwork = { caip2: 'mock:local', usdcMint: 'mock-usdc' } as const

const Secret = z.string().regex(/^[A-Za-z0-9_-]{43,}={0,2}$/, 'base64url of at least 32 bytes')
const optionalUrl = z
  .url()
  .optional()
  .or(z.literal('').transform(() => undefined))

const urlList = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .refine((urls) => urls.every((url) => /^https?:\/\//.test(url) && URL.canParse(url)), 'urls with commas between')

/** `local` and urls with commas between, in order of preference. */
const facilitatorList = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  )
  .transform((entries) => (entries.length === 0 ? ['local'] : [...new Set(entries)]))
  .refine(
    (entries) => entries.every((entry) => entry === 'local' || (/^https?:\/\/[^/]/.test(entry) && URL.canParse(entry))),
    'local, or urls of x402 facilitators, with commas between',
  )

const whole = (unit: string, usual: string) =>
  z
    .string()
    .regex(/^\d{1,18}$/, `${unit}, a whole number`)
    .default(usual)
    .transform(BigInt)

const Settings = z.object({
  FLOW402_ENV: z.enum(['local', 'devnet', 'mainnet']),
  NODE_ENV: z.string().default('production'),
  ROLE: z
    .string()
    .regex(/^(all|(web|gateway|clock)(,(web|gateway|clock))*)$/, 'all, or some of web, gateway and clock with commas between')
    .default('all'),
  PORT: z.coerce.number().int().min(0).max(65_535).default(3000),
  HOST: z.string().optional(),
  PUBLIC_URL: optionalUrl,
  DATABASE_URL: z.string().startsWith('postgres'),
  PAYMENT_RAIL: z.enum(['x402', 'mock']).default('x402'),
  MOCK_CHAIN_FILE: z.string().min(1).optional(),
  SOLANA_RPC_URL: z.url(),
  SOLANA_RPC_WITNESS_URLS: urlList,
  USDC_MINT: z.string().optional(),
  FAUCET_URL: optionalUrl,
  EXPLORER_URL: optionalUrl,
  FLOW402_SECRET: Secret,
  ADMIN_TOKEN: Secret.optional().or(z.literal('').transform(() => undefined)),
  ESCROW_SECRET_KEY: Secret,
  FEE_PAYER_SECRET_KEY: Secret,
  FEE_ADDRESS: z.string().min(32).max(44),
  FEE_BPS: z.coerce.number().int().min(0).max(10_000).default(500),
  FACILITATOR_URL: facilitatorList,
  // A payment costs 10,001 lamports as clients usually send it: this is left for the extensions, payouts and refunds of some hundred
  // rentals, 1,999 transactions, when new ones are no longer quoted.
  FEE_PAYER_MIN_LAMPORTS: whole('lamports', '20000000'),
  // 200,000 payments a day as clients usually send them, 9,500 of the dearest that are sponsored.
  FEE_PAYER_DAILY_LAMPORTS: whole('lamports', '2000000000'),
  PAYOUT_HOLD_SECONDS: z.coerce.number().int().min(0).max(2_592_000).default(0),
  DISPUTE_DEFAULT_REFUND_BPS: z.coerce.number().int().min(0).max(10_000).default(0),
  // 10,000 USDC.
  ESCROW_HOURLY_CAP_ATOMS: whole('atoms', '10000000000'),
  DUST_ATOMS: z.coerce.number().int().min(0).max(1_000_000).default(2_000),
  EXPECT_LOCAL_NODE: z.enum(['0', '1']).default('0'),
  FLOW402_CRASH_AT: z.string().optional(),
})

/** Everything the server is told from outside, checked and named. */
export type Env = {
  mode: 'local' | 'devnet' | 'mainnet'
  development: boolean
  /** What this process does: pages, machines' tunnels, time. The API answers in every role. */
  roles: { web: boolean; gateway: boolean; clock: boolean }
  port: number
  host: string
  publicUrl: string | undefined
  databaseUrl: string
  /** How money comes in and goes out. mock: none does, for development and tests. */
  paymentRail: 'x402' | 'mock'
  /** Where the mock chain is kept, for several processes or a restart; undefined: in this process. */
  mockChainFile: string | undefined
  rpcUrl: string
  /** CAIP-2 id; the local chain poses as devnet, because the x402 packages know no other id. */
  network: string
  /** Further nodes: that something is not on chain is believed only when all of them say so. */
  rpcWitnessUrls: string[]
  usdcMint: string
  faucetUrl: string | undefined
  explorerUrl: string | undefined
  secret: string
  /** The admin's bearer token; undefined: nobody is admin. */
  adminToken: string | undefined
  escrowSecretKey: string
  feePayerSecretKey: string
  feeAddress: string
  feeBps: number
  /** How long earnings wait before they may be paid out, in ms: what left can no longer be held by a dispute. */
  payoutHoldMs: number
  /** Which part of what it holds a dispute gives back that nobody decides in time, in basis points. */
  disputeDefaultRefundBps: number
  /** What is sent to the escrow for nothing and is less than this is kept: returning it would cost more. */
  dustAtoms: bigint
  /** What may leave the escrow by our own signatures within any hour, in atoms: what is more waits. */
  escrowHourlyCapAtoms: bigint
  /** Who settles payments, in order of preference: `local`, our own in this process, or urls. At least one. */
  facilitators: string[]
  /** Below this balance of our fee payer no new rental is quoted, in lamports. */
  feePayerMinLamports: bigint
  /** When our fee payer has spent this in 24 hours no new rental is quoted, in lamports. */
  feePayerDailyLamports: bigint
  expectLocalNode: boolean
  /** Fault tests only, local chain only: the name of the point at which the process kills itself. */
  crashAt: string | undefined
}

/** Reads and checks the environment. Throws an Error whose message names every wrong setting. */
export function readEnv(source: Record<string, string | undefined> = process.env): Env {
  const parsed = Settings.safeParse(source)
  if (!parsed.success) {
    const wrong = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
    throw new Error(`The settings are not right:\n  ${wrong.join('\n  ')}\n.env.example names them all.`)
  }
  const s = parsed.data
  const isLocal = s.FLOW402_ENV === 'local'
  if (!isLocal && s.FAUCET_URL) throw new Error('FAUCET_URL exists on the local chain only: remove it or set FLOW402_ENV=local.')
  if (!isLocal && s.FLOW402_CRASH_AT) throw new Error('FLOW402_CRASH_AT is for tests on the local chain only.')
  const isMock = s.PAYMENT_RAIL === 'mock'
  if (isMock && (!isLocal || s.NODE_ENV === 'production'))
    throw new Error('PAYMENT_RAIL=mock moves no money: it needs FLOW402_ENV=local and a NODE_ENV that is not production.')
  const has = (role: string) => s.ROLE === 'all' || s.ROLE.split(',').includes(role)
  const chain = isMock ? mockNetwork : s.FLOW402_ENV === 'mainnet' ? networks.mainnet : networks.devnet
  return {
    mode: s.FLOW402_ENV,
    development: s.NODE_ENV === 'development',
    roles: { web: has('web'), gateway: has('gateway'), clock: has('clock') },
    port: s.PORT,
    host: s.HOST ?? (isLocal ? '127.0.0.1' : '0.0.0.0'),
    publicUrl: s.PUBLIC_URL,
    databaseUrl: s.DATABASE_URL,
    paymentRail: s.PAYMENT_RAIL,
    mockChainFile: s.MOCK_CHAIN_FILE,
    rpcUrl: s.SOLANA_RPC_URL,
    network: chain.caip2,
    rpcWitnessUrls: s.SOLANA_RPC_WITNESS_URLS,
    usdcMint: isMock ? chain.usdcMint : (s.USDC_MINT ?? chain.usdcMint),
    faucetUrl: s.FAUCET_URL,
    explorerUrl: s.EXPLORER_URL,
    secret: s.FLOW402_SECRET,
    adminToken: s.ADMIN_TOKEN,
    escrowSecretKey: s.ESCROW_SECRET_KEY,
    feePayerSecretKey: s.FEE_PAYER_SECRET_KEY,
    feeAddress: s.FEE_ADDRESS,
    feeBps: s.FEE_BPS,
    payoutHoldMs: s.PAYOUT_HOLD_SECONDS * 1000,
    disputeDefaultRefundBps: s.DISPUTE_DEFAULT_REFUND_BPS,
    dustAtoms: BigInt(s.DUST_ATOMS),
    escrowHourlyCapAtoms: s.ESCROW_HOURLY_CAP_ATOMS,
    facilitators: s.FACILITATOR_URL,
    feePayerMinLamports: s.FEE_PAYER_MIN_LAMPORTS,
    feePayerDailyLamports: s.FEE_PAYER_DAILY_LAMPORTS,
    expectLocalNode: s.EXPECT_LOCAL_NODE === '1',
    crashAt: s.FLOW402_CRASH_AT,
  }
}
