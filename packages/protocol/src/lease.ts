// Leases: what market and agent say to each other through the tunnel. The agent is the HTTP/2 server, the market the client.
import { z } from 'zod'
import { NodeId, RentalId, TerminalId } from './id.ts'
import { DoctorReport } from './node.ts'
import { SignedUsage } from './usage.ts'

/** Version of this conversation; the market refuses agents that speak another. 2: usage records are signed as docs/statement.md says. */
export const tunnelProtocol = 2

/** How often an agent reports that it is alive, in ms; suspect after 3, lost after 6 (product.md). */
export const heartbeatMs = 10_000
export const suspectAfterMs = 30_000
export const lostAfterMs = 60_000

/** Whole seconds between two usage records of one running lease. */
export const usageEverySeconds = 60

/** First message on the tunnel's WebSocket, market to agent, as JSON text. */
export const TunnelChallenge = z.strictObject({ type: z.literal('challenge'), protocol: z.int(), nonce: z.string() })
/** Second message, agent to market: the signature is Ed25519 over `flow402-tunnel-1\n<nodeId>\n<nonce>`, base64url. */
export const TunnelHello = z.strictObject({
  type: z.literal('hello'),
  protocol: z.int(),
  nodeId: NodeId,
  signature: z.string().max(100),
  agentVersion: z.string().max(40),
})
/** Third message, market to agent; after it the same WebSocket carries only binary HTTP/2. */
export const TunnelWelcome = z.strictObject({ type: z.literal('welcome'), heartbeatMs: z.int() })

/** The bytes that a TunnelHello signs. */
export function tunnelHelloBytes(nodeId: string, nonce: string): Uint8Array {
  return new TextEncoder().encode(`flow402-tunnel-1\n${nodeId}\n${nonce}`)
}

/** Everything the container needs; totals, not per unit. */
export const LeaseSpec = z.strictObject({
  image: z.string().nullable(),
  command: z.array(z.string()).nullable(),
  env: z.record(z.string(), z.string()),
  sshPublicKey: z.string().nullable(),
  ramMb: z.int(),
  cpuMillis: z.int(),
  diskMb: z.int(),
  gpuUnits: z.int(),
})
export type LeaseSpec = z.infer<typeof LeaseSpec>

/**
 * What the market wants of one lease, sent as a compact JWS (EdDSA, market's key, `aud` = node id) in `PUT /leases/:rentalId`.
 * A higher `epoch` replaces everything of a lower one; within an epoch a lower `revision` is stale and ignored.
 * `paidSeconds` counts from the moment the workload is ready, so no clock but the node's monotonic one decides its end.
 */
export const LeaseOrder = z.strictObject({
  rentalId: RentalId,
  epoch: z.int().min(1),
  revision: z.int().min(1),
  desired: z.enum(['running', 'ended']),
  paidSeconds: z.int().min(0),
  spec: LeaseSpec,
})
export type LeaseOrder = z.infer<typeof LeaseOrder>

/** What the order's JWS holds: the order and the one node that it is for. */
export const OrderClaims = z.strictObject({ aud: NodeId, ...LeaseOrder.shape })

/** Body of PUT /leases/:rentalId; the answer is the LeaseStatus. */
export const SignedOrder = z.strictObject({ order: z.string().max(100_000) })

/** Steps of a lease on the node, written to its journal before and after each. */
export const LeasePhase = z.enum(['accepted', 'preparing', 'pulling', 'creating', 'starting', 'ready', 'draining', 'removed', 'failed'])
export type LeasePhase = z.infer<typeof LeasePhase>

/** Why a lease ended on the node. */
export const LeaseEnd = z.enum(['ordered', 'paid_until', 'exited', 'failed', 'image_unavailable', 'vanished'])
export type LeaseEnd = z.infer<typeof LeaseEnd>

/** What the node says of one lease, at every change of phase. `removed` means: container, volume and network are gone. */
export const LeaseStatus = z.strictObject({
  rentalId: RentalId,
  epoch: z.int(),
  phase: LeasePhase,
  at: z.int(),
  /** The node's clock when the workload was proven ready, Unix ms. */
  readyAt: z.int().nullable(),
  end: LeaseEnd.nullable(),
  exitCode: z.int().nullable(),
  detail: z.string().max(500).nullable(),
})
export type LeaseStatus = z.infer<typeof LeaseStatus>

/**
 * One line of NDJSON that the agent writes on the response of `POST /reports`; `n` grows by one per line and connection.
 * lease and usage reports stay in the agent's outbox until the market acknowledged them: at least once, in order.
 */
export const Report = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('heartbeat'), n: z.int(), at: z.int() }),
  z.strictObject({ kind: z.literal('doctor'), n: z.int(), report: DoctorReport }),
  z.strictObject({ kind: z.literal('lease'), n: z.int(), status: LeaseStatus }),
  z.strictObject({ kind: z.literal('usage'), n: z.int(), usage: SignedUsage }),
])
export type Report = z.infer<typeof Report>

/** One line of NDJSON that the market writes on the request of `POST /reports`: everything up to `ack` is committed. */
export const ReportAck = z.strictObject({ ack: z.int() })

/**
 * Claims of the token that opens one stream to a workload (compact JWS, EdDSA, market's key; `aud` node id, `sub` rental id, `exp` at most 60 s).
 * The agent checks it itself, so whoever holds only the gateway has no shell.
 */
export const StreamScope = z.enum(['exec', 'logs', 'terminal'])
export type StreamScope = z.infer<typeof StreamScope>

/**
 * Streams that the agent serves, each with `authorization: Bearer <stream token>`:
 *   POST /leases/:rentalId/exec            ExecRequest -> ExecResult (JSON)
 *   GET  /leases/:rentalId/logs?follow&tail -> text/plain
 *   POST /leases/:rentalId/terminal?terminal=&cols=&rows=   raw bytes both ways; a known terminal id re-attaches and replays the last output
 *   POST /leases/:rentalId/terminal/resize TerminalResize -> 204
 */
export const TerminalResize = z.strictObject({ terminalId: TerminalId, cols: z.int().min(1).max(1000), rows: z.int().min(1).max(1000) })
export type TerminalResize = z.infer<typeof TerminalResize>

/** How long a shell survives without anyone attached, in ms. */
export const terminalLingerMs = 120_000
