// Machines at the door: enrolment with a one-time token.

import { endpoints, tunnelPath } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { enrolNode } from '../../lib/offers/enrol-node.ts'
import { choosePayouts, getNodePayouts } from '../../lib/settlement/node-payouts.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function nodeRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.enrolNode, async ({ body, c }) => {
    const origin = new URL(house.env.publicUrl ?? c.req.url)
    const tunnelUrl = `${origin.protocol === 'https:' ? 'wss:' : 'ws:'}//${origin.host}${tunnelPath}`
    return c.json(await enrolNode({ ...house, tunnelUrl }, body), 201)
  })

  door(app, house, endpoints.nodePayouts, async ({ params, c }) => c.json(await getNodePayouts(house, params.id)))

  door(app, house, endpoints.choosePayouts, async ({ params, body, c }) => c.json(await choosePayouts(house, params.id, body)))
}
