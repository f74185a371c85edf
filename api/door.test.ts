// The door itself: nothing that was sent is left out without a word.
import { endpoints } from '@flow402/protocol/endpoints'
import { OpenAPIHono } from '@hono/zod-openapi'
import { expect, test } from 'vitest'
import type { House } from '../lib/wiring.ts'
import { door } from './door.ts'
import { problemResponse } from './problem-response.ts'

const app = new OpenAPIHono()
door(app, {} as House, endpoints.requestRental, ({ body, c }) => c.json(body))
app.onError(problemResponse)

const send = (env: string) =>
  app.request('/api/rentals', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: `{"offerId":"ofr_${'0'.repeat(32)}","units":1,"minutes":1,"env":${env}}`,
  })

test('a variable named __proto__ is refused instead of dropped; constructor is a name like any other', async () => {
  for (const env of ['{"__proto__":"x"}', '{"\\u005f_proto__":"x","A":"b"}']) {
    const answer = await send(env)
    expect([answer.status, await answer.json()]).toMatchObject([422, { code: 'invalid_request', errors: [{ field: 'env.__proto__' }] }])
  }
  const kept = await send('{"constructor":"x","A":"b"}')
  expect([kept.status, await kept.json()]).toMatchObject([200, { env: { constructor: 'x', A: 'b' } }])
})
