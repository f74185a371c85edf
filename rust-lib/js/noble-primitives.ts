// Digests and signatures in JavaScript alone, for browsers without what the WebAssembly needs.
import { sha256 } from '@noble/hashes/sha2.js'
import { sha3_256 } from '@noble/hashes/sha3.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { verifyByRule } from './ed25519.ts'
import type { Primitives } from './primitives.ts'

const hashes = { sha256, 'sha3-256': sha3_256 }

export const noblePrimitives: Primitives = {
  digests(digest, bytes, lengths) {
    const hash = hashes[digest]
    const out = new Uint8Array(32 * lengths.length)
    let start = 0
    lengths.forEach((length, index) => {
      out.set(hash(bytes.subarray(start, start + length)), 32 * index)
      start += length
    })
    return out
  },
  hexDigest: (digest, message) => bytesToHex(hashes[digest](typeof message === 'string' ? utf8ToBytes(message) : message)),
  verifySignature: verifyByRule,
}
