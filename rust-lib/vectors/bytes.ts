// Bytes for the vectors: hex, hashes by node:crypto, and bytes that look random but follow from a name.
import { hash } from 'node:crypto'

export const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
export const unhex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'))
export const join = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
export const sha256 = (...parts: Uint8Array[]) => new Uint8Array(hash('sha256', join(...parts), 'buffer'))
export const sha512 = (...parts: Uint8Array[]) => new Uint8Array(hash('sha512', join(...parts), 'buffer'))

/** `length` bytes that follow from a name. */
export function bytesOf(name: string, length: number): Uint8Array {
  const parts: Uint8Array[] = []
  for (let part = 0; part * 32 < length; part += 1) parts.push(sha256(Buffer.from(`flow402 vectors, ${name}, ${part}`)))
  return join(...parts).slice(0, length)
}

/** A copy with one byte changed by exclusive or. */
export function flipped(bytes: Uint8Array, at: number, bits = 1): Uint8Array {
  const copy = Uint8Array.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ bits
  return copy
}
