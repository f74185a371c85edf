// Rentals at the door: rent, look, stop, extend, exec, logs, receipt, statement.
import { Readable } from 'node:stream'
import { endpoints } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { stopRental } from '../../lib/metering/stop-rental.ts'
import { execInRental, readLogs } from '../../lib/provisioning/reach-workload.ts'
import { getRental } from '../../lib/rentals/get-rental.ts'
import { getReceipt, getStatement } from '../../lib/settlement/get-receipt.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'
import { buyMinutes, buyRental } from './buy.ts'
import { paymentProof } from './paid.ts'

export function rentalRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.requestRental, ({ body, c }) => buyRental(c, house, body, paymentProof(c)))

  door(app, house, endpoints.getRental, async ({ params, c }) => c.json(await getRental(house, params.id)))

  door(app, house, endpoints.stopRental, async ({ params, c }) => {
    const rental = await stopRental(house, params.id)
    house.wake('orders')
    house.wake('books')
    return c.json(rental, 202)
  })

  door(app, house, endpoints.extendRental, ({ params, body, c }) => buyMinutes(c, house, params.id, body, paymentProof(c)))

  door(app, house, endpoints.execRental, async ({ params, body, c }) => c.json(await execInRental(house, params.id, body)))

  door(app, house, endpoints.rentalLogs, async ({ params, query, c }) => {
    const follow = query.follow === '1' || query.follow === 'true'
    const logs = await readLogs(house, params.id, { follow, tail: query.tail })
    c.req.raw.signal.addEventListener('abort', () => logs.destroy())
    return new Response(Readable.toWeb(logs) as ReadableStream, {
      headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store, no-transform', 'x-accel-buffering': 'no' },
    })
  })

  door(app, house, endpoints.getReceipt, async ({ params, query, c }) =>
    c.json(await getReceipt(house, params.id, { withStatement: query.statement !== 'false' })),
  )

  door(app, house, endpoints.getStatement, async ({ params, c }) =>
    c.body(Buffer.from(await getStatement(house, params.id)), 200, {
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="${params.id}.f402"`,
    }),
  )
}
