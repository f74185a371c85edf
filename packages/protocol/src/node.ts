// Nodes: a provider's machine, what it can give, how it enrols and what its self-test proved.
import { z } from 'zod'
import { NodeId, OfferId } from './id.ts'
import { Atoms } from './money.ts'

/** How strongly a workload is fenced: a process is never called a container; sandboxed means gVisor. */
export const Isolation = z.enum(['process', 'container', 'sandboxed'])
export type Isolation = z.infer<typeof Isolation>

/** What one unit of an offer holds. RAM offers: 1 GB of RAM with its share; GPU offers: one whole GPU with its share. */
export const PerUnit = z.strictObject({
  ramMb: z.int().min(16),
  cpuMillis: z.int().min(50),
  diskMb: z.int().min(16),
  gpuName: z.string().max(100).optional(),
  vramMb: z.int().min(1).optional(),
})
export type PerUnit = z.infer<typeof PerUnit>

/** A Solana address: 32 bytes in base58 (checked for alphabet and length here, decoded where it is used). */
export const SolanaAddress = z.string().regex(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/, 'a base58 Solana address')

/** What the provider asks for its machine when it enrols: one offer. */
export const OfferTerms = z.strictObject({
  kind: z.enum(['ram', 'gpu']),
  unitsTotal: z.int().min(1).max(100_000),
  perUnit: PerUnit,
  priceAtomsPerHour: Atoms,
  minMinutes: z.int().min(1).max(43_200),
  maxMinutes: z.int().min(1).max(43_200),
})
export type OfferTerms = z.infer<typeof OfferTerms>

/** One check of the agent's self-test. */
export const DoctorCheck = z.strictObject({ name: z.string().max(60), ok: z.boolean(), detail: z.string().max(500) })
export type DoctorCheck = z.infer<typeof DoctorCheck>

/** The agent's self-test: it may be listed only if every check is ok, the out-of-memory kill of a real container included. */
export const DoctorReport = z.strictObject({
  ok: z.boolean(),
  at: z.int(),
  agentVersion: z.string().max(40),
  engine: z.string().max(100),
  isolation: Isolation,
  network: z.enum(['none', 'egress']),
  ramMb: z.int(),
  cpuMillis: z.int(),
  diskMb: z.int(),
  checks: z.array(DoctorCheck).max(50),
})
export type DoctorReport = z.infer<typeof DoctorReport>

/** When a provider wants its money: from this sum on, and at most this often. Zero and zero: as soon as it is earned. */
export const PayoutPolicy = z.strictObject({ minAtoms: Atoms, intervalSeconds: z.int().min(0).max(2_592_000) })
export type PayoutPolicy = z.infer<typeof PayoutPolicy>

/** Body of POST /api/nodes/enrol: a one-time token buys a node id for a key that was made on the host. */
export const EnrolRequest = z.strictObject({
  token: z.string().min(20).max(200),
  /** Ed25519 public key of the node: 32 bytes, base64url. */
  publicKey: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  name: z.string().trim().min(1).max(60),
  region: z.string().trim().min(2).max(40),
  payoutAddress: SolanaAddress,
  payout: PayoutPolicy.optional(),
  offer: OfferTerms,
})
export type EnrolRequest = z.infer<typeof EnrolRequest>

/** What enrolment gives back; the agent pins `marketPublicKey` and believes orders and stream tokens only from it. */
export const Enrolment = z.strictObject({
  nodeId: NodeId,
  offerId: OfferId,
  /** Ed25519 public key of the market: 32 bytes, base64url. */
  marketPublicKey: z.string(),
  /** Where the agent dials, e.g. ws://127.0.0.1:3000/api/tunnel */
  tunnelUrl: z.string(),
})
export type Enrolment = z.infer<typeof Enrolment>

/** Answer of GET /api/nodes/:id/payouts: what is earned and not paid out yet, and by which rule it will be. */
export const NodePayouts = z.strictObject({
  nodeId: NodeId,
  payoutAddress: z.string(),
  policy: PayoutPolicy,
  /** Earned, not sent yet; without what a dispute holds. */
  owedAtoms: Atoms,
  /** Sent, not final on chain yet. */
  onItsWayAtoms: Atoms,
  paidAtoms: Atoms,
  /** Held by open disputes. */
  disputedAtoms: Atoms,
  lastPayoutAt: z.iso.datetime().nullable(),
})
export type NodePayouts = z.infer<typeof NodePayouts>

/** The node as anyone may see it. */
export const NodeView = z.strictObject({ id: NodeId, name: z.string(), region: z.string(), online: z.boolean() })
export type NodeView = z.infer<typeof NodeView>

/**
 * The provider's bearer token: a compact JWS (EdDSA, RFC 7515, RFC 7519) by the node's key with this `typ`, `sub` the node's id, `aud` the
 * market's public key and `exp` at most `nodeTokenSecondsAtMost` ahead.
 */
export const nodeTokenType = 'flow402-node+jwt'
export const nodeTokenSecondsAtMost = 300
