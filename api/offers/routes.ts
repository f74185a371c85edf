// Offers at the door: the list and one.

import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { getOffer } from '../../lib/offers/get-offer.ts'
import { listOffers } from '../../lib/offers/list-offers.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function offerRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.listOffers, async ({ query, c }) => c.json(await listOffers(house, query)))
  door(app, house, endpoints.getOffer, async ({ params, c }) => c.json(await getOffer(house, params.id)))
}
