// Buying time: a rental, or more minutes for one; the same from every address that takes a payment.
import type { ExtendRequest, RentalRequest } from '@flow402/protocol/rental'
import type { Context } from 'hono'
import { accessTokenFor } from '../../lib/auth/access-token.ts'
import { acceptExtension, acceptRental } from '../../lib/payments/accept-payment.ts'
import { getRental } from '../../lib/rentals/get-rental.ts'
import { quoteExtension, quoteRental } from '../../lib/rentals/quote-rental.ts'
import type { House } from '../../lib/wiring.ts'
import { answerPaid, paymentRequired } from './paid.ts'

/** Where each of the two is bought: what a 402 names as its resource. */
export const rentPath = '/api/rentals'
export const extendPath = (rentalId: string) => `/api/rentals/${rentalId}/extend`

/** Rents: 402 without a proof, otherwise 201 with the only credential to the rental, or 202. */
export async function buyRental(c: Context, house: House, request: RentalRequest, proof: string | undefined): Promise<Response> {
  if (!proof) return paymentRequired(c, house, await quoteRental(house, request), rentPath)
  const accepted = await acceptRental(house, request, proof)
  if (accepted.state === 'settled') house.wake('assign')
  const { rentalId } = accepted.quote
  return answerPaid(c, house, accepted, async () =>
    c.json({ rental: await getRental(house, rentalId), accessToken: accessTokenFor(house.keys, rentalId) }, 201, {
      location: `${rentPath}/${rentalId}`,
    }),
  )
}

/** Extends a rental whose token was checked: 402 without a proof, otherwise 200, or 202. */
export async function buyMinutes(
  c: Context,
  house: House,
  rentalId: string,
  request: ExtendRequest,
  proof: string | undefined,
): Promise<Response> {
  if (!proof) return paymentRequired(c, house, await quoteExtension(house, rentalId, request), extendPath(rentalId))
  const accepted = await acceptExtension(house, rentalId, request, proof)
  house.wake('orders')
  house.wake('transfers')
  return answerPaid(c, house, accepted, async () => c.json(await getRental(house, rentalId), 200))
}
