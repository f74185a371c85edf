// What to do about each problem code, in a sentence or two for the person or program that met it.
import type { ProblemCode } from '@flow402/protocol/problem'

export const advice: Record<ProblemCode, string> = {
  payment_required:
    'Not an error: the answer carries the price. Pay it and repeat the same request with PAYMENT-SIGNATURE before the quote expires.',
  payment_invalid:
    'The signed transaction is not what was quoted: wrong amount, token, recipient or memo, or the wallet changed it or holds too little. Nothing was charged.',
  payment_failed: 'The transaction reached the chain and failed there. Nothing was charged; ask for a new quote.',
  payment_already_used: 'This payment belongs to another rental or extension. Ask for a new quote and sign anew.',
  payment_not_found: 'Check the payment id; it is in the 402 body and in the 202 answer.',
  payment_too_late: 'It bought nothing. The whole amount goes back to the wallet that paid, without anything to do.',
  payment_identifier_reused:
    'Nothing was charged. Send the first payment again for its outcome, or take a new identifier for a new payment.',
  quote_invalid: 'Echo the requirements of the 402 unchanged, `extra` included. Quotes of another market are not valid here.',
  quote_expired: 'Quotes hold for a short time. Send the request without payment again for a fresh one.',
  quote_mismatch: 'Repeat exactly the body that was quoted. To change it, ask for a new quote.',
  sold_out: 'Someone was faster. Choose fewer units or another offer. Nothing was charged.',
  offer_not_found: 'The offer does not exist or was withdrawn. List the offers again.',
  offer_offline: 'The machine does not answer right now. Choose another offer or try again in a minute.',
  duration_out_of_range: 'Stay within the offer’s minMinutes and maxMinutes.',
  rental_not_found: 'No such rental, or the access token is not its own; the two look alike on purpose.',
  rental_cannot: 'The answer says the present state. Only running rentals can be extended or used; ended ones cannot be stopped again.',
  rental_moved_meanwhile: 'Read the rental again and decide anew.',
  receipt_not_ready: 'Wait until the rental is settled, then ask again.',
  books_open: 'The rental has ended, but its usage or a payment is not final yet. Ask again in some seconds.',
  dispute_too_late: 'A rental can be disputed for 24 hours after it ended; the answer says until when that was.',
  dispute_exists: 'A rental can be disputed once. GET /api/rentals/{id}/dispute shows what became of it.',
  dispute_not_found: 'Nobody disputed this rental, or you are no party to it; the two look alike on purpose.',
  dispute_decided: 'A decision stands. The answer says who decided and how.',
  not_in_reserves:
    'Its payment is not final yet (ask again in half a minute), or all of its money has been paid out; then the receipt has the transactions.',
  reserves_busy: 'Ask again in a few seconds, or read the newest comparison.',
  node_unreachable: 'The machine does not answer. Try again; if it stays silent the rental settles by itself and the rest is refunded.',
  enrolment_refused: 'Ask the market for a new one-time token.',
  node_not_found: 'Check the node id.',
  idempotency_key_invalid: 'Send 1 to 255 visible ASCII characters, quoted or not; a UUID is a good key.',
  idempotency_in_flight: 'Wait as long as Retry-After says and send the same request again: then its answer is there.',
  idempotency_key_reused: 'Nothing was done and nothing was charged. Take a new key for another request or another payment.',
  invalid_request: 'The answer lists which members are wrong. Unknown members are refused.',
  invalid_json: 'Send valid JSON.',
  unsupported_media_type: 'Send the header content-type: application/json.',
  unauthorized: 'Send the header Authorization: Bearer with the access token of the rental.',
  not_found: 'Check the address.',
  method_not_allowed: 'Check the method; the Allow header lists what is possible.',
  too_large: 'Send less: bodies are limited to 64 KiB.',
  timeout: 'Raise timeoutMs where the call has one, or split the work.',
  not_ready: 'The market is starting or a part of it is down; GET /api/health says which. Try again shortly.',
  quotes_paused:
    'The market cannot pay the network’s fees for new rentals right now. Try again shortly; what runs goes on and can be extended.',
  chain_unavailable: 'The chain’s RPC does not answer. Repeat the same request with the same header; it cannot be charged twice.',
  database_unavailable: 'Try again shortly. Running machines are not affected.',
  internal: 'A fault of the market. Repeating a paid request with the same header is safe.',
}
