// Errors at the door: every failure leaves as RFC 9457 problem+json; what is not a known problem is a 500 and a bug in the log.
import { Problem, type ProblemCode } from '@flow402/protocol/problem'
import type { Context } from 'hono'
import { HTTPException } from 'hono/http-exception'

/** Encodes any error. Unknown ones are logged with their stack and shown without it. */
export function problemResponse(error: unknown, c: Context): Response {
  const problem = asProblem(error)
  if (problem.code === 'internal')
    console.error(
      JSON.stringify({ level: 'error', event: 'request_failed', method: c.req.method, path: c.req.path, stack: (error as Error)?.stack }),
    )
  const headers = new Headers({ 'content-type': 'application/problem+json', 'cache-control': 'no-store' })
  const seconds = problem.status === 503 ? 5 : retryAfterSeconds[problem.code]
  if (seconds !== undefined) headers.set('retry-after', String(seconds))
  if (problem.status === 401) headers.set('www-authenticate', 'Bearer')
  return new Response(JSON.stringify(problem.toBody()), { status: problem.status, headers })
}

/** When to ask again, for codes that say "later" without being the market's fault. */
const retryAfterSeconds: Partial<Record<ProblemCode, number>> = { idempotency_in_flight: 2, books_open: 2 }

function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  if (error instanceof HTTPException) {
    if (error.status === 413) return new Problem('too_large')
    if (error.status === 400) return new Problem('invalid_json')
  }
  if (isDatabaseAway(error)) return new Problem('database_unavailable')
  return new Problem('internal', { detail: 'Something went wrong on our side. Nothing was lost; try again.' })
}

/** Node's codes for a connection that cannot be made or kept. */
const awayCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])
/**
 * PostgreSQL's: connection exceptions (08), a tie that was lost three times (40), insufficient resources (53), operator intervention (57),
 * a lock not got in time (55P03), a standby that takes no writes (25006).
 */
const awayStates = /^(08|40|53|57)[0-9A-Z]{3}$|^55P03$|^25006$/
/** What pg says without any code. */
const awayWords =
  /timeout exceeded when trying to connect|Connection terminated|connection error and is not queryable|Client was closed|Cannot use a pool after calling end|driver has already been destroyed/i

function isDatabaseAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? String(error.code) : ''
  return awayCodes.has(code) || awayStates.test(code) || awayWords.test(error.message)
}

type Issue = { path: readonly PropertyKey[]; message: string; code?: string | undefined; errors?: readonly (readonly Issue[])[] }

/** The one problem for input that does not fit its schema: every wrong field with its reason. */
export function invalidRequest(error: { issues: readonly Issue[] }): Problem {
  const fields = error.issues
    .flatMap(nearest)
    .map((issue) => ({ field: issue.path.map(String).join('.') || '(body)', reason: issue.message }))
  const first = fields[0]
  return new Problem('invalid_request', { detail: first ? `${first.field}: ${first.reason}` : 'The request is not valid', errors: fields })
}

/** Where one of several forms would do, what is wrong with the one that comes nearest. */
function nearest(issue: Issue): readonly Issue[] {
  const [best] = (issue.errors ?? []).toSorted((a, b) => a.length - b.length)
  return best ? best.flatMap((inner) => nearest({ ...inner, path: [...issue.path, ...inner.path] })) : [issue]
}
