// Digests, the hash of a payment's proof, wallet addresses and prices: exact, over the same core as the check of a statement.
import { primitives } from '#platform'
import { isPoint } from './ed25519.ts'
import { chargeAtoms, feeOf, prepayAtoms } from './price.ts'

/** SHA-256 in hex, of bytes or of a text in UTF-8. */
export function sha256(message: Uint8Array | string): string {
  return primitives.hexDigest('sha256', message)
}

/** SHA3-256 (FIPS 202) in hex, of bytes or of a text in UTF-8. */
export function sha3_256(message: Uint8Array | string): string {
  return primitives.hexDigest('sha3-256', message)
}

/** A payment as its proof names it: the market's id, the transaction's signature in base58, atoms, and both wallets. */
export type PaymentProof = { paymentId: string; transaction: string; amountAtoms: bigint; payer: string; payee: string }

/**
 * One hash for one payment, in hex: SHA-256 over the texts `flow402-payment-proof-1`, payment id, transaction signature, amount in atoms
 * (decimal, no leading zero), payer and payee, each as its length in bytes (4 bytes, big-endian) and then its UTF-8 bytes. The lengths make
 * it impossible that two different payments give the same bytes. A negative amount is a RangeError.
 */
export function paymentProofHash(proof: PaymentProof): string {
  requireWhole('amountAtoms', proof.amountAtoms)
  const { paymentId, transaction, amountAtoms, payer, payee } = proof
  const texts = ['flow402-payment-proof-1', paymentId, transaction, String(amountAtoms), payer, payee].map((text) =>
    new TextEncoder().encode(text),
  )
  const message = new Uint8Array(texts.reduce((sum, { length }) => sum + 4 + length, 0))
  let at = 0
  for (const text of texts) {
    new DataView(message.buffer).setUint32(at, text.length)
    message.set(text, at + 4)
    at += 4 + text.length
  }
  return sha256(message)
}

/**
 * Whether a text is a Solana address: base58 of exactly 32 bytes. It need not be on the curve: an account that a program owns (PDA) has an
 * address that no key signs for. Ask isOnCurve where a person must be able to sign.
 */
export function isWalletAddress(address: string): boolean {
  return addressBytes(address) !== undefined
}

/** Whether an address is a point of Ed25519's curve, as Solana decides it, so that a key can exist for it; false for what is no address. */
export function isOnCurve(address: string): boolean {
  const bytes = addressBytes(address)
  return bytes !== undefined && isPoint(bytes, true)
}

/** What a rental must prepay: ceil(units x price x seconds / 3600), in atoms. RangeError for what is not a bigint from 0. */
export function rentalCostAtoms(units: bigint, priceAtomsPerHour: bigint, seconds: bigint): bigint {
  requireWhole('units', units)
  requireWhole('priceAtomsPerHour', priceAtomsPerHour)
  requireWhole('seconds', seconds)
  return prepayAtoms(units, priceAtomsPerHour, seconds)
}

/** What seconds of use cost: floor(units x price x seconds / 3600), in atoms. RangeError for what is not a bigint from 0. */
export function usageCostAtoms(units: bigint, priceAtomsPerHour: bigint, seconds: bigint): bigint {
  requireWhole('units', units)
  requireWhole('priceAtomsPerHour', priceAtomsPerHour)
  requireWhole('seconds', seconds)
  return chargeAtoms(units, priceAtomsPerHour, seconds)
}

/** What a provider gets of a charge: all but the fee, which is floor(charged x feeBps / 10000). RangeError for a fee above 10000. */
export function providerEarningsAtoms(chargedAtoms: bigint, feeBps: bigint): bigint {
  requireWhole('chargedAtoms', chargedAtoms)
  requireWhole('feeBps', feeBps)
  if (feeBps > 10_000n) throw new RangeError('feeBps is above 10000.')
  return chargedAtoms - feeOf(chargedAtoms, feeBps)
}

function requireWhole(name: string, value: bigint): void {
  if (typeof value !== 'bigint' || value < 0n) throw new RangeError(`${name} is not a bigint from 0.`)
}

const base58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'

/** The 32 bytes of an address, or undefined for what is none. 32 bytes have 32 to 44 digits. */
function addressBytes(address: string): Uint8Array | undefined {
  if (address.length < 32 || address.length > 44) return undefined
  let value = 0n
  for (const digit of address) {
    const worth = base58.indexOf(digit)
    if (worth < 0) return undefined
    value = value * 58n + BigInt(worth)
  }
  // Every leading 1 stands for a byte of zeros; the bytes that follow begin with another digit.
  const zeros = address.length - address.replace(/^1+/, '').length
  const hex = value === 0n ? '' : value.toString(16)
  const digits = hex.length % 2 === 0 ? hex : `0${hex}`
  if (zeros + digits.length / 2 !== 32) return undefined
  return Uint8Array.from((`00`.repeat(zeros) + digits).match(/../g) ?? [], (byte) => Number.parseInt(byte, 16))
}
