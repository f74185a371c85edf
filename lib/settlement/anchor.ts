// Anchors: what the memo of a payout says of the statements behind it, and how one of them is found in that. Pure.
import type { ReceiptAnchor } from '@flow402/protocol/receipt'
import type { Engine } from '@flow402/rust-lib/engine'

const hashBytes = 32

/** Rentals and the roots (hex) of their statements. */
export type Roots = ReadonlyMap<string, string>

/** The root of the one rental, or the Merkle tree hash of all roots in the order of the rentals' ids; null without any. Hex. */
export function anchorOf(roots: Roots, engine: Pick<Engine, 'merkleRoot'>): string | null {
  const [first] = roots.values()
  if (first === undefined) return null
  return roots.size === 1 ? first : hex(engine.merkleRoot(leavesOf(roots), hashBytes))
}

/** Where a rental's root is in the tree of all: its place and the hashes that lead up from it; alone it needs none. */
export function placeIn(
  roots: Roots,
  rentalId: string,
  engine: Pick<Engine, 'merkleProof'>,
): Pick<ReceiptAnchor, 'size' | 'index' | 'proof'> {
  const index = [...roots.keys()].sort().indexOf(rentalId)
  if (index < 0) throw new RangeError(`${rentalId} is not among these rentals`)
  const proof = roots.size === 1 ? new Uint8Array() : engine.merkleProof(leavesOf(roots), hashBytes, index)
  const steps = Array.from({ length: proof.length / hashBytes }, (_, step) => hex(proof.subarray(step * hashBytes, (step + 1) * hashBytes)))
  return { size: roots.size, index, proof: steps }
}

function leavesOf(roots: Roots): Uint8Array {
  const ids = [...roots.keys()].sort()
  return Buffer.concat(ids.map((id) => Buffer.from(roots.get(id) ?? '', 'hex')))
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
