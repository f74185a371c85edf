// Vectors of prices, of the hash of a payment's proof, and of wallet addresses.
import { bytesOf, hex, join, sha256, unhex } from './bytes.ts'
import type { AddressVector, PaymentProofVector, PriceVector } from './format.ts'

const most = 2n ** 64n - 1n

/** Exact sums of floor(quantity x price / divisor): at the edges of 64 and of 128 bits, and where a float or a rounded total would differ. */
export const priceVectors: PriceVector[] = [
  { quantities: [], prices: [], divisor: 3600n, sum: 0n },
  { quantities: [60n], prices: [1_800_000n], divisor: 3600n, sum: 30_000n },
  { quantities: [1n, 1n, 1n], prices: [1n, 1n, 1n], divisor: 2n, sum: 0n },
  { quantities: [1n, 1n, 1n], prices: [1n, 2n, 3n], divisor: 2n, sum: 2n },
  { quantities: [2n ** 53n + 1n], prices: [1n], divisor: 1n, sum: 2n ** 53n + 1n },
  {
    quantities: [10n ** 18n - 1n, 7n],
    prices: [10n ** 18n - 1n, 7n],
    divisor: 3600n,
    sum: 277_777_777_777_777_777_222_222_222_222_222n,
  },
  { quantities: [most], prices: [most], divisor: 1n, sum: most * most },
  { quantities: [most], prices: [most], divisor: most, sum: most },
  { quantities: [most], prices: [1n], divisor: most, sum: 1n },
  { quantities: [most - 1n], prices: [1n], divisor: most, sum: 0n },
  { quantities: [0n, most], prices: [most, 0n], divisor: 1n, sum: 0n },
  { quantities: [most, 2n * 2n ** 32n], prices: [most, 2n ** 31n], divisor: 1n, sum: most * most + 2n ** 64n },
  { quantities: [most, most], prices: [most, 2n], divisor: 1n, sum: 2n ** 128n - 1n },
  { quantities: [most, most, 1n], prices: [most, 2n, 1n], divisor: 1n, sum: null },
  { quantities: [most, most], prices: [most, most], divisor: 1n, sum: null },
].map(({ quantities, prices, divisor, sum }) => ({
  quantities: quantities.map(String),
  prices: prices.map(String),
  divisor: String(divisor),
  sum: sum === null ? null : String(sum),
}))

const alphabet = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

function base58(bytes: Uint8Array): string {
  let value = BigInt(`0x0${hex(bytes)}`)
  let text = ''
  for (; value > 0n; value /= 58n) text = `${alphabet[Number(value % 58n)]}${text}`
  const zeros = bytes.findIndex((byte) => byte !== 0)
  return '1'.repeat(zeros < 0 ? bytes.length : zeros) + text
}

const payer = base58(bytesOf('payer', 32))
const payee = base58(bytesOf('payee', 32))

/** A text as its length in four bytes and its UTF-8. */
function measured(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text))
  return join(unhex(bytes.length.toString(16).padStart(8, '0')), bytes)
}

export const paymentProofVectors: PaymentProofVector[] = [
  { amountAtoms: '0', payer, payee },
  { amountAtoms: '300000', payer, payee },
  { amountAtoms: '300000', payer: payee, payee: payer },
  { amountAtoms: '999999999999999999', payer, payee: '' },
].map((payment) => {
  const proof = { paymentId: `pay_${hex(bytesOf('payment', 16))}`, transaction: base58(bytesOf('transaction', 64)), ...payment }
  const texts = ['flow402-payment-proof-1', proof.paymentId, proof.transaction, proof.amountAtoms, proof.payer, proof.payee]
  const message = join(...texts.map(measured))
  return { ...proof, message: hex(message), hash: hex(sha256(message)) }
})

export const addressVectors: AddressVector[] = [
  { address: '11111111111111111111111111111111', isAddress: true, isOnCurve: true },
  { address: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA', isAddress: true, isOnCurve: true },
  { address: 'EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v', isAddress: true, isOnCurve: true },
  { address: base58(unhex(`02${'00'.repeat(31)}`)), isAddress: true, isOnCurve: false },
  { address: base58(unhex('ff'.repeat(32))), isAddress: true, isOnCurve: true },
  { address: base58(unhex(`01${'00'.repeat(30)}80`)), isAddress: true, isOnCurve: true },
  { address: base58(unhex(`${'00'.repeat(31)}01`)), isAddress: true, isOnCurve: false },
  { address: '', isAddress: false, isOnCurve: false },
  { address: '1'.repeat(31), isAddress: false, isOnCurve: false },
  { address: '1'.repeat(33), isAddress: false, isOnCurve: false },
  { address: base58(bytesOf('too short', 31)), isAddress: false, isOnCurve: false },
  { address: base58(new Uint8Array(33).fill(1)), isAddress: false, isOnCurve: false },
  { address: 'z'.repeat(44), isAddress: false, isOnCurve: false },
  { address: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5D0', isAddress: false, isOnCurve: false },
  { address: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DI', isAddress: false, isOnCurve: false },
  { address: ' TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA', isAddress: false, isOnCurve: false },
  { address: '0x52908400098527886E0F7030069857D2E4169EE7', isAddress: false, isOnCurve: false },
]
