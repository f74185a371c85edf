// The peers of bench:crypto that only Node has: node:crypto, merkletreejs and @openzeppelin/merkle-tree, and what is loaded in Node.
import { createHash, createPublicKey, hash, type KeyObject, verify } from 'node:crypto'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { SimpleMerkleTree } from '@openzeppelin/merkle-tree'
import { createSHA3, createSHA256 } from 'hash-wasm'
import { MerkleTree } from 'merkletreejs'
import type { DigestName, SignedMessage } from '../../rust-lib/js/engine.ts'
import { type CopyLeaf, type Hasher, type HashWasm, type Noble, openNoble, sharedHashers } from './peers.ts'

const { resolve } = createRequire(new URL('../../rust-lib/package.json', import.meta.url))

/** Where on this machine a module of rust-lib's own packages lies. */
export function pathOfModule(specifier: string): string {
  return resolve(specifier)
}

/** noble as rust-lib uses it. */
export function openNodeNoble(): Promise<Noble> {
  return openNoble((specifier) => import(pathToFileURL(pathOfModule(specifier)).href))
}

const hashWasm: HashWasm = { createSHA256, createSHA3 }

/** Buffers write strings; other byte arrays do not. Not in the types of Node, though it is in its documentation of old. */
type Latin1Writer = { latin1Write(text: string, at: number): number }

/** Every library's way to one digest after the other, `nodeHashers` first. */
export async function openHashers(digest: DigestName, noble: Noble): Promise<Hasher[]> {
  return [...nodeHashers(digest), ...(await sharedHashers(digest, noble, hashWasm))]
}

/** node:crypto's ways. The last is the fastest known: the digest comes as a string of 32 characters, for which V8 allocates least. */
export function nodeHashers(digest: DigestName): Hasher[] {
  return [
    { name: 'node createHash', hashTo: (message, target, at) => target.set(createHash(digest).update(message).digest(), at) },
    { name: 'node crypto.hash, buffer', hashTo: (message, target, at) => target.set(hash(digest, message, 'buffer'), at) },
    {
      name: 'node crypto.hash, latin1',
      hashTo: (message, target, at) => (target as unknown as Latin1Writer).latin1Write(hash(digest, message, 'binary'), at),
    },
  ]
}

/** A Buffer copies without making a view first. */
export const copyByBuffer: CopyLeaf = (leaves, from, to, message) => (leaves as Buffer).copy(message, 1, from, to)

/** The reference: RFC 6962, section 2.1, word by word, with createHash. */
export function referenceRoot(leaves: Uint8Array, leafBytes: number): Uint8Array {
  const count = leaves.length / leafBytes
  if (count === 1) return createHash('sha256').update(Uint8Array.of(0)).update(leaves).digest()
  let split = 1
  while (split * 2 < count) split *= 2
  return createHash('sha256')
    .update(Uint8Array.of(1))
    .update(referenceRoot(leaves.subarray(0, split * leafBytes), leafBytes))
    .update(referenceRoot(leaves.subarray(split * leafBytes), leafBytes))
    .digest()
}

const leafPrefix = Uint8Array.of(0)
const nodePrefix = Uint8Array.of(1)
const hashed = (parts: Uint8Array[]) => hash('sha256', Buffer.concat(parts), 'buffer')

function leafHashes(leaves: Uint8Array, leafBytes: number): Buffer[] {
  return Array.from({ length: leaves.length / leafBytes }, (_, index) =>
    hashed([leafPrefix, leaves.subarray(index * leafBytes, (index + 1) * leafBytes)]),
  )
}

/** merkletreejs, given RFC 6962's prefixes: it lets an odd node go up as it is, which is then the same tree. */
export function merkletreejsRoot(leaves: Uint8Array, leafBytes: number): Uint8Array {
  const concatenator = (nodes: Buffer[]) => Buffer.concat([nodePrefix, ...nodes])
  // Its types know no byte array that is not a Buffer, and none for the hash that they document.
  const sha256 = (bytes: unknown) => hash('sha256', bytes as Buffer, 'buffer')
  return new MerkleTree(leafHashes(leaves, leafBytes), sha256, { concatenator }).getRoot()
}

/**
 * OpenZeppelin's tree with SHA-256 instead of its keccak. Its shape is another: a heap, filled from the back, of sorted leaves. Unsorted and
 * with left and right exchanged it is RFC 6962's for a power of two of leaves, and for no other number.
 */
export function openZeppelinRoot(leaves: Uint8Array, leafBytes: number): Uint8Array {
  const bytesOf = (node: unknown) => Buffer.from((node as string).slice(2), 'hex')
  const tree = SimpleMerkleTree.of(leafHashes(leaves, leafBytes), {
    sortLeaves: false,
    nodeHash: (left, right) => `0x${hashed([nodePrefix, bytesOf(right), bytesOf(left)]).toString('hex')}`,
  })
  return bytesOf(tree.root)
}

/** A raw Ed25519 key as node:crypto wants it. */
export function keyObjectOf(publicKey: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') }, format: 'jwk' })
}

/** One verdict per signature by node:crypto; the keys are those of the signatures, imported before. */
export function verifyByNode(signed: readonly SignedMessage[], keys: readonly KeyObject[]): Uint8Array {
  return Uint8Array.from(signed, ({ message, signature }, index) =>
    verify(undefined, message, keys[index] as KeyObject, signature) ? 1 : 0,
  )
}

/** The same by node:crypto's own threads, all asked at once. */
export function verifyByNodeThreads(signed: readonly SignedMessage[], keys: readonly KeyObject[]): Promise<number[]> {
  return Promise.all(
    signed.map(
      ({ message, signature }, index) =>
        new Promise<number>((resolve, reject) =>
          verify(undefined, message, keys[index] as KeyObject, signature, (error, isGood) =>
            error ? reject(error) : resolve(isGood ? 1 : 0),
          ),
        ),
    ),
  )
}
