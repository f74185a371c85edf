// The error of the client: what the market refused, or why its answer could not be had.
import { ProblemBody, type ProblemCode } from '@flow402/protocol/problem'

/** A market's problem code, or one of ours: `unreachable` (no answer at all), `unexpected_answer` (an answer we cannot read). */
export type MarketErrorCode = ProblemCode | 'payment_pending' | 'unreachable' | 'unexpected_answer'

/**
 * Thrown by every client method when there is no good answer. `code` is the contract and may be newer than this table, hence `string`;
 * `status` is the HTTP status (0 when nothing answered); `extra` holds the other members of the problem body.
 */
export class MarketError extends Error {
  readonly code: MarketErrorCode | (string & {})
  readonly status: number
  readonly detail: string
  readonly extra: Record<string, unknown>

  constructor(code: MarketErrorCode | (string & {}), status: number, detail: string, extra: Record<string, unknown> = {}, cause?: unknown) {
    super(detail, cause === undefined ? undefined : { cause })
    this.name = 'MarketError'
    this.code = code
    this.status = status
    this.detail = detail
    this.extra = extra
  }
}

/** Reads an answer that is not a success as the problem it carries (RFC 9457); anything else becomes `unexpected_answer`. */
export async function errorFromResponse(response: Response): Promise<MarketError> {
  const text = await response.text()
  const body = ProblemBody.safeParse(jsonOrUndefined(text))
  if (!body.success) {
    return new MarketError('unexpected_answer', response.status, `HTTP ${response.status} without a problem body`, {
      text: text.slice(0, 500),
    })
  }
  const { code, status, detail, title, type, ...extra } = body.data
  return new MarketError(code, status, detail ?? title, { ...extra, title, type })
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
