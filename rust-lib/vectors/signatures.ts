// Vectors of Ed25519: the published ones, and for each clause of the rule signatures that only this clause decides.
import { ed25519 } from '@noble/curves/ed25519.js'
import { bytesOf, flipped, hex, join, sha512, unhex } from './bytes.ts'
import type { SignatureVector } from './format.ts'
import { rfc8032, taming } from './published.ts'

const { Point } = ed25519
const base = Point.BASE
const zero = Point.ZERO
/** The order of the base point. */
export const order = 2n ** 252n + 27_742_317_777_372_353_535_851_937_790_883_648_493n

/** A point of order 8; its multiples are all eight points of small order. */
const torsion = Point.fromBytes(unhex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'))
type CurvePoint = typeof base

const multiple = (point: CurvePoint, scalar: bigint) => point.multiplyUnsafe(((scalar % order) + order) % order)
const torsionOf = (times: number) => torsion.multiplyUnsafe(BigInt(times))

/** A number below `order`, as 32 bytes, lowest first; above it for S that must be refused. */
export function scalarBytes(scalar: bigint): Uint8Array {
  return unhex(scalar.toString(16).padStart(64, '0')).reverse()
}

const scalarOf = (bytes: Uint8Array) => BigInt(`0x${hex(Uint8Array.from(bytes).reverse())}`) % order
const scalarFrom = (name: string) => scalarOf(bytesOf(name, 32))

/** k of RFC 8032, over the bytes as they are. */
const challenge = (R: Uint8Array, A: Uint8Array, message: Uint8Array) => scalarOf(sha512(R, A, message))

/** A secret whose public key is aB plus a point of small order. */
export type MixedKey = { secret: bigint; publicKey: Uint8Array }

export function mixedKey(name: string, torsionTimes: number): MixedKey {
  const secret = scalarFrom(name)
  return { secret, publicKey: multiple(base, secret).add(torsionOf(torsionTimes)).toBytes() }
}

/** A signature for which the equation with the factor 8 holds; R has a part of small order, too, if asked for. */
export function signMixed(key: MixedKey, message: Uint8Array, torsionTimes: number): Uint8Array {
  const nonce = scalarOf(sha512(scalarBytes(key.secret), message))
  const R = multiple(base, nonce).add(torsionOf(torsionTimes)).toBytes()
  return join(R, scalarBytes((nonce + challenge(R, key.publicKey, message) * key.secret) % order))
}

/** Whether the equation without the factor 8 holds, with k reduced modulo L as verifiers do. */
function holdsWithoutFactor(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const R = signature.slice(0, 32)
  const right = Point.fromBytes(R).add(multiple(Point.fromBytes(publicKey), challenge(R, publicKey, message)))
  return right.equals(multiple(base, scalarOf(signature.slice(32))))
}

/** For keys and nonces with and without a part of small order: one message for which both equations hold, one for which only one does. */
function mixedVectors(): SignatureVector[] {
  const vectors: SignatureVector[] = []
  for (const [keyTimes, nonceTimes] of [
    [0, 0],
    [1, 0],
    [4, 0],
    [0, 1],
    [0, 4],
    [3, 5],
    [2, 6],
  ] as const) {
    const key = mixedKey(`mixed key ${keyTimes} ${nonceTimes}`, keyTimes)
    const seen = new Set<boolean>()
    for (let attempt = 0; attempt < 200; attempt += 1) {
      const message = bytesOf(`mixed message ${keyTimes} ${nonceTimes} ${attempt}`, 32)
      const signature = signMixed(key, message, nonceTimes)
      const isPlain = holdsWithoutFactor(key.publicKey, message, signature)
      if (seen.has(isPlain)) continue
      seen.add(isPlain)
      const name = `A has ${keyTimes} T8, R has ${nonceTimes} T8: ${isPlain ? 'both equations hold' : 'only the equation with the factor 8 holds'}`
      vectors.push({ name, publicKey: hex(key.publicKey), message: hex(message), signature: hex(signature), isGood: true })
    }
  }
  return vectors
}

/** The eight points of small order as they are written canonically, then the six other ways to write two of them. */
const smallEncodings = [
  ...Array.from({ length: 8 }, (_, times) => hex((times === 0 ? zero : torsionOf(times)).toBytes())),
  '0100000000000000000000000000000000000000000000000000000000000080',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff',
]

/** Small A: any S with R = SB passes the equation with the factor 8, for every message. Small R: S = ka passes it. */
function smallVectors(): SignatureVector[] {
  const message = bytesOf('small message', 32)
  const nonce = scalarFrom('small nonce')
  const key = mixedKey('small key', 0)
  return smallEncodings.flatMap((encoding) => {
    const small = unhex(encoding)
    const asKey = join(multiple(base, nonce).toBytes(), scalarBytes(nonce))
    const asNonce = join(small, scalarBytes((challenge(small, key.publicKey, message) * key.secret) % order))
    return [
      { name: `A of small order: ${encoding}`, publicKey: encoding, message: hex(message), signature: hex(asKey), isGood: false },
      {
        name: `R of small order: ${encoding}`,
        publicKey: hex(key.publicKey),
        message: hex(message),
        signature: hex(asNonce),
        isGood: false,
      },
    ]
  })
}

/** Encodings of points of large order with y from p to p + 18, and bytes that are no point. */
function encodingVectors(): SignatureVector[] {
  const message = bytesOf('encoding message', 32)
  const key = mixedKey('encoding key', 0)
  const S = signMixed(key, message, 0).slice(32)
  const shifted = Array.from({ length: 17 }, (_, index) => index + 2)
    .filter((y) => isPoint(scalarBytes(BigInt(y))))
    .slice(0, 3)
    .map((y) => ({ name: `y = p + ${y}`, encoding: scalarBytes(2n ** 255n - 19n + BigInt(y)) }))
  const bad = [
    ...shifted,
    { name: 'y = 2, which is not on the curve', encoding: scalarBytes(2n) },
    { name: 'only ones', encoding: new Uint8Array(32).fill(255) },
  ]
  return bad.flatMap(({ name, encoding }) => [
    { name: `A is ${name}`, publicKey: hex(encoding), message: hex(message), signature: hex(signMixed(key, message, 0)), isGood: false },
    { name: `R is ${name}`, publicKey: hex(key.publicKey), message: hex(message), signature: hex(join(encoding, S)), isGood: false },
  ])
}

function isPoint(encoding: Uint8Array): boolean {
  try {
    Point.fromBytes(encoding)
    return true
  } catch {
    return false
  }
}

/** A good signature, and what is left of it when one thing is changed. */
function spoiledVectors(): SignatureVector[] {
  const message = bytesOf('spoiled message', 32)
  const key = mixedKey('spoiled key', 0)
  const signature = signMixed(key, message, 0)
  const [R, S] = [signature.slice(0, 32), scalarOf(signature.slice(32))]
  const good = { publicKey: hex(key.publicKey), message: hex(message), signature: hex(signature) }
  const withS = (scalar: bigint) => hex(join(R, scalarBytes(scalar)))
  return [
    { name: 'a good signature', ...good, isGood: true },
    { name: 'S + L', ...good, signature: withS(S + order), isGood: false },
    { name: 'S + 8 L', ...good, signature: withS(S + 8n * order), isGood: false },
    { name: 'S + 2^255', ...good, signature: withS(S + 2n ** 255n), isGood: false },
    { name: 'S = L', ...good, signature: withS(order), isGood: false },
    { name: 'S = 0', ...good, signature: withS(0n), isGood: false },
    { name: 'S + 1', ...good, signature: withS((S + 1n) % order), isGood: false },
    { name: 'another sign of R', ...good, signature: hex(flipped(signature, 31, 0x80)), isGood: false },
    { name: 'another sign of A', ...good, publicKey: hex(flipped(key.publicKey, 31, 0x80)), isGood: false },
    { name: 'another message', ...good, message: hex(flipped(message, 0)), isGood: false },
    { name: 'a longer message', ...good, message: `${good.message}00`, isGood: false },
    { name: 'no message', ...good, message: '', isGood: false },
    { name: 'another key', ...good, publicKey: hex(mixedKey('another key', 0).publicKey), isGood: false },
    { name: 'R and S exchanged', ...good, signature: hex(join(signature.slice(32), R)), isGood: false },
    { name: 'only zeros', ...good, signature: '00'.repeat(64), isGood: false },
    { name: 'only ones', ...good, signature: 'ff'.repeat(64), isGood: false },
  ]
}

const publishedVectors: SignatureVector[] = [...rfc8032, ...taming]

export const signatureVectors: SignatureVector[] = [
  ...publishedVectors,
  ...mixedVectors(),
  ...smallVectors(),
  ...encodingVectors(),
  ...spoiledVectors(),
]
