// Payments at the door: what became of one.

import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { getPayment } from '../../lib/payments/get-payment.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function paymentRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.getPayment, async ({ params, c }) => c.json(await getPayment(house, params.id)))
}
