// Offers: what a node sells, at what price, and how much of it is free right now.
import { z } from 'zod'
import { NodeId, OfferId } from './id.ts'
import { Atoms, Currency } from './money.ts'
import { Isolation, PerUnit } from './node.ts'

/** An offer as the market shows it. `online` is false while its node does not answer. */
export const Offer = z.strictObject({
  id: OfferId,
  nodeId: NodeId,
  nodeName: z.string(),
  kind: z.enum(['ram', 'gpu']),
  region: z.string(),
  unitsTotal: z.int(),
  unitsAvailable: z.int(),
  perUnit: PerUnit,
  priceAtomsPerHour: Atoms,
  currency: Currency,
  minMinutes: z.int(),
  maxMinutes: z.int(),
  isolation: Isolation,
  network: z.enum(['none', 'egress']),
  online: z.boolean(),
})
export type Offer = z.infer<typeof Offer>

/** Query of GET /api/offers: keyset pagination, cheapest first. */
export const OfferQuery = z.strictObject({
  kind: z.enum(['ram', 'gpu']).optional(),
  region: z.string().max(40).optional(),
  online: z.enum(['true', 'false']).optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
  cursor: z.string().max(300).optional(),
})
export type OfferQuery = z.infer<typeof OfferQuery>

/** One page of offers; pass `nextCursor` back to get the next one, null at the end. */
export const OfferPage = z.strictObject({ items: z.array(Offer), nextCursor: z.string().nullable() })
export type OfferPage = z.infer<typeof OfferPage>
