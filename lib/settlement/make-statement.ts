// Making a statement: the bill and the records of a rental as the bytes of docs/statement.md. Pure.
import { billedSeconds, type Split } from '@flow402/protocol/money'
import type { EndReason } from '@flow402/protocol/rental'
import type { Engine } from '@flow402/rust-lib/engine'
import { type Bill, type currencies, encodeRecord, encodeStatement, type SignedRecord } from '@flow402/rust-lib/statement'
import { clampSeconds } from '../metering/take-usage.ts'

/** What a statement needs of a rental: its frozen terms, its course in Unix ms, and its figures. `nodePublicKey` is base64url. */
export type StatedRental = {
  id: string
  nodeId: string
  nodePublicKey: string
  offerId: string
  epoch: number
  units: number
  priceAtomsPerHour: bigint
  minutes: number
  feeBps: number
  startedAtMs: number | null
  endedAtMs: number
  endReason: EndReason | null
  currency: string
  meteredSeconds: number
  prepaidAtoms: bigint
  split: Split
}

/** One record as it was taken in. `signature` is base64url. */
export type UsageRow = {
  seq: number
  fromSecond: number
  toSecond: number
  atMs: number
  final: boolean
  prevHash: string
  signature: string
}

/** What docs/statement.md says of the seconds: the last record's, within paid and passed time; 0 when it never ran. */
export function meteredSecondsOf(rental: Pick<StatedRental, 'startedAtMs' | 'endedAtMs' | 'minutes'>, usage: readonly UsageRow[]): number {
  return clampSeconds(rental, usage.at(-1)?.toSecond ?? 0, rental.endedAtMs)
}

/** The statement's bytes. A RangeError when something in the rows cannot be written; whether it holds is for the engine to say. */
export function makeStatement(rental: StatedRental, usage: readonly UsageRow[], engine: Pick<Engine, 'digests'>): Uint8Array {
  const bill: Omit<Bill, 'recordCount'> = {
    rentalId: rental.id,
    nodeId: rental.nodeId,
    nodePublicKey: Buffer.from(rental.nodePublicKey, 'base64url'),
    offerId: rental.offerId,
    epoch: rental.epoch,
    units: rental.units,
    priceAtomsPerHour: rental.priceAtomsPerHour,
    minutes: rental.minutes,
    feeBps: rental.feeBps,
    startedAt: rental.startedAtMs ?? 0,
    endedAt: rental.endedAtMs,
    endReason: rental.endReason ?? 'stopped',
    currency: rental.currency as (typeof currencies)[number],
    meteredSeconds: rental.meteredSeconds,
    billedSeconds: billedSeconds(rental.meteredSeconds, rental.startedAtMs !== null, rental.minutes * 60),
    prepaidAtoms: rental.prepaidAtoms,
    ...rental.split,
  }
  const records = usage.map(
    ({ seq, fromSecond, toSecond, atMs, final, prevHash, signature }): SignedRecord => ({
      record: encodeRecord({
        rentalId: rental.id,
        nodeId: rental.nodeId,
        epoch: rental.epoch,
        seq,
        fromSecond,
        toSecond,
        at: atMs,
        prevHash,
        final,
      }),
      signature: Buffer.from(signature, 'base64url'),
    }),
  )
  return encodeStatement({ bill, records }, engine)
}
