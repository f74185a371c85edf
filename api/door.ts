// A door: one endpoint of the table bound to its handler, with its input parsed and its rental token checked.

import type { Endpoint } from '@flow402/protocol/endpoints'
import { Problem, ProblemBody, problems } from '@flow402/protocol/problem'
import { createRoute, type OpenAPIHono, type RouteConfig } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { z } from 'zod'
import { requireAccess } from '../lib/auth/access-token.ts'
import type { MarketKeys } from '../lib/auth/market-keys.ts'
import { invalidRequest } from './problem-response.ts'

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined
/** What a handler gets: parsed input, and the raw context for headers and streams. */
export type Input<E extends Endpoint> = { params: Parsed<E['params']>; query: Parsed<E['query']>; body: Parsed<E['body']>; c: Context }

/** Binds an endpoint. The handler's input types come from the table; unknown fields are refused by its strict schemas. */
export function door<E extends Endpoint>(
  app: OpenAPIHono,
  keys: Pick<MarketKeys, 'accessSecret'>,
  endpoint: E,
  handle: (input: Input<E>) => Promise<Response> | Response,
): void {
  const route = createRoute(describe(endpoint))
  app.openAPIRegistry.registerPath(route)
  app.on(endpoint.method.toUpperCase(), endpoint.path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) => {
    const params = parse(endpoint.params, c.req.param())
    if (endpoint.access === 'rental') requireAccess(keys, String((params as { id: string }).id), bearer(c))
    const query = parse(endpoint.query, c.req.query())
    const body = endpoint.body ? parse(endpoint.body, await readJson(c)) : undefined
    return handle({ params, query, body, c } as Input<E>)
  })
}

/** The bearer token of a request, if it has one. */
export function bearer(c: Context): string | undefined {
  return /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
}

function parse(schema: z.ZodType | undefined, value: unknown): unknown {
  if (!schema) return undefined
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidRequest(parsed.error)
  return parsed.data
}

async function readJson(c: Context): Promise<unknown> {
  const type = c.req.header('content-type') ?? ''
  if (!/^application\/([\w.+-]+\+)?json\s*(;|$)/i.test(type)) throw new Problem('unsupported_media_type')
  try {
    return JSON.parse(await c.req.text())
  } catch (error) {
    if (error instanceof SyntaxError) throw new Problem('invalid_json')
    throw error
  }
}

/** The endpoint as the OpenAPI document describes it. */
function describe(endpoint: Endpoint): RouteConfig {
  const responses: RouteConfig['responses'] = {}
  for (const [status, answer] of Object.entries(endpoint.answers)) {
    const isText = answer === 'text'
    responses[status] = {
      description: 'Done',
      content: isText ? { 'text/plain': { schema: { type: 'string' } } } : { 'application/json': { schema: answer as z.ZodType } },
    }
  }
  const byStatus = Map.groupBy(endpoint.problems, (code) => problems[code].status)
  for (const [status, codes] of byStatus)
    responses[status] ??= { description: codes.join(', '), content: { 'application/problem+json': { schema: ProblemBody } } }
  return {
    method: endpoint.method,
    path: endpoint.path,
    summary: endpoint.summary,
    ...(endpoint.access === 'rental' ? { security: [{ rentalToken: [] }] } : {}),
    request: {
      ...(endpoint.params ? { params: endpoint.params } : {}),
      ...(endpoint.query ? { query: endpoint.query } : {}),
      ...(endpoint.body ? { body: { required: true, content: { 'application/json': { schema: endpoint.body } } } } : {}),
    },
    responses,
  }
}
