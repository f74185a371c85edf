// What the twin is given: digests and one signature's verdict. node-primitives.ts is for servers, noble-primitives.ts for browsers.
import type { DigestName } from './engine.ts'

export type Primitives = {
  /** Digests of messages that lie one after the other in `bytes`, `lengths` bytes each; the lengths are known to fit. */
  digests: (digest: DigestName, bytes: Uint8Array, lengths: Uint32Array) => Uint8Array
  /** One digest in hex, of bytes or of a text in UTF-8. */
  hexDigest: (digest: DigestName, message: Uint8Array | string) => string
  /** The verdict of docs/statement.md on one signature: 32 bytes of key, 64 of signature. */
  verifySignature: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => boolean
}
