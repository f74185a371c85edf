// Rentals: the request, the whole life as one table, and what the renter sees.
import { z } from 'zod'
import { OfferId, PaymentId, RentalId } from './id.ts'
import { Atoms, Currency } from './money.ts'
import { NodeView, PerUnit } from './node.ts'

/** The whole life of a rental: state -> event -> next state. What is not written here cannot happen. */
export const moves = {
  requested: { pay: 'paid', expire: 'expired' },
  paid: { assign: 'starting', giveUp: 'ending' },
  starting: { ready: 'running', fail: 'ending' },
  running: { stop: 'ending', timeUp: 'ending', lose: 'ending', exit: 'ending' },
  ending: { settle: 'settled' },
  settled: {},
  expired: {},
} as const

export type RentalState = keyof typeof moves
export type RentalEvent = { [S in RentalState]: keyof (typeof moves)[S] }[RentalState]
export const RentalState = z.enum(Object.keys(moves) as [RentalState, ...RentalState[]])

/** Why a rental ended: data, not a state. */
export const EndReason = z.enum([
  'stopped',
  'time_up',
  'node_lost',
  'start_failed',
  'start_timeout',
  'exited',
  'image_unavailable',
  /** A fork of the chain took the payment back before it was final. */
  'payment_reversed',
])
export type EndReason = z.infer<typeof EndReason>

/** The state an event leads to, or undefined when it cannot happen there. */
export function nextState(state: RentalState, event: RentalEvent): RentalState | undefined {
  return (moves[state] as Partial<Record<RentalEvent, RentalState>>)[event]
}

/** Whether something may be done to a rental now; buttons ask this and show the reason when not. */
export function canRental(state: RentalState, action: 'stop' | 'extend' | 'exec' | 'logs' | 'receipt'): boolean {
  if (action === 'stop') return state === 'paid' || state === 'starting' || state === 'running'
  if (action === 'receipt') return state === 'settled'
  if (action === 'logs') return state === 'running' || state === 'ending' || state === 'settled'
  return state === 'running'
}

const EnvName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, 'a name of letters, digits and underscores')
const noNul = (value: string) => !value.includes('\0')

/** A container image: the node's own when absent; otherwise a registry reference. */
export const ImageRef = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[a-z0-9]+([._:/@-][a-zA-Z0-9_]+|__[a-zA-Z0-9]+)*$/, 'an image reference such as debian:12 or ghcr.io/owner/image@sha256:...')

/** Body of POST /api/rentals. `command` runs as the workload; when it exits the rental ends and the rest is refunded. */
export const RentalRequest = z.strictObject({
  offerId: OfferId,
  units: z.int().min(1).max(100_000),
  minutes: z.int().min(1).max(43_200),
  image: ImageRef.optional(),
  command: z.array(z.string().max(4096).refine(noNul, 'no NUL bytes')).min(1).max(64).optional(),
  env: z
    .record(EnvName, z.string().max(4096).refine(noNul, 'no NUL bytes'))
    .refine((env) => Object.keys(env).length <= 64, 'at most 64 variables')
    .optional(),
  sshPublicKey: z
    .string()
    .max(1000)
    .regex(/^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp256) [A-Za-z0-9+/=]+( [^\r\n]*)?$/, 'one OpenSSH public key line')
    .optional(),
})
export type RentalRequest = z.infer<typeof RentalRequest>

/** Body of POST /api/rentals/:id/extend. */
export const ExtendRequest = z.strictObject({ minutes: z.int().min(1).max(43_200) })
export type ExtendRequest = z.infer<typeof ExtendRequest>

const Instant = z.iso.datetime()

/** A rental as its holder sees it. Times are ISO 8601 UTC; amounts are atoms. Charge, payout, fee and refund are final once settled. */
export const Rental = z.strictObject({
  id: RentalId,
  offerId: OfferId,
  state: RentalState,
  endReason: EndReason.nullable(),
  /** What the node said when it failed or exited, for people. */
  endDetail: z.string().nullable(),
  kind: z.enum(['ram', 'gpu']),
  units: z.int(),
  perUnit: PerUnit,
  minutes: z.int(),
  image: z.string().nullable(),
  priceAtomsPerHour: Atoms,
  currency: Currency,
  feeBps: z.int(),
  createdAt: Instant,
  startedAt: Instant.nullable(),
  paidUntil: Instant.nullable(),
  endedAt: Instant.nullable(),
  settledAt: Instant.nullable(),
  meteredSeconds: z.int(),
  prepaidAtoms: Atoms,
  chargedAtoms: Atoms,
  refundAtoms: Atoms,
  payoutAtoms: Atoms,
  feeAtoms: Atoms,
  payer: z.string().nullable(),
  node: NodeView,
})
export type Rental = z.infer<typeof Rental>

/** Answer of a paid POST /api/rentals: the rental and the only credential to it. */
export const CreatedRental = z.strictObject({ rental: Rental, accessToken: z.string() })
export type CreatedRental = z.infer<typeof CreatedRental>

/** Body of POST /api/rentals/:id/exec: an argument vector (no shell), text for stdin, and a deadline. */
export const ExecRequest = z.strictObject({
  argv: z.array(z.string().max(32_768).refine(noNul, 'no NUL bytes')).min(1).max(256),
  stdin: z.string().max(60_000).optional(),
  timeoutMs: z.int().min(100).max(300_000).optional(),
})
export type ExecRequest = z.infer<typeof ExecRequest>

/** Result of exec: output is UTF-8, at most 1 MiB each; `truncated` says that more was written. */
export const ExecResult = z.strictObject({ exitCode: z.int(), stdout: z.string(), stderr: z.string(), truncated: z.boolean() })
export type ExecResult = z.infer<typeof ExecResult>

/** Query of GET /api/rentals/:id/logs. */
export const LogsQuery = z.strictObject({
  follow: z.enum(['0', '1', 'true', 'false']).optional(),
  tail: z.coerce.number().int().min(0).max(10_000).optional(),
})
export type LogsQuery = z.infer<typeof LogsQuery>

/** The price part of a 402 body. */
export const QuotedPrice = z.strictObject({
  prepaidAtoms: Atoms,
  priceAtomsPerHour: Atoms,
  units: z.int(),
  minutes: z.int(),
  feeBps: z.int(),
  currency: Currency,
})
export type QuotedPrice = z.infer<typeof QuotedPrice>

/** The 402 body beside the problem members. */
export const PaymentRequiredBody = z.looseObject({
  code: z.literal('payment_required'),
  rentalId: RentalId,
  paymentId: PaymentId,
  expiresAt: Instant,
  price: QuotedPrice,
})
export type PaymentRequiredBody = z.infer<typeof PaymentRequiredBody>
