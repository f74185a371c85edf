// The one rule on Ed25519 signatures (docs/statement.md), with noble's arithmetic.
import { ed25519 } from '@noble/curves/ed25519.js'

/**
 * The y coordinates of the eight points of small order, lowest byte first: 0, 1, -1 and those of order 8. With either sign of x: "minus
 * zero", the second encoding of 1 and -1, is not canonical and is refused as well.
 */
const smallOrders = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
].map((hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)))

/** Whether 32 bytes can be the encoding of a point that the rule allows: y < p and not of small order. Whether y is on the curve is not asked. */
export function isPlainPoint(encoding: Uint8Array): boolean {
  return (
    isBelowP(encoding) && !smallOrders.some((y) => y.every((byte, at) => byte === (at === 31 ? (encoding[31] ?? 0) & 0x7f : encoding[at])))
  )
}

/** Whether 32 bytes are a public key that the rule allows: the canonical encoding of a point, not one of small order. */
export function isPublicKey(encoding: Uint8Array): boolean {
  return isPlainPoint(encoding) && isPoint(encoding)
}

/** Whether 32 bytes are a point of the curve, of whatever order; `anyEncoding` allows those that are not canonical, as Solana does. */
export function isPoint(encoding: Uint8Array, anyEncoding = false): boolean {
  try {
    ed25519.Point.fromBytes(encoding, anyEncoding)
    return true
  } catch {
    return false
  }
}

/**
 * The verdict on one signature: S < L; A and R canonical and neither of small order; [8][S]B = [8]R + [8][k]A. `zip215: false` makes noble
 * refuse encodings that are not canonical; it always uses the equation with the factor 8.
 */
export function verifyByRule(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isPlainPoint(publicKey) || !isPlainPoint(signature.subarray(0, 32))) return false
  return ed25519.verify(signature, message, publicKey, { zip215: false })
}

/** Whether the y of an encoding is below p = 2^255 - 19, whose bytes are ED FF ... FF 7F. */
function isBelowP(encoding: Uint8Array): boolean {
  if (((encoding[31] ?? 0) & 0x7f) !== 0x7f) return true
  for (let at = 30; at > 0; at -= 1) if (encoding[at] !== 0xff) return true
  return (encoding[0] ?? 0) < 0xed
}
