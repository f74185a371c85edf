// Every way to a Merkle root that bench:crypto knows in Node, by name.
import { openNodeEngines } from './engines.ts'
import { type Hasher, merkleRootBy } from './peers.ts'
import { copyByBuffer, merkletreejsRoot, openHashers, openNodeNoble, openZeppelinRoot } from './peers-node.ts'
import { madeBytes } from './rounds.ts'

/** One way to a root. `most`: how many leaves it is given at most; it must be a power of two where only that gives the same root. */
export type RootWay = { name: string; most?: number; rootOf: (leaves: Uint8Array, leafBytes: number) => Uint8Array }

export const openZeppelin = 'OpenZeppelin, sha256'

/** Every way, by name, for trees of `count` leaves; the process that measures memory alone opens them too. */
export async function openRootWays(count: number): Promise<RootWay[]> {
  const byHasher = ({ name, hashTo }: Hasher): RootWay => ({
    name,
    rootOf: (leaves, leafBytes) => merkleRootBy(hashTo, leaves, leafBytes, copyByBuffer, Buffer.alloc),
  })
  return [
    { name: openZeppelin, most: count > 100_000 ? 1 << 16 : 1 << 12, rootOf: openZeppelinRoot },
    { name: 'merkletreejs, sha256', rootOf: merkletreejsRoot },
    ...(await openHashers('sha256', await openNodeNoble())).map(byHasher),
    ...(await openNodeEngines()).map(({ name, engine }) => ({ name, rootOf: engine.merkleRoot.bind(engine) })),
  ]
}

/** Leaves for any way: a Buffer, which is also a Uint8Array. */
export function madeLeaves(count: number, leafBytes: number): Buffer {
  const { buffer, byteLength } = madeBytes(count * leafBytes)
  return Buffer.from(buffer, 0, byteLength)
}
