// Payments at the door: quote, authorize, complete and settle, and what became of one.

import { endpoints } from '@flow402/protocol/endpoints'
import type { PaidRequest, PayableRequest } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { requireAccess } from '../../lib/auth/access-token.ts'
import { authorizePayment } from '../../lib/payments/authorize-payment.ts'
import { getPayment } from '../../lib/payments/get-payment.ts'
import type { Wanted } from '../../lib/payments/read-payment.ts'
import { getRental } from '../../lib/rentals/get-rental.ts'
import { quoteExtension, quoteRental } from '../../lib/rentals/quote-rental.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooksOf } from '../../lib/settlement/close-books.ts'
import type { House } from '../../lib/wiring.ts'
import { bearer, door } from '../door.ts'
import { invalidRequest } from '../problem-response.ts'
import { buyMinutes, buyRental, extendPath, rentPath } from '../rentals/buy.ts'
import { challengeFor, paymentProof, termsOf } from '../rentals/paid.ts'

export function paymentRoutes(app: OpenAPIHono, house: House): void {
  door(app, house, endpoints.quotePayment, async ({ body, c }) => {
    const wanted = wantedBy(c, house, body)
    const signed =
      wanted.kind === 'rent' ? await quoteRental(house, wanted.request) : await quoteExtension(house, wanted.rentalId, wanted.request)
    const header = await challengeFor(c, house, signed, wanted.kind === 'rent' ? rentPath : extendPath(wanted.rentalId))
    const paymentRequired: unknown = JSON.parse(Buffer.from(header, 'base64').toString('utf8'))
    return c.json({ paymentRequired, quote: signed.token, ...termsOf(signed.quote) }, 200, { 'PAYMENT-REQUIRED': header })
  })

  door(app, house, endpoints.authorizePayment, async ({ body, c }) => {
    const wanted = wantedBy(c, house, body.request)
    const proof = proofOf(c, body)
    if (!proof) throw missingPayment('is missing, and so is the header PAYMENT-SIGNATURE')
    return c.json(await authorizePayment(house, wanted, proof))
  })

  door(app, house, endpoints.completePayment, ({ body, c }) => {
    const wanted = wantedBy(c, house, body.request)
    const proof = proofOf(c, body)
    return wanted.kind === 'rent'
      ? buyRental(c, house, wanted.request, proof)
      : buyMinutes(c, house, wanted.rentalId, wanted.request, proof)
  })

  door(app, house, endpoints.settlePayment, async ({ body: { rentalId }, c }) => {
    await checkStatements(house, rentalId)
    const books = await closeBooksOf(house, rentalId)
    const rental = await getRental(house, rentalId)
    if (books === 'not_ended') throw new Problem('rental_cannot', { id: rentalId, state: rental.state, action: 'settle' })
    if (books === 'waiting') return c.json(rental, 202, { 'retry-after': '2' })
    house.wake('transfers')
    return c.json(rental, 200)
  })

  door(app, house, endpoints.getPayment, async ({ params, c }) => c.json(await getPayment(house, params.id)))
}

/** What a body wants to buy; an extension is for who holds the rental's token. */
function wantedBy(c: Context, house: House, request: PayableRequest): Wanted {
  if (!('rentalId' in request)) return { kind: 'rent', request }
  const { rentalId, minutes } = request
  requireAccess(house.keys, rentalId, bearer(c))
  return { kind: 'extend', rentalId, request: { minutes } }
}

/** The proof of payment, as the header value that it is or would be. */
function proofOf(c: Context, { payment }: PaidRequest): string | undefined {
  const header = paymentProof(c)
  if (payment === undefined) return header
  if (header !== undefined) throw missingPayment('came twice: send it in the body or as PAYMENT-SIGNATURE')
  return typeof payment === 'string' ? payment : Buffer.from(JSON.stringify(payment)).toString('base64')
}

function missingPayment(message: string): Problem {
  return invalidRequest({ issues: [{ path: ['payment'], message }] })
}
