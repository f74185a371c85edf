// A statement of as many 60-second records as one likes, hashed and signed by node:crypto alone, for bench:crypto.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import type { Engine } from '../../rust-lib/js/engine.ts'
import { billFigures, prepayAtoms } from '../../rust-lib/js/price.ts'
import { encodeRecord, encodeStatement, firstPrevHash, leafHash, recordBytes } from '../../rust-lib/js/statement.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** The reference that gives a statement its root: createHash, one message after the other. */
const referenceDigests: Engine['digests'] = (digest, bytes, lengths) => {
  let end = 0
  return Buffer.concat(
    Array.from(lengths, (length) => {
      end += length
      return createHash(digest)
        .update(bytes.subarray(end - length, end))
        .digest()
    }),
  )
}

/** A good statement of a rental that ran `count` minutes, one record each. */
export function madeStatement(count: number): Uint8Array {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const startedAt = Date.UTC(2026, 10, 1)
  const names = { rentalId: `rnt_${'1'.repeat(32)}`, nodeId: `nod_${'2'.repeat(32)}`, epoch: 1 }
  const records = new Uint8Array(recordBytes * count)
  let signature: Uint8Array | null = null
  let prevHash = firstPrevHash
  for (let index = 0; index < count; index += 1) {
    const toSecond = 60 * (index + 1)
    const at = startedAt + 1000 * toSecond
    const record = encodeRecord({ ...names, seq: index + 1, fromSecond: toSecond - 60, toSecond, at, prevHash, final: index + 1 === count })
    records.set(record, recordBytes * index)
    const leaf = leafHash(record, sha256)
    prevHash = Buffer.from(leaf).toString('hex')
    if (index + 1 === count) signature = sign(null, leaf, privateKey)
  }
  const terms = { units: 1, priceAtomsPerHour: 250_000n, minutes: count, feeBps: 250, startedAt, endedAt: startedAt + 60_000 * count }
  const prepaidAtoms = prepayAtoms(1n, terms.priceAtomsPerHour, BigInt(60 * count))
  const bill = {
    ...names,
    ...terms,
    ...billFigures({ ...terms, prepaidAtoms, lastSecond: 60 * count }),
    nodePublicKey: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
    offerId: `ofr_${'3'.repeat(32)}`,
    endReason: 'time_up' as const,
    currency: 'USDC' as const,
    prepaidAtoms,
  }
  return encodeStatement({ bill, records: { bytes: records, signature } }, { digests: referenceDigests })
}
