// The admin's doors: the audit, what is still owed, and the comparisons of the escrow with the books.
import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { runAudit } from '../../lib/audit/run-audit.ts'
import { checkReservesNow, listReserveChecks } from '../../lib/reserves/check-now.ts'
import { listDebts } from '../../lib/reserves/list-debts.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function adminRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.audit, async ({ c }) => c.json(await runAudit(house)))
  door(app, house, endpoints.debts, async ({ query, c }) => c.json(await listDebts(house, query)))
  door(app, house, endpoints.reserveChecks, async ({ query, c }) => c.json(await listReserveChecks(house, query)))
  door(app, house, endpoints.checkReserves, async ({ c }) => c.json(await checkReservesNow(house)))
}
