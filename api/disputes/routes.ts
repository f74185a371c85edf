// Disputes at the door: the renter opens one, its parties see it and the evidence, the admin decides.
import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { decideDispute } from '../../lib/disputes/decide-dispute.ts'
import { getDisputeOf, listDisputes, rentalOfDispute } from '../../lib/disputes/get-dispute.ts'
import { getEvidence } from '../../lib/disputes/get-evidence.ts'
import { openDispute } from '../../lib/disputes/open-dispute.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function disputeRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.openDispute, async ({ params, body, c }) => c.json(await openDispute(house, params.id, body), 201))
  door(app, house, endpoints.getDispute, async ({ params, c }) => c.json(await getDisputeOf(house, params.id)))
  door(
    app,
    house,
    endpoints.disputeEvidence,
    async ({ params, c }) => c.json(await getEvidence(house, params.id)),
    (id) => rentalOfDispute(house, id),
  )
  door(app, house, endpoints.listDisputes, async ({ query, c }) => c.json(await listDisputes(house, query)))
  door(app, house, endpoints.decideDispute, async ({ params, body, c }) => {
    const decided = await decideDispute(house, params.id, body)
    house.wake('transfers')
    return c.json(decided)
  })
}
