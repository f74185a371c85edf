// The proof of reserves, checked by whoever is owed something: from its own leaf up to the published root, with WebCrypto and nothing else.
import { leafBytes, nodeBytes, type ReserveProof, ReserveProof as Shape, type SumNode } from '@flow402/protocol/reserve'

/** One node on the way up, as it was computed: hash in hex, the sum below it in atoms. */
export type CheckedStep = { hash: string; sumAtoms: bigint }

/** `steps` are the leaf and every node above it, as far as the check came. */
export type ReserveVerdict = { isValid: true; steps: CheckedStep[] } | { isValid: false; reason: string; steps: CheckedStep[] }

/**
 * Recomputes a proof. Valid means: a sum of `liabilitiesAtoms` under `root` contains this leaf with this amount, and no sum on the way was
 * below zero or too small. `published` is what the market shows to everybody (GET /api/reserves): a proof that leads to another root
 * is not valid then.
 */
export async function verifyReserveProof(
  proof: ReserveProof,
  published?: { root: string; liabilitiesAtoms: string },
): Promise<ReserveVerdict> {
  const steps: CheckedStep[] = []
  const wrong = (reason: string): ReserveVerdict => ({ isValid: false, reason, steps })
  if (!Shape.safeParse(proof).success) return wrong('it is not a proof of reserves')
  const amountAtoms = BigInt(proof.leaf.amountAtoms)
  let node: SumNode = { hash: await sha256(leafBytes(proof.leaf.subject, amountAtoms)), sumAtoms: amountAtoms }
  steps.push({ hash: toHex(node.hash), sumAtoms: node.sumAtoms })
  for (const step of proof.path) {
    const neighbour: SumNode = { hash: fromHex(step.hash), sumAtoms: BigInt(step.sumAtoms) }
    const [left, right] = step.side === 'left' ? [neighbour, node] : [node, neighbour]
    node = { hash: await sha256(nodeBytes(left, right)), sumAtoms: left.sumAtoms + right.sumAtoms }
    steps.push({ hash: toHex(node.hash), sumAtoms: node.sumAtoms })
  }
  if (toHex(node.hash) !== proof.root) return wrong('the hashes do not lead to the root')
  if (node.sumAtoms !== BigInt(proof.liabilitiesAtoms)) return wrong('the sums do not lead to what is owed in all')
  if (published && published.root !== proof.root) return wrong('the root is not the one that is published')
  if (published && published.liabilitiesAtoms !== proof.liabilitiesAtoms) return wrong('the sum is not the one that is published')
  return { isValid: true, steps }
}

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
