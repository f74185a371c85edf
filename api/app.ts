// The API: the doors for people and programs, framework-neutral and testable without a socket.

import { endpoints } from '@flow402/protocol/endpoints'
import { Problem } from '@flow402/protocol/problem'
import { OpenAPIHono } from '@hono/zod-openapi'
import { bodyLimit } from 'hono/body-limit'
import { checkHealth } from '../lib/check-health.ts'
import { readNetwork } from '../lib/read-network.ts'
import type { House } from '../lib/wiring.ts'
import { adminRoutes } from './admin/routes.ts'
import { disputeRoutes } from './disputes/routes.ts'
import { door } from './door.ts'
import { nodeRoutes } from './nodes/routes.ts'
import { offerRoutes } from './offers/routes.ts'
import { paymentRoutes } from './payments/routes.ts'
import { problemResponse } from './problem-response.ts'
import { rentalRoutes } from './rentals/routes.ts'
import { reserveRoutes } from './reserves/routes.ts'

const bodyBytesAtMost = 64 * 1024

/** Builds the API over a house. */
export function buildApi(house: House): OpenAPIHono {
  const app = new OpenAPIHono()
  app.use('/api/*', async (c, next) => {
    await next()
    c.res.headers.set('x-content-type-options', 'nosniff')
    if (!c.res.headers.has('cache-control')) c.res.headers.set('cache-control', 'no-store')
  })
  app.use(
    '/api/*',
    bodyLimit({
      maxSize: bodyBytesAtMost,
      onError: (c) => problemResponse(new Problem('too_large'), c),
    }),
  )

  door(app, house, endpoints.health, async ({ c }) => {
    const health = await checkHealth(house)
    if (health.status === 'ok') return c.json(health)
    const failed = Object.entries(health.checks).filter(([, part]) => !part.ok)
    const detail = failed.map(([name, part]) => `${name}: ${part.detail}`).join('; ')
    return problemResponse(new Problem('not_ready', { detail, health }), c)
  })
  door(app, house, endpoints.network, ({ c }) => c.json(readNetwork(house)))
  offerRoutes(app, house)
  rentalRoutes(app, house)
  paymentRoutes(app, house)
  nodeRoutes(app, house)
  reserveRoutes(app, house)
  disputeRoutes(app, house)
  adminRoutes(app, house)

  for (const scheme of ['rentalToken', 'nodeToken', 'adminToken'])
    app.openAPIRegistry.registerComponent('securitySchemes', scheme, { type: 'http', scheme: 'bearer' })
  app.get('/api/openapi.json', (c) =>
    c.json(app.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'Flow402', version: house.version, license: { name: 'MIT' } } })),
  )

  app.notFound((c) => {
    const methods = methodsOf(c.req.path)
    if (c.req.method === 'OPTIONS' && methods.length > 0) return new Response(null, { status: 204, headers: { allow: methods.join(', ') } })
    const response = problemResponse(new Problem(methods.length > 0 ? 'method_not_allowed' : 'not_found'), c)
    // RFC 9110, 15.5.6: a 405 says what is possible.
    if (methods.length > 0) response.headers.set('allow', methods.join(', '))
    return response
  })
  app.onError(problemResponse)
  return app
}

const routes = [...Object.values(endpoints), { method: 'get', path: '/api/openapi.json' }].map(({ method, path }) => ({
  methods: method === 'get' ? ['GET', 'HEAD'] : [method.toUpperCase()],
  pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
}))

function methodsOf(path: string): string[] {
  return routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods)
}
