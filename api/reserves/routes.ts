// Reserves at the door: the figures for everybody, and each rental's proof that it is in them.
import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { openReserveProver } from '../../lib/reserves/prove-reserve.ts'
import { readReserves } from '../../lib/reserves/read-reserves.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function reserveRoutes(app: OpenAPIHono, house: House): void {
  const prove = openReserveProver(house)
  door(app, house, endpoints.reserves, async ({ c }) => c.json(await readReserves(house)))
  door(app, house, endpoints.reserveProof, async ({ params, c }) => c.json(await prove(params.id)))
}
