// The proof of reserves: everybody who is owed something finds itself in the sum, and nobody can be shown a smaller one.

import { leafBytes, nodeBytes, type ReserveProof } from '@flow402/protocol/reserve'
import { verifyReserveProof } from '@flow402/sdk/reserve-proof'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { leavesOf, type Owed, pathOf, rootOf, treeOf } from './sum-tree.ts'

const owedList = fc.uniqueArray(
  fc.record({ subject: fc.string({ minLength: 1, maxLength: 40 }), amountAtoms: fc.bigInt({ min: 1n, max: 10n ** 15n }) }),
  { minLength: 1, maxLength: 40, selector: ({ subject }) => subject },
)

function proofOf(owed: Owed[], position: number): ReserveProof {
  const leaves = leavesOf(owed)
  const tree = treeOf(leaves)
  const { root, sumAtoms } = rootOf(tree)
  const leaf = leaves[position] as (typeof leaves)[number]
  return {
    snapshotId: '1',
    root,
    liabilitiesAtoms: sumAtoms.toString(),
    leaf: { subject: leaf.subject, amountAtoms: leaf.amountAtoms.toString() },
    path: pathOf(tree, position),
  }
}

test('every leaf proves itself, and the proven sum is the sum of all', async () => {
  await fc.assert(
    fc.asyncProperty(owedList, async (owed) => {
      const sum = owed.reduce((total, { amountAtoms }) => total + amountAtoms, 0n)
      for (let position = 0; position < owed.length; position++) {
        const proof = proofOf(owed, position)
        expect(proof.liabilitiesAtoms).toBe(sum.toString())
        expect(await verifyReserveProof(proof)).toMatchObject({ isValid: true })
      }
    }),
    { numRuns: 60 },
  )
})

/** Every text that a proof commits to, as a place that can be read and written. */
function places(proof: ReserveProof): { get: () => string; set: (text: string) => void }[] {
  const place = <T extends Record<K, string>, K extends string>(object: T, key: K) => ({
    get: () => object[key] as string,
    set: (text: string) => {
      ;(object as Record<string, string>)[key] = text
    },
  })
  return [
    place(proof, 'root'),
    place(proof, 'liabilitiesAtoms'),
    place(proof.leaf, 'subject'),
    place(proof.leaf, 'amountAtoms'),
    ...proof.path.flatMap((step) => [place(step, 'hash'), place(step, 'sumAtoms')]),
  ]
}

test('any changed bit makes the proof fail', async () => {
  await fc.assert(
    fc.asyncProperty(owedList, fc.nat(), fc.nat(), fc.nat(), fc.integer({ min: 0, max: 7 }), async (owed, whose, where, at, bit) => {
      const proof = proofOf(owed, whose % owed.length)
      const all = places(proof)
      const place = all[where % all.length] as (typeof all)[number]
      const before = place.get()
      const index = at % before.length
      const changed = before.slice(0, index) + String.fromCharCode(before.charCodeAt(index) ^ (1 << bit)) + before.slice(index + 1)
      place.set(changed)
      expect((await verifyReserveProof(proof)).isValid).toBe(false)
    }),
    { numRuns: 500 },
  )
})

test('a neighbour on the other side, a step left out and a step too many fail', async () => {
  await fc.assert(
    fc.asyncProperty(
      owedList.filter((owed) => owed.length > 1),
      fc.nat(),
      fc.nat(),
      async (owed, whose, where) => {
        const turned = proofOf(owed, whose % owed.length)
        const step = turned.path[where % turned.path.length] as (typeof turned.path)[number]
        step.side = step.side === 'left' ? 'right' : 'left'
        expect((await verifyReserveProof(turned)).isValid).toBe(false)
        const shorter = proofOf(owed, whose % owed.length)
        shorter.path.splice(where % shorter.path.length, 1)
        expect((await verifyReserveProof(shorter)).isValid).toBe(false)
        const longer = proofOf(owed, whose % owed.length)
        longer.path.push({ side: 'left', hash: '0'.repeat(64), sumAtoms: '0' })
        expect((await verifyReserveProof(longer)).isValid).toBe(false)
      },
    ),
  )
})

test('a sum that was made smaller anywhere, even with the total made smaller with it, fails', async () => {
  await fc.assert(
    fc.asyncProperty(
      owedList.filter((owed) => owed.length > 1),
      fc.nat(),
      fc.nat(),
      fc.bigInt({ min: 1n, max: 10n ** 15n }),
      async (owed, whose, where, less) => {
        const proof = proofOf(owed, whose % owed.length)
        const step = proof.path[where % proof.path.length] as (typeof proof.path)[number]
        const shrink = less % BigInt(step.sumAtoms)
        fc.pre(shrink > 0n)
        step.sumAtoms = (BigInt(step.sumAtoms) - shrink).toString()
        proof.liabilitiesAtoms = (BigInt(proof.liabilitiesAtoms) - shrink).toString()
        expect((await verifyReserveProof(proof)).isValid).toBe(false)
      },
    ),
  )
})

test('a proof that leads to another root than the published one fails, however right it is in itself', async () => {
  const proof = proofOf([{ subject: 'rnt_a', amountAtoms: 5n }], 0)
  const published = { root: proof.root, liabilitiesAtoms: '5' }
  expect(await verifyReserveProof(proof, published)).toMatchObject({ isValid: true })
  expect(await verifyReserveProof(proof, { ...published, root: 'ab'.repeat(32) })).toMatchObject({ isValid: false })
  expect(await verifyReserveProof(proof, { ...published, liabilitiesAtoms: '6' })).toMatchObject({ isValid: false })
})

test('a leaf cannot pass for a node nor one subject for another, and the bytes are those that the documents say', () => {
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
  const tag = (text: string) => Buffer.from(text).toString('hex')
  expect(hex(leafBytes('rnt_1', 258n))).toBe(`${tag('flow402-reserve-leaf-1')}00000005${tag('rnt_1')}${'102'.padStart(32, '0')}`)
  const node = (byte: number, sumAtoms: bigint) => ({ hash: new Uint8Array(32).fill(byte), sumAtoms })
  expect(hex(nodeBytes(node(1, 1n), node(2, 2n)))).toBe(
    `${tag('flow402-reserve-node-1')}${'01'.repeat(32)}${'1'.padStart(32, '0')}${'02'.repeat(32)}${'2'.padStart(32, '0')}`,
  )
  expect(() => leafBytes('x', -1n)).toThrow(RangeError)
  expect(() => nodeBytes(node(1, (1n << 128n) - 1n), node(2, 1n))).toThrow(RangeError)
})

test('nothing owed is a root of zeros and a sum of nothing', () => {
  expect(rootOf(treeOf(leavesOf([])))).toEqual({ root: '0'.repeat(64), sumAtoms: 0n })
})
