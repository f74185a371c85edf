// Receipts made by a test itself: a node's own key, its signed records, the statement, the transfers and the anchor, all of it right.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { newId } from '@flow402/protocol/id'
import { billedSeconds, chargeAtoms, prepaidAtoms, splitPrepaid } from '@flow402/protocol/money'
import { type AnchoredReceipt, canonicalJson, digestedPart } from '@flow402/protocol/receipt'
import type { Engine } from '@flow402/rust-lib/engine'
import {
  type Bill,
  decodeStatement,
  encodeRecord,
  encodeStatement,
  firstPrevHash,
  leafHash,
  type SignedRecord,
} from '@flow402/rust-lib/statement'

const startedAt = Date.parse('2026-11-01T08:00:00.250Z')

/** A receipt with everything a test may want to change and put together again. */
export type Planted = {
  receipt: AnchoredReceipt
  bill: Omit<Bill, 'recordCount'>
  records: SignedRecord[]
  sign: (record: Uint8Array) => Uint8Array
}

/**
 * A settled rental of `records` records of a minute each, stopped with the last of them. It is paid out alone, or with the rentals of
 * `neighbours` (roots in hex) behind it.
 */
export function plantReceipt(engine: Engine, options: { records?: number; minutes?: number; neighbours?: string[] } = {}): Planted {
  const { records: count = 5, minutes = Math.max(10, count), neighbours = [] } = options
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const signLeaf = (record: Uint8Array) => new Uint8Array(sign(null, leafHash(record), privateKey))
  const [rentalId, nodeId] = [newId('rental'), newId('node')]
  const meteredSeconds = count * 60
  const [units, priceAtomsPerHour, feeBps] = [2, 600_000n, 500]
  const billed = billedSeconds(meteredSeconds, count > 0, minutes * 60)
  const prepaid = prepaidAtoms(units, priceAtomsPerHour, minutes * 60)
  const bill = {
    rentalId,
    nodeId,
    nodePublicKey: new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url')),
    offerId: newId('offer'),
    epoch: count > 0 ? 1 : 0,
    units,
    priceAtomsPerHour,
    minutes,
    feeBps,
    startedAt: count > 0 ? startedAt : 0,
    endedAt: startedAt + meteredSeconds * 1000 + 400,
    endReason: count > 0 ? ('stopped' as const) : ('start_failed' as const),
    currency: 'USDC' as const,
    meteredSeconds,
    billedSeconds: billed,
    prepaidAtoms: prepaid,
    ...splitPrepaid(prepaid, chargeAtoms(units, priceAtomsPerHour, billed), feeBps),
  }
  const records = chain(bill, count, signLeaf)
  return { receipt: receiptOf(engine, { bill, records, neighbours }), bill, records, sign: signLeaf }
}

function chain(bill: Omit<Bill, 'recordCount'>, count: number, signLeaf: Planted['sign']): SignedRecord[] {
  const records: SignedRecord[] = []
  let prevHash = firstPrevHash
  for (let seq = 1; seq <= count; seq += 1) {
    const { rentalId, nodeId, epoch } = bill
    const [fromSecond, toSecond] = [60 * (seq - 1), 60 * seq]
    const at = startedAt + toSecond * 1000
    const record = encodeRecord({ rentalId, nodeId, epoch, seq, fromSecond, toSecond, at, prevHash, final: seq === count })
    records.push({ record, signature: signLeaf(record) })
    prevHash = hex(leafHash(record))
  }
  return records
}

/** The receipt that says what the bill says, with a digest that fits: what an honest market would give, or a clever liar. */
export function receiptOf(
  engine: Engine,
  { bill, records, neighbours = [] }: { bill: Omit<Bill, 'recordCount'>; records: SignedRecord[]; neighbours?: string[] },
): AnchoredReceipt {
  const bytes = encodeStatement({ bill, records }, engine)
  const root = hex(decodeStatement(bytes).root)
  const [market, renter, provider] = ['MarketEscrow1111', 'Renter1111', 'Provider1111']
  const last = records.at(-1)
  const moved = (kind: 'payout' | 'fee' | 'refund', to: string, atoms: bigint) =>
    atoms === 0n ? [] : [{ kind, amountAtoms: atoms.toString(), from: market, to, transaction: `${kind}-transaction` }]
  const body: AnchoredReceipt = {
    version: 2,
    rentalId: bill.rentalId,
    network: 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1',
    asset: 'TestUsdc1111',
    terms: {
      offerId: bill.offerId,
      nodeId: bill.nodeId,
      nodePublicKey: Buffer.from(bill.nodePublicKey).toString('base64url'),
      units: bill.units,
      perUnit: { ramMb: 1024, cpuMillis: 250, diskMb: 1024 },
      minutes: bill.minutes,
      priceAtomsPerHour: bill.priceAtomsPerHour.toString(),
      currency: bill.currency,
      feeBps: bill.feeBps,
    },
    startedAt: bill.startedAt === 0 ? null : new Date(bill.startedAt).toISOString(),
    endedAt: new Date(bill.endedAt).toISOString(),
    endReason: bill.endReason,
    usage: {
      records: records.length,
      epoch: bill.epoch,
      head: last ? hex(leafHash(last.record)) : null,
      root,
      meteredSeconds: bill.meteredSeconds,
      billedSeconds: bill.billedSeconds,
    },
    prepaidAtoms: bill.prepaidAtoms.toString(),
    chargedAtoms: bill.chargedAtoms.toString(),
    payoutAtoms: bill.payoutAtoms.toString(),
    feeAtoms: bill.feeAtoms.toString(),
    refundAtoms: bill.refundAtoms.toString(),
    transfers: [
      {
        kind: 'charge',
        amountAtoms: bill.prepaidAtoms.toString(),
        from: renter,
        to: market,
        transaction: 'charge-transaction',
        paymentId: newId('payment'),
      },
      ...moved('payout', provider, bill.payoutAtoms),
      ...moved('fee', 'Fee1111', bill.feeAtoms),
      ...moved('refund', renter, bill.refundAtoms),
    ],
    digest: '',
    statement: Buffer.from(bytes).toString('base64'),
    anchor: bill.payoutAtoms === 0n ? null : anchorOf(engine, root, neighbours),
  }
  return digested(body)
}

function anchorOf(engine: Engine, root: string, neighbours: string[]): NonNullable<AnchoredReceipt['anchor']> {
  const transaction = 'payout-transaction'
  if (neighbours.length === 0) return { transaction, root, size: 1, index: 0, proof: [] }
  const leaves = new Uint8Array(Buffer.from([root, ...neighbours].join(''), 'hex'))
  const proof = hex(engine.merkleProof(leaves, 32, 0)).match(/.{64}/g) ?? []
  return { transaction, root: hex(engine.merkleRoot(leaves, 32)), size: 1 + neighbours.length, index: 0, proof }
}

/** The same receipt with the digest that it should have. */
export function digested(receipt: AnchoredReceipt): AnchoredReceipt {
  return {
    ...receipt,
    digest: createHash('sha256')
      .update(canonicalJson(digestedPart(receipt)))
      .digest('hex'),
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex')
}
