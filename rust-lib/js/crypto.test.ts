// The crypto API: digests as node:crypto has them, addresses as Solana has them, prices as the market's books have them.
import { createHash } from 'node:crypto'
import { isAddress, isOffCurveAddress } from '@solana/kit'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { chargeAtoms, prepaidAtoms, splitPrepaid } from '../../packages/protocol/src/money.ts'
import {
  isOnCurve,
  isWalletAddress,
  type PaymentProof,
  paymentProofHash,
  providerEarningsAtoms,
  rentalCostAtoms,
  sha3_256,
  sha256,
  usageCostAtoms,
} from './crypto.ts'
import { noblePrimitives } from './noble-primitives.ts'

test('digests of texts and of bytes', () => {
  const anyMessage = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme' }), fc.uint8Array({ maxLength: 300 }))
  fc.assert(
    fc.property(anyMessage, (message) => {
      expect(sha256(message)).toBe(createHash('sha256').update(message).digest('hex'))
      expect(sha3_256(message)).toBe(createHash('sha3-256').update(message).digest('hex'))
      expect(noblePrimitives.hexDigest('sha256', message)).toBe(sha256(message))
      expect(noblePrimitives.hexDigest('sha3-256', message)).toBe(sha3_256(message))
    }),
  )
  expect(sha256('\ud800')).toBe(noblePrimitives.hexDigest('sha256', '\ud800'))
})

const base58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

test('an address is what Solana takes for one, and on the curve where Solana says so', () => {
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 })
  const digits = fc.array(fc.constantFrom(...base58), { minLength: 30, maxLength: 46 }).map((letters) => letters.join(''))
  const text = fc.oneof(
    bytes.map(base58Of),
    digits,
    fc.string({ maxLength: 50 }),
    digits.map((letters) => `11111111111111111${letters.slice(17)}`),
  )
  fc.assert(
    fc.property(text, (address) => {
      expect(isWalletAddress(address)).toBe(isAddress(address))
      expect(isOnCurve(address)).toBe(isAddress(address) && !isOffCurveAddress(address))
    }),
    { numRuns: 1000 },
  )
})

function base58Of(bytes: Uint8Array): string {
  let text = ''
  for (let value = BigInt(`0x${Buffer.from(bytes).toString('hex')}`); value > 0n; value /= 58n)
    text = `${base58[Number(value % 58n)]}${text}`
  return '1'.repeat(bytes.findIndex((byte) => byte !== 0)) + text
}

test('another payment has another hash', () => {
  const proof: PaymentProof = { paymentId: 'pay_1', transaction: '2b', amountAtoms: 12n, payer: 'a', payee: 'b' }
  const others: Partial<PaymentProof>[] = [
    { paymentId: 'pay_12' },
    { transaction: 'b' },
    { amountAtoms: 2n },
    { amountAtoms: 120n },
    { payer: 'ab', payee: '' },
    { payer: 'b', payee: 'a' },
    { paymentId: 'pay_1\u0000\u0000\u0000\u00022b', transaction: '' },
  ]
  const hashes = [proof, ...others.map((other) => ({ ...proof, ...other }))].map(paymentProofHash)
  expect(new Set(hashes).size).toBe(hashes.length)
  for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{64}$/)
  expect(() => paymentProofHash({ ...proof, amountAtoms: -1n })).toThrow(RangeError)
})

test('prices are those of the books, to the atom', () => {
  const sizes = fc.tuple(
    fc.integer({ min: 0, max: 100_000 }),
    fc.bigInt({ min: 0n, max: 10n ** 18n }),
    fc.nat(43_200 * 60),
    fc.integer({ min: 0, max: 10_000 }),
  )
  fc.assert(
    fc.property(sizes, ([units, price, seconds, feeBps]) => {
      expect(rentalCostAtoms(BigInt(units), price, BigInt(seconds))).toBe(prepaidAtoms(units, price, seconds))
      const charge = chargeAtoms(units, price, seconds)
      expect(usageCostAtoms(BigInt(units), price, BigInt(seconds))).toBe(charge)
      expect(providerEarningsAtoms(charge, BigInt(feeBps))).toBe(splitPrepaid(charge, charge, feeBps).payoutAtoms)
    }),
  )
})

test('what is no amount is a RangeError', () => {
  const wrongs: (() => unknown)[] = [
    () => rentalCostAtoms(-1n, 1n, 1n),
    () => rentalCostAtoms(1n, 1.5 as unknown as bigint, 1n),
    () => rentalCostAtoms(1n, 1n, -1n),
    () => usageCostAtoms(1n, 1n, '1' as unknown as bigint),
    () => usageCostAtoms(1n, -1n, 1n),
    () => providerEarningsAtoms(-1n, 0n),
    () => providerEarningsAtoms(1n, -1n),
    () => providerEarningsAtoms(1n, 10_001n),
  ]
  for (const wrong of wrongs) expect(wrong).toThrow(RangeError)
})
