// Asks an engine every question of the vectors, wherever it runs: also in a page, where there is no test runner.
import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js'
import type { Engine } from '../js/engine.ts'
import type { Vectors } from './format.ts'

/** What an engine answers otherwise than the vectors: the section and the example of each. Empty where all is well. */
export function differences(engine: Engine, vectors: Vectors): string[] {
  const found: string[] = []
  const compare = (example: string, answer: unknown, expected: unknown) => {
    if (JSON.stringify(answer) !== JSON.stringify(expected)) found.push(`${example}: ${JSON.stringify(answer)}`)
  }
  const hashOf = (hash: Uint8Array) => bytesToHex(hash)

  for (const { digest, message, hash } of vectors.digests) {
    const bytes = hexToBytes(message)
    compare(`${digest} of ${message}`, hashOf(engine.digests(digest, bytes, Uint32Array.of(bytes.length))), hash)
  }
  const signed = vectors.signatures.map(({ publicKey, message, signature }) => ({
    publicKey: hexToBytes(publicKey),
    message: hexToBytes(message),
    signature: hexToBytes(signature),
  }))
  const verdicts = engine.verifySignatures(signed)
  vectors.signatures.forEach(({ name, isGood }, index) => {
    compare(`signature: ${name}`, verdicts[index] === 1, isGood)
  })
  for (const { count, leafBytes, leaves, root, inclusion, consistency } of vectors.trees) {
    const bytes = hexToBytes(leaves)
    const name = `tree of ${count} leaves`
    compare(name, hashOf(engine.merkleRoot(bytes, leafBytes)), root)
    inclusion.forEach((proof, index) => {
      compare(`${name}, leaf ${index}`, hashOf(engine.merkleProof(bytes, leafBytes, index)), proof)
    })
    consistency.forEach((proof, index) => {
      compare(`${name}, size ${index + 1}`, hashOf(engine.consistencyProof(bytes, leafBytes, index + 1)), proof)
    })
  }
  for (const { name, leaf, index, size, proof, root, isGood } of vectors.inclusions)
    compare(`inclusion: ${name}`, engine.isIncluded(hexToBytes(leaf), index, size, hexToBytes(proof), hexToBytes(root)), isGood)
  for (const { name, oldSize, oldRoot, newSize, newRoot, proof, isGood } of vectors.consistencies) {
    const isConsistent = engine.isConsistent(oldSize, hexToBytes(oldRoot), newSize, hexToBytes(newRoot), hexToBytes(proof))
    compare(`consistency: ${name}`, isConsistent, isGood)
  }
  for (const { quantities, prices, divisor, sum } of vectors.prices) {
    if (sum === null) continue
    const total = engine.sumPrices(BigUint64Array.from(quantities, BigInt), BigUint64Array.from(prices, BigInt), BigInt(divisor))
    compare(`prices up to ${sum}`, String(total), sum)
  }
  for (const { name, statement, verdict } of vectors.statements) {
    const found = engine.verifyStatement(hexToBytes(statement))
    const { ok } = found
    if (ok) compare(`statement: ${name}`, { ok, records: found.records, root: hashOf(found.root) }, verdict)
    else {
      const { fault, record, stated, computed } = found
      const figures = stated === undefined ? {} : { stated: String(stated), computed: String(computed) }
      compare(`statement: ${name}`, { ok, fault, record, ...figures }, verdict)
    }
  }
  return found
}
