// A door: one endpoint of the table bound to its handler, with its input parsed and its caller known.

import { createHash } from 'node:crypto'
import { type Access, type Endpoint, type EndpointAnswer, idempotencyProblems } from '@flow402/protocol/endpoints'
import { Problem, ProblemBody, type ProblemCode, problems } from '@flow402/protocol/problem'
import { canonicalJson } from '@flow402/protocol/receipt'
import { createRoute, type OpenAPIHono, type RouteConfig } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { z } from 'zod'
import { requireAccess } from '../lib/auth/access-token.ts'
import { requireAdmin, type Who } from '../lib/auth/who.ts'
import { once } from '../lib/idempotency/once.ts'
import { readKey } from '../lib/idempotency/read-key.ts'
import { requireNode } from '../lib/nodes/require-node.ts'
import { requireParty } from '../lib/rentals/require-party.ts'
import type { House } from '../lib/wiring.ts'
import { invalidRequest, problemResponse } from './problem-response.ts'

type Parsed<S> = S extends z.ZodType ? z.output<S> : undefined
/** What a handler gets: parsed input, who asks, and the raw context for headers and streams. */
export type Input<E extends Endpoint> = {
  params: Parsed<E['params']>
  query: Parsed<E['query']>
  body: Parsed<E['body']>
  who: E['access'] extends 'public' ? undefined : Who
  c: Context
}
type Deps = Pick<House, 'db' | 'now' | 'keys' | 'env'>

/**
 * Binds an endpoint. The handler's input types come from the table; unknown fields are refused by its strict schemas.
 * `rentalOf`: for a party's endpoint whose path names something else than the rental, whose rental it is about.
 */
export function door<E extends Endpoint>(
  app: OpenAPIHono,
  house: Deps,
  endpoint: E,
  handle: (input: Input<E>) => Promise<Response> | Response,
  rentalOf?: (id: string) => Promise<string | undefined>,
): void {
  const route = createRoute(describe(endpoint))
  app.openAPIRegistry.registerPath(route)
  app.on(endpoint.method.toUpperCase(), endpoint.path.replaceAll(/\{(\w+)\}/g, ':$1'), async (c) => {
    const known = admit(house, endpoint.access, c)
    const params = endpoint.params?.safeParse(c.req.param())
    if (params && !params.success) throw new Problem(missingOf(endpoint))
    const query = parse(endpoint.query, c.req.query())
    // A party's rental is known from the path at once, from the body once that is read.
    const token = bearer(c)
    const id = (params?.data as { id?: string } | undefined)?.id ?? ''
    const ofPath =
      endpoint.access === 'party' && params
        ? await partyOf(house, endpoint, id, token, rentalOf)
        : endpoint.access === 'node'
          ? await requireNode(house, id, token)
          : known
    const body = endpoint.body ? parse(endpoint.body, await readJson(c)) : undefined
    const who = endpoint.access === 'party' && !params ? await requireParty(house, (body as { rentalId: string }).rentalId, token) : ofPath
    const key = isRepeatable(endpoint) ? undefined : c.req.header('idempotency-key')
    const answer = async () => handle({ params: params?.data, query, body, who, c } as Input<E>)
    return key === undefined ? answer() : answerOnce(house, c, key, { who, query, body }, answer)
  })
}

/** Who a token is to the rental that a path is about. What is not there and what is not theirs look alike. */
async function partyOf(
  house: Deps,
  endpoint: Endpoint,
  id: string,
  token: string | undefined,
  rentalOf: ((id: string) => Promise<string | undefined>) | undefined,
): Promise<Who> {
  if (!rentalOf) return requireParty(house, id, token)
  const rentalId = await rentalOf(id)
  if (rentalId === undefined) throw new Problem(missingOf(endpoint))
  return requireParty(house, rentalId, token).catch((error: unknown) => {
    throw error instanceof Problem && error.code === 'rental_not_found' ? new Problem(missingOf(endpoint)) : error
  })
}

/** Whether an endpoint may be asked again and again: no key is needed then. */
function isRepeatable(endpoint: Endpoint): boolean {
  return endpoint.method === 'get' || endpoint.isSafe === true
}

/** Answers a request that carries an Idempotency-Key: once, then the same answer again. The caller is known and the input read by now. */
async function answerOnce(
  house: Deps,
  c: Context,
  header: string,
  { who, query, body }: { who: Who | undefined; query: unknown; body: unknown },
  answer: () => Promise<Response>,
): Promise<Response> {
  const [token, payment] = [bearer(c), c.req.header('payment-signature')]
  const asked = {
    // A provider signs a new token for every call: its keys belong to its machine.
    scope: who?.kind === 'provider' ? who.nodeId : token === undefined ? 'anonymous' : sha256(token),
    key: readKey(header),
    fingerprint: sha256(canonicalJson({ method: c.req.method, path: c.req.path, query: query ?? null, body: body ?? null })),
    proof: payment === undefined ? null : sha256(payment),
  }
  const { answer: given, isReplay } = await once(house, asked, async () => {
    const response = await answer().catch((error: unknown) => problemResponse(error, c))
    return { status: response.status, headers: [...response.headers], body: Buffer.from(await response.arrayBuffer()) }
  })
  const response = new Response(new Uint8Array(given.body), { status: given.status, headers: given.headers })
  if (isReplay) response.headers.set('idempotency-replayed', 'true')
  return response
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** Who asks, as far as it can be known before the input is read. Throws what a caller without the right token is told. */
function admit(house: Deps, access: Access, c: Context): Who | undefined {
  const token = bearer(c)
  if (access === 'public') return undefined
  if (access === 'admin') return requireAdmin(house.env.adminToken, token)
  if (!token) throw new Problem('unauthorized')
  if (access === 'party' || access === 'node') return undefined
  requireAccess(house.keys, c.req.param('id') ?? '', token)
  return { kind: 'renter' }
}

/** An id that cannot exist is answered like one that does not. */
function missingOf(endpoint: Endpoint): ProblemCode {
  return endpoint.problems.find((code) => code.endsWith('_not_found')) ?? 'not_found'
}

/** The bearer token of a request, if it has one. */
export function bearer(c: Context): string | undefined {
  return /^Bearer (\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
}

function parse(schema: z.ZodType | undefined, value: unknown): unknown {
  if (!schema) return undefined
  if (isDeep(value, levelsAtMost)) throw invalidRequest({ issues: [{ path: [], message: `at most ${levelsAtMost} levels` }] })
  const parsed = schema.safeParse(value)
  if (!parsed.success) throw invalidRequest(parsed.error)
  const dropped = lost(value, parsed.data)
  if (dropped !== undefined) throw invalidRequest({ issues: [{ path: dropped, message: 'a name that cannot be used' }] })
  const place = unstorable(parsed.data)
  if (place !== undefined) throw invalidRequest({ issues: [{ path: place, message: 'text without NUL and without lone surrogates' }] })
  return parsed.data
}

/** More than anybody needs, and far less than would end the stack of what walks over it. */
const levelsAtMost = 32

function isDeep(value: unknown, levelsLeft: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levelsLeft === 0 || Object.values(value).some((inner) => isDeep(inner, levelsLeft - 1))
}

/** Where a member was left out without a word, as records do with `__proto__`: it is refused like any unknown one. */
function lost(given: unknown, kept: unknown, path: string[] = []): string[] | undefined {
  if (typeof given !== 'object' || given === null || typeof kept !== 'object' || kept === null) return undefined
  for (const [name, inner] of Object.entries(given)) {
    if (!Object.hasOwn(kept, name)) return [...path, name]
    const place = lost(inner, (kept as Record<string, unknown>)[name], [...path, name])
    if (place) return place
  }
  return undefined
}

/** Bytes for a program, never stored. */
const rawFields = new Set(['stdin'])

/** Where a value holds text that PostgreSQL's text and jsonb cannot: found here, because after a payment it would be too late. */
function unstorable(value: unknown, path: string[] = []): string[] | undefined {
  if (typeof value === 'string') return value.includes('\0') || !value.isWellFormed() ? path : undefined
  if (typeof value !== 'object' || value === null) return undefined
  for (const [name, inner] of Object.entries(value)) {
    const place = rawFields.has(name) && path.length === 0 ? undefined : unstorable(inner, [...path, name])
    if (place) return place
  }
  return undefined
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

const keyHeader = z.object({
  'Idempotency-Key': z
    .string()
    .max(255)
    .optional()
    .meta({ description: 'Sent again with the same request, the first answer is given again for at least 24 hours; a UUID is a good key' }),
})

/** The bearer tokens of each kind of access, as app.ts names them in the OpenAPI document. */
const schemes: Record<Exclude<Access, 'public'>, string[]> = {
  rental: ['rentalToken'],
  party: ['rentalToken', 'nodeToken', 'adminToken'],
  node: ['nodeToken', 'adminToken'],
  admin: ['adminToken'],
}

function contentOf(answer: EndpointAnswer): Record<string, { schema: z.ZodType | { type: 'string'; format?: string } }> {
  if (answer === 'text') return { 'text/plain': { schema: { type: 'string' } } }
  if (answer === 'bytes') return { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }
  return 'lines' in answer ? { 'application/x-ndjson': { schema: answer.lines } } : { 'application/json': { schema: answer } }
}

/** The endpoint as the OpenAPI document describes it. */
function describe(endpoint: Endpoint): RouteConfig {
  const responses: RouteConfig['responses'] = {}
  for (const [status, answer] of Object.entries(endpoint.answers)) {
    responses[status] = { description: 'Done', content: contentOf(answer) }
  }
  const mayCarryKey = !isRepeatable(endpoint)
  const codes: ProblemCode[] = [...endpoint.problems, ...(mayCarryKey ? idempotencyProblems : [])]
  const byStatus = Map.groupBy(codes, (code) => problems[code].status)
  for (const [status, codes] of byStatus)
    responses[status] ??= { description: codes.join(', '), content: { 'application/problem+json': { schema: ProblemBody } } }
  return {
    method: endpoint.method,
    path: endpoint.path,
    summary: endpoint.summary,
    ...(endpoint.access === 'public' ? {} : { security: schemes[endpoint.access].map((scheme) => ({ [scheme]: [] })) }),
    request: {
      ...(mayCarryKey ? { headers: keyHeader } : {}),
      ...(endpoint.params ? { params: endpoint.params } : {}),
      ...(endpoint.query ? { query: endpoint.query } : {}),
      ...(endpoint.body ? { body: { required: true, content: { 'application/json': { schema: endpoint.body } } } } : {}),
    },
    responses,
  }
}
