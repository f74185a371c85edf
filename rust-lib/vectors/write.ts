// Writes vectors.json: node rust-lib/vectors/write.ts. The same bytes every time; a test holds the file to it.
import { writeFileSync } from 'node:fs'
import type { DigestVector, Vectors } from './format.ts'
import { addressVectors, paymentProofVectors, priceVectors } from './payments.ts'
import { nistSha3, nistSha256 } from './published.ts'
import { signatureVectors } from './signatures.ts'
import { recordVectors, statementVectors } from './statements.ts'
import { consistencyVectors, inclusionVectors, treeVectors } from './trees.ts'

export const vectorsFile = new URL('../vectors.json', import.meta.url)

const digestVectors: DigestVector[] = [
  ...nistSha256.map(([message, hash]) => ({ digest: 'sha256' as const, message, hash })),
  ...nistSha3.map(([message, hash]) => ({ digest: 'sha3-256' as const, message, hash })),
]

const vectors: Vectors = {
  about: 'Examples for docs/statement.md, written by rust-lib/vectors/write.ts. Bytes are hex, large numbers are decimal texts.',
  digests: digestVectors,
  signatures: signatureVectors,
  trees: treeVectors,
  inclusions: inclusionVectors,
  consistencies: consistencyVectors,
  prices: priceVectors,
  records: recordVectors,
  statements: statementVectors,
  paymentProofs: paymentProofVectors,
  addresses: addressVectors,
}

/** The text of vectors.json, laid out as the formatter wants it: arrays on one line where they fit. */
export function writtenVectors(): string {
  return `${laidOut(vectors, '', 0)}\n`
}

function laidOut(value: unknown, indent: string, column: number): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const inner = `${indent}  `
  if (!Array.isArray(value)) {
    const fields = Object.entries(value).map(([name, field]) => {
      const start = `${inner}${JSON.stringify(name)}: `
      return `${start}${laidOut(field, inner, start.length)}`
    })
    return `{\n${fields.join(',\n')}\n${indent}}`
  }
  const line = `[${value.map((item) => JSON.stringify(item)).join(', ')}]`
  if (value.every((item) => typeof item !== 'object') && column + line.length < 140) return line
  return `[\n${value.map((item) => `${inner}${laidOut(item, inner, inner.length)}`).join(',\n')}\n${indent}]`
}

if (import.meta.main) writeFileSync(vectorsFile, writtenVectors())
