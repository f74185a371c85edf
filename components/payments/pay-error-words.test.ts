// Tests of what people read when paying fails: it says whether money moved, and never calls an unknown outcome a failure.
import { MarketError } from '@flow402/sdk/market-error'
import { PaymentRefused } from '@flow402/sdk/pay-limits'
import { expect, test } from 'vitest'
import { payErrorWords } from './pay-error-words.ts'

test.each([
  ['sold_out', 409, /not charged/],
  ['quote_expired', 410, /not charged/],
  ['payment_invalid', 422, /not charged/],
  ['payment_failed', 402, /Nothing was charged/],
])('%s says that nothing was charged', (code, status, words) => {
  expect(payErrorWords(new MarketError(code, status, 'x'), true)).toMatchObject({ isUnsure: false, text: expect.stringMatching(words) })
})

test.each([
  ['payment_pending', 202],
  ['unreachable', 0],
  ['internal', 500],
])('%s after signing is unsure and asks to check again, not to pay again', (code, status) => {
  expect(payErrorWords(new MarketError(code, status, 'x'), true)).toMatchObject({
    isUnsure: true,
    text: expect.stringMatching(/never be charged twice/),
  })
})

test('the same silence before signing is not unsure', () => {
  expect(payErrorWords(new MarketError('unreachable', 0, 'no answer'), false).isUnsure).toBe(false)
})

test('a declined wallet and a refused 402 say that nothing was signed or charged', () => {
  expect(payErrorWords(new Error('User rejected the request.'), false)).toMatchObject({ title: 'The wallet did not sign' })
  expect(payErrorWords(new PaymentRefused('amount', 'Asked for too much'), false).text).toContain('Nothing was signed')
})
