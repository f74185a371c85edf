// Machines at the door: enrolment with a one-time token, payouts and receipts.

import { ReadableStream } from 'node:stream/web'
import { endpoints, tunnelPath } from '@flow402/protocol/endpoints'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { enrolNode } from '../../lib/offers/enrol-node.ts'
import { choosePayouts, getNodePayouts } from '../../lib/settlement/node-payouts.ts'
import { nodeReceipts } from '../../lib/settlement/node-receipts.ts'
import type { House } from '../../lib/wiring.ts'
import { door } from '../door.ts'

export function nodeRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.enrolNode, async ({ body, c }) => {
    const origin = new URL(house.env.publicUrl ?? c.req.url)
    const tunnelUrl = `${origin.protocol === 'https:' ? 'wss:' : 'ws:'}//${origin.host}${tunnelPath}`
    return c.json(await enrolNode({ ...house, tunnelUrl }, body), 201)
  })

  door(app, house, endpoints.nodePayouts, async ({ params, c }) => c.json(await getNodePayouts(house, params.id)))

  door(app, house, endpoints.nodeReceipts, ({ params, query }) => {
    // Read as it is taken, so that the longest answer needs no more memory than a page of it.
    const lines = ReadableStream.from(linesOf(nodeReceipts(house, params.id, query)))
    return new Response(lines as BodyInit, {
      headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store, no-transform' },
    })
  })

  door(app, house, endpoints.choosePayouts, async ({ params, body, c }) => c.json(await choosePayouts(house, params.id, body)))
}

async function* linesOf(values: AsyncIterable<unknown>): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  for await (const value of values) yield encoder.encode(`${JSON.stringify(value)}\n`)
}
