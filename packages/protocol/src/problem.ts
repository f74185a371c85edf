// Problems: the closed table of error codes that the API answers with, encoded as RFC 9457 problem+json.
import { z } from 'zod'

/** Every code with its HTTP status and title. The code is the contract; docs/errors.md explains each one. */
export const problems = {
  payment_required: { status: 402, title: 'Payment is required' },
  payment_invalid: { status: 422, title: 'The payment does not satisfy the quote' },
  payment_failed: { status: 402, title: 'The payment failed on chain and nothing was charged' },
  payment_already_used: { status: 409, title: 'This payment already pays for something else' },
  payment_too_late: { status: 409, title: 'The payment landed after the rental had ended; all of it goes back' },
  payment_identifier_reused: { status: 409, title: 'This payment identifier was used for another payment' },
  payment_not_found: { status: 404, title: 'No such payment' },
  quote_invalid: { status: 422, title: 'The quote was not signed by this market' },
  quote_expired: { status: 410, title: 'The quote has expired' },
  quote_mismatch: { status: 422, title: 'The request differs from the one that was quoted' },
  sold_out: { status: 409, title: 'Not enough units are available' },
  offer_not_found: { status: 404, title: 'No such offer' },
  offer_offline: { status: 409, title: 'The machine behind this offer is not reachable right now' },
  duration_out_of_range: { status: 422, title: 'The offer does not allow this many minutes' },
  rental_not_found: { status: 404, title: 'No such rental' },
  rental_cannot: { status: 409, title: 'The rental cannot do this in its present state' },
  rental_moved_meanwhile: { status: 409, title: 'The rental changed while this was being done' },
  receipt_not_ready: { status: 409, title: 'The receipt exists once the rental is settled' },
  no_statement: { status: 404, title: 'This rental has no usage statement' },
  books_open: { status: 409, title: 'The books of the rental are not closed yet' },
  dispute_too_late: { status: 409, title: 'The time for a dispute is over' },
  dispute_exists: { status: 409, title: 'This rental has had its dispute' },
  dispute_not_found: { status: 404, title: 'No such dispute' },
  dispute_decided: { status: 409, title: 'The dispute is decided already' },
  not_in_reserves: { status: 409, title: 'Nothing is owed for this rental in the newest snapshot' },
  reserves_busy: { status: 503, title: 'The escrow is being read by another worker right now' },
  node_unreachable: { status: 503, title: 'The machine does not answer right now' },
  enrolment_refused: { status: 403, title: 'The enrolment token is unknown, used or expired' },
  node_not_found: { status: 404, title: 'No such node' },
  idempotency_key_invalid: { status: 400, title: 'The Idempotency-Key is not 1 to 255 visible ASCII characters' },
  idempotency_in_flight: { status: 409, title: 'The same request is being done right now' },
  idempotency_key_reused: { status: 422, title: 'This Idempotency-Key was used for something else' },
  invalid_request: { status: 422, title: 'The request is not valid' },
  invalid_json: { status: 400, title: 'The body is not JSON' },
  unsupported_media_type: { status: 415, title: 'Send application/json' },
  unauthorized: { status: 401, title: 'An access token is required' },
  not_found: { status: 404, title: 'Nothing is here' },
  method_not_allowed: { status: 405, title: 'This method is not allowed here' },
  too_large: { status: 413, title: 'The body is larger than 64 KiB' },
  timeout: { status: 504, title: 'It took longer than allowed' },
  not_ready: { status: 503, title: 'The market is not ready' },
  quotes_paused: { status: 503, title: 'New rentals are not quoted right now' },
  chain_unavailable: { status: 503, title: 'The chain cannot be reached right now' },
  database_unavailable: { status: 503, title: 'The database cannot be reached right now' },
  internal: { status: 500, title: 'Something went wrong on our side' },
} as const satisfies Record<string, { status: number; title: string }>

export type ProblemCode = keyof typeof problems

/** An expected failure with a stable code; `extra` is shown to the client beside code, title, status and detail. */
export class Problem extends Error {
  readonly code: ProblemCode
  readonly extra: Record<string, unknown>

  constructor(code: ProblemCode, extra: Record<string, unknown> & { detail?: string } = {}) {
    super(extra.detail ?? problems[code].title)
    this.name = 'Problem'
    this.code = code
    this.extra = extra
  }

  get status(): number {
    return problems[this.code].status
  }

  /** The RFC 9457 body. `type` is a relative reference into docs/errors.md. */
  toBody(): ProblemBody {
    const { status, title } = problems[this.code]
    return { type: `/errors#${this.code}`, title, status, code: this.code, detail: this.message, ...this.extra }
  }
}

/** The body of every error: RFC 9457 members plus our stable `code`; other members depend on the code. */
export const ProblemBody = z.looseObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  code: z.string(),
  detail: z.string().optional(),
})
export type ProblemBody = z.infer<typeof ProblemBody>
