// The filters of the offers list: read from the address bar, turned into the API's query.
import type { OfferQuery } from '@flow402/protocol/offer'

export type OfferFilters = { kind: 'ram' | 'gpu' | undefined; region: string | undefined; available: '1' | undefined }

/** Reads what the address says; unknown values are no filter. */
export function readOfferFilters(params: Record<string, string | string[] | undefined>): OfferFilters {
  const { kind, region, available } = params
  return {
    kind: kind === 'ram' || kind === 'gpu' ? kind : undefined,
    region: typeof region === 'string' && region.length > 0 && region.length <= 40 ? region : undefined,
    available: available === '1' ? '1' : undefined,
  }
}

/** The query for GET /api/offers; whether units are free is decided on the answer. */
export function offerQueryOf(filters: OfferFilters): OfferQuery {
  return {
    limit: 50,
    ...(filters.kind && { kind: filters.kind }),
    ...(filters.region && { region: filters.region }),
    ...(filters.available && { online: 'true' as const }),
  }
}
