// The market speaks plain x402: the stock client, which knows nothing of it, rents with one call.
import { CreatedRental } from '@flow402/protocol/rental'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import { expect, test } from 'vitest'
import { openTestHouse } from '../support/house.ts'

test('the stock x402 client pays a 402 by itself and gets the rental it asked for', async () => {
  const market = await openTestHouse()
  try {
    const network = market.env.network as `${string}:${string}`
    const wallet = new x402Client().register(network, new ExactSvmScheme(market.renter, { rpcUrl: market.chain.rpcUrl }))
    const send = (async (input, init) => market.api.request(new Request(input, init))) as typeof fetch
    const answer = await wrapFetchWithPayment(send, wallet)('http://market.test/api/rentals', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(market.request({ minutes: 5 })),
    })
    expect(answer.status).toBe(201)
    const { rental } = CreatedRental.parse(await answer.json())
    expect(rental).toMatchObject({ state: 'paid', minutes: 5, prepaidAtoms: '5000', payer: market.renter.address })
  } finally {
    await market.close()
  }
})
