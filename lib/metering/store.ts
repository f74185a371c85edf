// Usage in SQL: the node's signed records, insert-only, one row per (rental, epoch, seq).
import type { SignedUsage } from '@flow402/protocol/usage'
import type { Db, Tx } from '../db/client.ts'

/** The newest record of a rental: where the chain and the seconds stand. */
export type UsageHead = { seq: number; toSecond: number; hash: string; final: boolean }

export async function findUsageHead(db: Db | Tx, rentalId: string, epoch: number): Promise<UsageHead | undefined> {
  const row = await db
    .selectFrom('usage_record')
    .select(['seq', 'to_second', 'hash', 'final'])
    .where('rental_id', '=', rentalId)
    .where('epoch', '=', epoch)
    .orderBy('seq', 'desc')
    .executeTakeFirst()
  return row && { seq: row.seq, toSecond: row.to_second, hash: row.hash, final: row.final }
}

export async function addUsage(tx: Tx, { record, hash, signature }: SignedUsage, nowMs: number): Promise<void> {
  await tx
    .insertInto('usage_record')
    .values({
      rental_id: record.rentalId,
      epoch: record.epoch,
      seq: record.seq,
      from_second: record.fromSecond,
      to_second: record.toSecond,
      at_ms: BigInt(record.at),
      final: record.final,
      prev_hash: record.prevHash,
      hash,
      signature,
      received_at: new Date(nowMs),
    })
    .execute()
}
