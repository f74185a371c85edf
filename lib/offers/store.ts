// Offers in SQL: what is listed, at what price, and the guarded count of units in use.

import type { OfferTerms } from '@flow402/protocol/node'
import type { Offer } from '@flow402/protocol/offer'
import { sql } from 'kysely'
import type { Db, Tx } from '../db/client.ts'
import { isOnline } from '../nodes/mark-node-seen.ts'

function offerQuery(db: Db | Tx) {
  return db
    .selectFrom('offer')
    .innerJoin('node', 'node.id', 'offer.node_id')
    .select([
      'offer.id',
      'offer.node_id',
      'node.name as node_name',
      'offer.kind',
      'node.region',
      'offer.units_total',
      'offer.units_reserved',
      'offer.ram_mb',
      'offer.cpu_millis',
      'offer.disk_mb',
      'offer.gpu_name',
      'offer.vram_mb',
      'offer.price_atoms_per_hour',
      'offer.min_minutes',
      'offer.max_minutes',
      'node.isolation',
      'node.network',
      'node.last_seen_at',
      'node.payout_address',
    ])
    .where('offer.published', '=', true)
    .where('node.status', '=', 'listed')
}
type OfferRow = Awaited<ReturnType<ReturnType<typeof offerQuery>['executeTakeFirstOrThrow']>>

/** What one unit holds, from the columns that offers and rentals share. */
export function perUnitFromRow(row: {
  ram_mb: number
  cpu_millis: number
  disk_mb: number
  gpu_name: string | null
  vram_mb: number | null
}) {
  return {
    ramMb: row.ram_mb,
    cpuMillis: row.cpu_millis,
    diskMb: row.disk_mb,
    ...(row.gpu_name === null ? {} : { gpuName: row.gpu_name }),
    ...(row.vram_mb === null ? {} : { vramMb: row.vram_mb }),
  }
}

function offerFromRow(row: OfferRow, nowMs: number): Offer {
  return {
    id: row.id,
    nodeId: row.node_id,
    nodeName: row.node_name,
    kind: row.kind,
    region: row.region,
    unitsTotal: row.units_total,
    unitsAvailable: row.units_total - row.units_reserved,
    perUnit: perUnitFromRow(row),
    priceAtomsPerHour: row.price_atoms_per_hour.toString(),
    currency: 'USDC',
    minMinutes: row.min_minutes,
    maxMinutes: row.max_minutes,
    isolation: row.isolation,
    network: row.network as 'none' | 'egress',
    online: isOnline(row.last_seen_at?.getTime() ?? null, nowMs),
  }
}

/** A listed offer and where its provider is paid; undefined when it does not exist or is not listed. */
export async function findOffer(db: Db | Tx, id: string, nowMs: number): Promise<{ offer: Offer; payoutAddress: string } | undefined> {
  const row = await offerQuery(db).where('offer.id', '=', id).executeTakeFirst()
  return row ? { offer: offerFromRow(row, nowMs), payoutAddress: row.payout_address } : undefined
}

/** Listed offers after a position, cheapest first, at most `limit`. */
export async function findOffers(
  db: Db | Tx,
  filter: {
    kind?: 'ram' | 'gpu' | undefined
    region?: string | undefined
    seenSinceMs?: number | undefined
    after?: { price: bigint; id: string } | undefined
    limit: number
  },
  nowMs: number,
): Promise<Offer[]> {
  let query = offerQuery(db)
  if (filter.kind) query = query.where('offer.kind', '=', filter.kind)
  if (filter.region) query = query.where('node.region', '=', filter.region)
  if (filter.seenSinceMs !== undefined) query = query.where('node.last_seen_at', '>', new Date(filter.seenSinceMs))
  if (filter.after) {
    const { price, id } = filter.after
    query = query.where(sql<boolean>`(offer.price_atoms_per_hour, offer.id) > (${price.toString()}::bigint, ${id})`)
  }
  const rows = await query.orderBy('offer.price_atoms_per_hour').orderBy('offer.id').limit(filter.limit).execute()
  return rows.map((row) => offerFromRow(row, nowMs))
}

export async function addOffer(tx: Tx, offer: OfferTerms & { id: string; nodeId: string; nowMs: number }): Promise<void> {
  await tx
    .insertInto('offer')
    .values({
      id: offer.id,
      node_id: offer.nodeId,
      kind: offer.kind,
      units_total: offer.unitsTotal,
      ram_mb: offer.perUnit.ramMb,
      cpu_millis: offer.perUnit.cpuMillis,
      disk_mb: offer.perUnit.diskMb,
      gpu_name: offer.perUnit.gpuName ?? null,
      vram_mb: offer.perUnit.vramMb ?? null,
      price_atoms_per_hour: BigInt(offer.priceAtomsPerHour),
      min_minutes: offer.minMinutes,
      max_minutes: offer.maxMinutes,
      created_at: new Date(offer.nowMs),
    })
    .execute()
}

/** What a node promises in all, in the units of its self-test; held against what that test measured. */
export async function sumOffered(tx: Tx, nodeId: string): Promise<{ ramMb: number; diskMb: number }> {
  const row = await tx
    .selectFrom('offer')
    .select([
      sql<string>`coalesce(sum(units_total * ram_mb), 0)`.as('ram'),
      sql<string>`coalesce(sum(units_total * disk_mb), 0)`.as('disk'),
    ])
    .where('node_id', '=', nodeId)
    .executeTakeFirstOrThrow()
  return { ramMb: Number(row.ram), diskMb: Number(row.disk) }
}

export async function setOffersPublished(tx: Tx, nodeId: string, published: boolean): Promise<void> {
  await tx.updateTable('offer').set({ published }).where('node_id', '=', nodeId).execute()
}

/** Takes units if that many are free; false when they are not. One guarded statement, so it can never oversell. */
export async function reserveUnits(tx: Tx, offerId: string, units: number): Promise<boolean> {
  const reserved = await tx
    .updateTable('offer')
    .set((eb) => ({ units_reserved: eb('units_reserved', '+', units) }))
    .where('id', '=', offerId)
    .where('published', '=', true)
    .where(sql<boolean>`units_reserved + ${units} <= units_total`)
    .executeTakeFirst()
  return reserved.numUpdatedRows === 1n
}

/** Gives units back. The caller makes sure that it happens once (the rental's `units_held`). */
export async function releaseUnits(tx: Tx, offerId: string, units: number): Promise<void> {
  await tx
    .updateTable('offer')
    .set((eb) => ({ units_reserved: eb('units_reserved', '-', units) }))
    .where('id', '=', offerId)
    .execute()
}

/** How many offers are listed whose node was seen since then. */
export async function countOnlineOffers(db: Db, seenSinceMs: number): Promise<number> {
  const row = await db
    .selectFrom('offer')
    .innerJoin('node', 'node.id', 'offer.node_id')
    .select((eb) => eb.fn.countAll<bigint>().as('count'))
    .where('offer.published', '=', true)
    .where('node.status', '=', 'listed')
    .where('node.last_seen_at', '>', new Date(seenSinceMs))
    .executeTakeFirstOrThrow()
  return Number(row.count)
}
