// Digests and signatures by node:crypto, which is faster than JavaScript: for servers and the provider's program.
import { createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { isPlainPoint, verifyByRule } from './ed25519.ts'
import type { Primitives } from './primitives.ts'

/** What precedes the 32 bytes of an Ed25519 key in SubjectPublicKeyInfo (RFC 8410). */
const keyPrefix = Buffer.from('302a300506032b6570032100', 'hex')

export const nodePrimitives: Primitives = {
  // A digest as a Latin-1 string, written into place, is the cheapest way out of OpenSSL: twice as fast as a Buffer for each.
  digests(digest, bytes, lengths) {
    const out = Buffer.alloc(32 * lengths.length)
    let start = 0
    for (let index = 0; index < lengths.length; index += 1) {
      const end = start + (lengths[index] ?? 0)
      out.write(hash(digest, bytes.subarray(start, end), 'binary'), 32 * index, 'latin1')
      start = end
    }
    return new Uint8Array(out.buffer, out.byteOffset, out.length)
  },

  hexDigest: (digest, message) => hash(digest, message, 'hex'),

  // node:crypto knows neither the rule on small orders nor the factor 8: points are looked at before, and its no is not the last word.
  verifySignature(publicKey, message, signature) {
    if (!isPlainPoint(publicKey) || !isPlainPoint(signature.subarray(0, 32))) return false
    const key = importKey(publicKey)
    if (key !== undefined && verify(null, message, key, signature)) return true
    return verifyByRule(publicKey, message, signature)
  },
}

/** The key that was used last, because a statement has one key for all of its signatures. */
let lastKey: { bytes: Uint8Array; key: KeyObject } | undefined

function importKey(bytes: Uint8Array): KeyObject | undefined {
  if (lastKey !== undefined && Buffer.compare(lastKey.bytes, bytes) === 0) return lastKey.key
  const key = createPublicKey({ key: Buffer.concat([keyPrefix, bytes]), format: 'der', type: 'spki' })
  lastKey = { bytes: bytes.slice(), key }
  return key
}
