// Market keys: everything secret is derived from one master secret, so there is one thing to guard and to rotate.
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject } from 'node:crypto'

/**
 * The Ed25519 pair that signs quotes, lease orders and stream tokens, the secret behind access tokens, and the one that answers under an
 * Idempotency-Key are encrypted with.
 */
export type MarketKeys = { signing: KeyObject; verifying: KeyObject; publicKey: string; accessSecret: Buffer; answerSecret: Buffer }

const pkcs8Ed25519Prefix = Buffer.from('302e020100300506032b657004220420', 'hex')

/** Derives the market's keys from FLOW402_SECRET (base64url) with HKDF-SHA256 (RFC 5869), one label per purpose. */
export function deriveMarketKeys(secret: string): MarketKeys {
  const master = Buffer.from(secret, 'base64url')
  const derive = (label: string) => Buffer.from(hkdfSync('sha256', master, 'flow402', label, 32))
  const signing = createPrivateKey({ key: Buffer.concat([pkcs8Ed25519Prefix, derive('market-signing-1')]), format: 'der', type: 'pkcs8' })
  const verifying = createPublicKey(signing)
  const publicKey = verifying.export({ format: 'jwk' }).x
  if (!publicKey) throw new Error('the market key has no public half')
  return { signing, verifying, publicKey, accessSecret: derive('rental-access-1'), answerSecret: derive('idempotent-answer-1') }
}

/** An Ed25519 public key from its 32 bytes in base64url, as nodes send it. */
export function publicKeyFromBase64url(x: string): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
}
