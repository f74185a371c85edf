// Network and health: where the money lives, and whether the market is ready.
import { z } from 'zod'

/** Answer of GET /api/network. The faucet exists on the local chain only. */
export const NetworkView = z.strictObject({
  network: z.string(),
  rpcUrl: z.string(),
  usdcMint: z.string(),
  payTo: z.string(),
  /** Ed25519 public key of the market (base64url): it signs quotes, orders and stream tokens. */
  marketPublicKey: z.string(),
  feeBps: z.int(),
  faucetUrl: z.string().optional(),
  explorerUrl: z.string().optional(),
})
export type NetworkView = z.infer<typeof NetworkView>

/** Answer of GET /api/health: 200 when everything that this installation starts is ready. */
export const Health = z.strictObject({
  status: z.enum(['ok', 'not_ready']),
  network: z.string(),
  version: z.string(),
  checks: z.record(z.string(), z.strictObject({ ok: z.boolean(), detail: z.string() })),
})
export type Health = z.infer<typeof Health>
