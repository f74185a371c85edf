// Quote tokens: only what this market signed is a price.
import { randomBytes } from 'node:crypto'
import type { Quote } from '@flow402/protocol/payment'
import { expect, test } from 'vitest'
import { deriveMarketKeys } from '../auth/market-keys.ts'
import { readQuote, requestDigest, signQuote } from './quote-token.ts'

const keys = deriveMarketKeys(randomBytes(32).toString('base64url'))
const quote: Quote = {
  kind: 'rent',
  paymentId: `pay_${'1'.repeat(32)}`,
  rentalId: `rnt_${'2'.repeat(32)}`,
  offerId: `ofr_${'3'.repeat(32)}`,
  units: 1,
  minutes: 10,
  priceAtomsPerHour: '10000',
  amountAtoms: '1667',
  currency: 'USDC',
  feeBps: 500,
  payTo: 'escrow',
  asset: 'usdc',
  network: 'solana:test',
  requestDigest: requestDigest({ units: 1 }),
  exp: 1_800_000_000,
}

test('a quote comes back as it was signed', async () => {
  expect(await readQuote(keys, await signQuote(keys, quote))).toEqual(quote)
})

test('a changed price, another market’s signature, and plain rubbish are no quotes', async () => {
  const token = await signQuote(keys, quote)
  const [head, , signature] = token.split('.')
  const cheaper = Buffer.from(JSON.stringify({ ...quote, amountAtoms: '1' })).toString('base64url')
  const stranger = deriveMarketKeys(randomBytes(32).toString('base64url'))
  for (const forged of [`${head}.${cheaper}.${signature}`, await signQuote(stranger, quote), 'x', '', 'a.b.c'])
    await expect(readQuote(keys, forged)).rejects.toMatchObject({ code: 'quote_invalid' })
})

test('the digest of a request does not depend on the order of its fields, but on every value', () => {
  expect(requestDigest({ a: 1, b: { c: [1, 2], d: 'x' } })).toBe(requestDigest({ b: { d: 'x', c: [1, 2] }, a: 1 }))
  expect(requestDigest({ a: 1 })).not.toBe(requestDigest({ a: 2 }))
})
