// Endpoints: one table of the HTTP interface, from which the server's routes, the OpenAPI document and the typed client are made.
import { z } from 'zod'
import { AuditReport } from './audit.ts'
import { DecideRequest, Dispute, DisputePage, DisputeQuery, DisputeRequest, Evidence } from './dispute.ts'
import { DisputeId, NodeId, OfferId, PaymentId, RentalId } from './id.ts'
import { Health, NetworkView } from './network.ts'
import { Enrolment, EnrolRequest, NodePayouts, PayoutPolicy } from './node.ts'
import { Offer, OfferPage, OfferQuery } from './offer.ts'
import { Authorization, PaidRequest, PayableRequest, Payment, PaymentPending, PaymentQuote, SettleRequest } from './payment.ts'
import type { ProblemCode } from './problem.ts'
import { Receipt, ReceiptQuery, ReceiptsQuery } from './receipt.ts'
import { CreatedRental, ExecRequest, ExecResult, ExtendRequest, LogsQuery, Rental, RentalRequest } from './rental.ts'
import { Debts, LimitQuery, ReserveCheck, ReserveChecks, ReserveProof, Reserves } from './reserve.ts'

/**
 * Whose bearer token opens an endpoint. `rental`: the token of the rental in the path. `party`: that, or a token signed by the machine that
 * runs the rental (`nodeTokenType`), or the admin's; the rental is the one in the path, or the body's `rentalId`. `node`: a token signed by
 * the machine in the path, or the admin's. `admin`: the admin's.
 */
export type Access = 'public' | 'rental' | 'party' | 'node' | 'admin'

/**
 * What an endpoint answers: JSON of a schema, text, bytes, or lines that are JSON of a schema each (NDJSON): as many as there are, and a line
 * that ends in the middle means that the answer broke off.
 */
export type EndpointAnswer = z.ZodType | 'text' | 'bytes' | { lines: z.ZodType }

/** One endpoint: `{id}` marks path parameters; `paid` answers 402 until paid; `isSafe` marks a POST that changes nothing. */
export type Endpoint = {
  method: 'get' | 'post'
  path: string
  summary: string
  access: Access
  paid?: true
  isSafe?: true
  params?: z.ZodObject
  query?: z.ZodObject
  body?: z.ZodType
  answers: Partial<Record<200 | 201 | 202, EndpointAnswer>>
  problems: readonly ProblemCode[]
}

const offerParams = z.strictObject({ id: OfferId })
const rentalParams = z.strictObject({ id: RentalId })
const disputeParams = z.strictObject({ id: DisputeId })
const paidProblems = [
  'payment_required',
  'payment_invalid',
  'payment_failed',
  'payment_already_used',
  'payment_identifier_reused',
  'quote_invalid',
  'quote_expired',
  'quote_mismatch',
  'chain_unavailable',
] as const
/** What every POST that changes something may answer beside its own problems, when it is sent with an Idempotency-Key. */
export const idempotencyProblems = ['idempotency_key_invalid', 'idempotency_in_flight', 'idempotency_key_reused'] as const
const bodyProblems = ['invalid_request', 'invalid_json', 'unsupported_media_type', 'too_large'] as const
const rentProblems = ['quotes_paused', 'offer_not_found', 'offer_offline', 'sold_out', 'duration_out_of_range'] as const
const extendProblems = ['unauthorized', 'rental_not_found', 'rental_cannot', 'duration_out_of_range', 'payment_too_late'] as const

/** Every endpoint of the market. */
export const endpoints = {
  health: {
    method: 'get',
    path: '/api/health',
    summary: 'Whether the market is ready, and which part is not',
    access: 'public',
    answers: { 200: Health },
    problems: ['not_ready'],
  },
  network: {
    method: 'get',
    path: '/api/network',
    summary: 'The chain and the token that this market is paid in',
    access: 'public',
    answers: { 200: NetworkView },
    problems: [],
  },
  listOffers: {
    method: 'get',
    path: '/api/offers',
    summary: 'Published offers, cheapest first',
    access: 'public',
    query: OfferQuery,
    answers: { 200: OfferPage },
    problems: ['invalid_request'],
  },
  getOffer: {
    method: 'get',
    path: '/api/offers/{id}',
    summary: 'One offer',
    access: 'public',
    params: offerParams,
    answers: { 200: Offer },
    problems: ['offer_not_found', 'invalid_request'],
  },
  requestRental: {
    method: 'post',
    path: '/api/rentals',
    summary: 'Rent units of an offer: 402 with the price, then 201 once paid',
    access: 'public',
    paid: true,
    body: RentalRequest,
    answers: { 201: CreatedRental, 202: PaymentPending },
    problems: [...bodyProblems, ...paidProblems, ...rentProblems],
  },
  getRental: {
    method: 'get',
    path: '/api/rentals/{id}',
    summary: 'One rental',
    access: 'rental',
    params: rentalParams,
    answers: { 200: Rental },
    problems: ['unauthorized', 'rental_not_found'],
  },
  stopRental: {
    method: 'post',
    path: '/api/rentals/{id}/stop',
    summary: 'End the rental now; the unspent rest goes back to the payer',
    access: 'rental',
    params: rentalParams,
    answers: { 202: Rental },
    problems: ['unauthorized', 'rental_not_found', 'rental_cannot'],
  },
  extendRental: {
    method: 'post',
    path: '/api/rentals/{id}/extend',
    summary: 'Buy more minutes for a running rental',
    access: 'rental',
    paid: true,
    params: rentalParams,
    body: ExtendRequest,
    answers: { 200: Rental, 202: PaymentPending },
    problems: [...bodyProblems, ...paidProblems, ...extendProblems],
  },
  execRental: {
    method: 'post',
    path: '/api/rentals/{id}/exec',
    summary: 'Run a program in the container and wait for it',
    access: 'rental',
    params: rentalParams,
    body: ExecRequest,
    answers: { 200: ExecResult },
    problems: [...bodyProblems, 'unauthorized', 'rental_not_found', 'rental_cannot', 'node_unreachable', 'timeout'],
  },
  rentalLogs: {
    method: 'get',
    path: '/api/rentals/{id}/logs',
    summary: 'What the workload wrote; follow=1 streams',
    access: 'rental',
    params: rentalParams,
    query: LogsQuery,
    answers: { 200: 'text' },
    problems: ['unauthorized', 'rental_not_found', 'rental_cannot', 'node_unreachable', 'invalid_request'],
  },
  getReceipt: {
    method: 'get',
    path: '/api/rentals/{id}/receipt',
    summary: 'The receipt of a settled rental, with its usage statement unless statement=false',
    access: 'rental',
    params: rentalParams,
    query: ReceiptQuery,
    answers: { 200: Receipt },
    problems: ['unauthorized', 'rental_not_found', 'receipt_not_ready', 'invalid_request'],
  },
  getStatement: {
    method: 'get',
    path: '/api/rentals/{id}/statement',
    summary: 'The usage statement of a settled rental, as bytes',
    access: 'rental',
    params: rentalParams,
    answers: { 200: 'bytes' },
    problems: ['unauthorized', 'rental_not_found', 'receipt_not_ready', 'no_statement'],
  },
  getPayment: {
    method: 'get',
    path: '/api/payments/{id}',
    summary: 'What became of a payment',
    access: 'public',
    params: z.strictObject({ id: PaymentId }),
    answers: { 200: Payment },
    problems: ['payment_not_found', 'invalid_request'],
  },
  quotePayment: {
    method: 'post',
    path: '/api/payments/quote',
    summary: 'The price of a rental, or of more minutes for one, and how to pay it',
    access: 'public',
    isSafe: true,
    body: PayableRequest,
    answers: { 200: PaymentQuote },
    problems: [...bodyProblems, ...rentProblems, 'unauthorized', 'rental_not_found', 'rental_cannot', 'chain_unavailable'],
  },
  authorizePayment: {
    method: 'post',
    path: '/api/payments/authorize',
    summary: 'Whether a payment would be taken now; nothing is moved or claimed',
    access: 'public',
    isSafe: true,
    body: PaidRequest,
    answers: { 200: Authorization },
    problems: [...bodyProblems, 'unauthorized', 'rental_not_found', 'chain_unavailable'],
  },
  completePayment: {
    method: 'post',
    path: '/api/payments/complete',
    summary: 'Pay for a rental, or for more minutes: answers what renting and extending answer',
    access: 'public',
    paid: true,
    body: PaidRequest,
    answers: { 200: Rental, 201: CreatedRental, 202: PaymentPending },
    problems: [...bodyProblems, ...paidProblems, ...rentProblems, 'unauthorized', 'rental_not_found', 'rental_cannot'],
  },
  settlePayment: {
    method: 'post',
    path: '/api/payments/settle',
    summary: 'Close the books of an ended rental now: 202 while its last usage is awaited',
    access: 'party',
    body: SettleRequest,
    answers: { 200: Rental, 202: Rental },
    problems: [...bodyProblems, 'unauthorized', 'rental_not_found', 'rental_cannot'],
  },
  reserves: {
    method: 'get',
    path: '/api/reserves',
    summary: 'What the escrow holds on chain, and what is owed',
    access: 'public',
    answers: { 200: Reserves },
    problems: [],
  },
  reserveProof: {
    method: 'get',
    path: '/api/rentals/{id}/reserve-proof',
    summary: 'That this rental is in the sum of what is owed',
    access: 'rental',
    params: rentalParams,
    answers: { 200: ReserveProof },
    problems: ['unauthorized', 'rental_not_found', 'not_in_reserves'],
  },
  openDispute: {
    method: 'post',
    path: '/api/rentals/{id}/dispute',
    summary: 'Hold back what the provider earned and has not been paid yet',
    access: 'rental',
    params: rentalParams,
    body: DisputeRequest,
    answers: { 201: Dispute },
    problems: [...bodyProblems, 'unauthorized', 'rental_not_found', 'rental_cannot', 'books_open', 'dispute_too_late', 'dispute_exists'],
  },
  getDispute: {
    method: 'get',
    path: '/api/rentals/{id}/dispute',
    summary: 'The dispute of a rental',
    access: 'party',
    params: rentalParams,
    answers: { 200: Dispute },
    problems: ['unauthorized', 'rental_not_found', 'dispute_not_found'],
  },
  disputeEvidence: {
    method: 'get',
    path: '/api/disputes/{id}/evidence',
    summary: 'Usage chain, events, lease and money of a disputed rental',
    access: 'party',
    params: disputeParams,
    answers: { 200: Evidence },
    problems: ['unauthorized', 'dispute_not_found'],
  },
  listDisputes: {
    method: 'get',
    path: '/api/admin/disputes',
    summary: 'Disputes, oldest first; open ones unless told otherwise',
    access: 'admin',
    query: DisputeQuery,
    answers: { 200: DisputePage },
    problems: ['unauthorized', 'invalid_request'],
  },
  decideDispute: {
    method: 'post',
    path: '/api/admin/disputes/{id}/decide',
    summary: 'Say which part of what is held goes back',
    access: 'admin',
    params: disputeParams,
    body: DecideRequest,
    answers: { 200: Dispute },
    problems: [...bodyProblems, 'unauthorized', 'dispute_not_found', 'dispute_decided'],
  },
  audit: {
    method: 'get',
    path: '/api/admin/audit',
    summary: 'Every invariant of the money, recomputed now',
    access: 'admin',
    answers: { 200: AuditReport },
    problems: ['unauthorized'],
  },
  debts: {
    method: 'get',
    path: '/api/admin/debts',
    summary: 'Transfers that have not arrived yet, and receipts that matched nothing',
    access: 'admin',
    query: LimitQuery,
    answers: { 200: Debts },
    problems: ['unauthorized', 'invalid_request'],
  },
  reserveChecks: {
    method: 'get',
    path: '/api/admin/reserve-checks',
    summary: 'The newest comparisons of the escrow with the books',
    access: 'admin',
    query: LimitQuery,
    answers: { 200: ReserveChecks },
    problems: ['unauthorized', 'invalid_request'],
  },
  checkReserves: {
    method: 'post',
    path: '/api/admin/reserve-checks',
    summary: 'Compare the escrow with the books now',
    access: 'admin',
    answers: { 200: ReserveCheck },
    problems: ['unauthorized', 'reserves_busy', 'chain_unavailable'],
  },
  enrolNode: {
    method: 'post',
    path: '/api/nodes/enrol',
    summary: 'Enrol a machine with a one-time token',
    access: 'public',
    body: EnrolRequest,
    answers: { 201: Enrolment },
    problems: [...bodyProblems, 'enrolment_refused'],
  },
  nodePayouts: {
    method: 'get',
    path: '/api/nodes/{id}/payouts',
    summary: 'What a machine earned and got, and by which rule it is paid',
    access: 'node',
    params: z.strictObject({ id: NodeId }),
    answers: { 200: NodePayouts },
    problems: ['unauthorized', 'node_not_found'],
  },
  nodeReceipts: {
    method: 'get',
    path: '/api/nodes/{id}/receipts',
    summary: 'Receipts of what a machine ran, with their statements, in the order of their settlement',
    access: 'node',
    params: z.strictObject({ id: NodeId }),
    query: ReceiptsQuery,
    answers: { 200: { lines: Receipt } },
    problems: ['unauthorized', 'node_not_found', 'invalid_request'],
  },
  choosePayouts: {
    method: 'post',
    path: '/api/nodes/{id}/payouts',
    summary: 'Choose from what sum on, and how often at most, a machine is paid',
    access: 'node',
    params: z.strictObject({ id: NodeId }),
    body: PayoutPolicy,
    answers: { 200: NodePayouts },
    problems: [...bodyProblems, 'unauthorized', 'node_not_found'],
  },
} as const satisfies Record<string, Endpoint>

export type EndpointName = keyof typeof endpoints

/** WebSocket doors beside the table: the agent's tunnel, and a terminal opened with subprotocols `flow402.terminal` and `bearer.<accessToken>`. */
export const tunnelPath = '/api/tunnel'
export const terminalPath = (rentalId: string) => `/api/rentals/${rentalId}/terminal`
export const terminalSubprotocol = 'flow402.terminal'
