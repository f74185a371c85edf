// For tests: a good statement of some records with random content, and what it is made of.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { Engine } from './engine.ts'
import { billFigures } from './price.ts'
import { type Bill, encodeRecord, encodeStatement, firstPrevHash, leafHash, type SignedRecord } from './statement.ts'

export type MadeStatement = { statement: Uint8Array; bill: Omit<Bill, 'recordCount'>; records: SignedRecord[] }

const startedAt = 1_767_225_600_000

/** A statement of `count` records of a minute each; the last is final. */
export function madeStatement(count: number, engine: Pick<Engine, 'digests'>): MadeStatement {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const id = (prefix: string) => `${prefix}_${randomBytes(16).toString('hex')}`
  const [rentalId, nodeId] = [id('rnt'), id('nod')]
  const records: SignedRecord[] = []
  let prevHash = firstPrevHash
  for (let seq = 1; seq <= count; seq += 1) {
    const [fromSecond, toSecond] = [60 * (seq - 1), 60 * seq]
    const at = startedAt + 1000 * toSecond
    const record = encodeRecord({ rentalId, nodeId, epoch: 1, seq, fromSecond, toSecond, at, prevHash, final: seq === count })
    const hash = leafHash(record)
    records.push({ record, signature: new Uint8Array(sign(null, hash, privateKey)) })
    prevHash = Buffer.from(hash).toString('hex')
  }
  const terms = {
    units: 2,
    priceAtomsPerHour: 1_800_000n,
    minutes: count + 5,
    feeBps: 500,
    startedAt,
    endedAt: startedAt + 60_000 * count + 500,
    prepaidAtoms: 60_000n * BigInt(count + 5),
  }
  const bill = {
    ...terms,
    ...billFigures({ ...terms, lastSecond: 60 * count }),
    rentalId,
    nodeId,
    nodePublicKey: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
    offerId: id('ofr'),
    epoch: 1,
    endReason: 'exited' as const,
    currency: 'USDC' as const,
  }
  return { statement: encodeStatement({ bill, records }, engine), bill, records }
}
