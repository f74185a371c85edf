// Reading an Idempotency-Key: a structured string (RFC 9651) or the bare characters, which mean the same.
import { Problem } from '@flow402/protocol/problem'

const quoted = /^"((?:[\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/
const bare = /^[\x21\x23-\x7e][\x21-\x7e]*$/
const charactersAtMost = 255

/** The key of a header value: 1 to 255 visible ASCII characters. Anything else is Problem idempotency_key_invalid. */
export function readKey(header: string): string {
  const key = quoted.exec(header)?.[1]?.replaceAll(/\\(["\\])/g, '$1') ?? bare.exec(header)?.[0] ?? ''
  if (key.length < 1 || key.length > charactersAtMost) throw new Problem('idempotency_key_invalid')
  return key
}
