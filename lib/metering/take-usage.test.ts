// Usage as it comes in: many records at once get the verdicts that each would get alone, and count for exactly as much.
import { generateKeyPairSync, sign } from 'node:crypto'
import { newId } from '@flow402/protocol/id'
import type { SignedUsage, UsageRecord } from '@flow402/protocol/usage'
import type { Engine } from '@flow402/rust-lib/engine'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { encodeRecord, firstPrevHash, leafHash } from '@flow402/rust-lib/statement'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { runStatements } from '../../__tests__/support/statements.ts'
import { type Db, openDatabase } from '../db/client.ts'
import { takeUsage, type UsageVerdict } from './take-usage.ts'

const startedAtMs = 1_790_000_000_000
const nowMs = startedAtMs + 3_600_000
const now = () => nowMs
const [key, stranger] = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')]
const nodeId = newId('node')
const offerId = newId('offer')

let database: Awaited<ReturnType<typeof freshDatabase>>
let db: Db
let engine: Engine
beforeAll(async () => {
  database = await freshDatabase()
  db = openDatabase(database.url, { max: 4 })
  engine = await openEngine()
  const publicKey = String(key.publicKey.export({ format: 'jwk' }).x)
  await runStatements(
    database.url,
    `insert into node (id, name, region, public_key, payout_address, created_at) values ('${nodeId}', 'n', 'r', '${publicKey}', 'a', now())`,
    `insert into offer (id, node_id, kind, units_total, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes, created_at)
     values ('${offerId}', '${nodeId}', 'ram', 9, 1, 1, 1, 60000, 1, 1000, now())`,
  )
})
afterAll(async () => {
  await db.destroy()
  await database.drop()
})

/** A rental that has run for one hour. */
async function plantRental(status: 'running' | 'ending', minutes = 100): Promise<string> {
  const id = newId('rental')
  await runStatements(
    database.url,
    `insert into rental (id, offer_id, node_id, status, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour,
       currency, fee_bps, payout_address, env, epoch, created_at, started_at, ended_at)
     values ('${id}', '${offerId}', '${nodeId}', '${status}', 1, ${minutes}, 1000, 'ram', 1, 1, 1, 60000, 'USDC', 500, 'a', '{}', 1, now(),
       to_timestamp(${startedAtMs / 1000}), ${status === 'ending' ? `to_timestamp(${nowMs / 1000})` : 'null'})`,
  )
  return id
}

type Altered = { record?: Partial<UsageRecord>; hash?: string; signature?: string; by?: typeof key; again?: boolean }

/** The chain of a rental, a record a minute; what is altered at a place is altered there only, and what follows continues the true one. */
function chainOf(rentalId: string, length: number, altered: ReadonlyMap<number, Altered>): SignedUsage[] {
  const usages: SignedUsage[] = []
  let prevHash = firstPrevHash
  for (let seq = 1; seq <= length; seq++) {
    const true_ = {
      rentalId,
      nodeId,
      epoch: 1,
      seq,
      fromSecond: (seq - 1) * 60,
      toSecond: seq * 60,
      at: nowMs,
      prevHash,
      final: seq === length,
    }
    const change = altered.get(seq)
    const record = { ...true_, ...change?.record }
    const leaf = leafHash(encodeRecord(record))
    const signature = sign(null, leaf, (change?.by ?? key).privateKey).toString('base64url')
    const usage = { record, hash: Buffer.from(leaf).toString('hex'), signature, ...pick(change) }
    usages.push(usage)
    if (change?.again) usages.push(usage)
    // A wrong record in the way of the chain is passed over by the next one only when the node tells the true one after it.
    const trueLeaf = leafHash(encodeRecord(true_))
    if (change && !change.again) {
      const trueSignature = sign(null, trueLeaf, key.privateKey).toString('base64url')
      usages.push({ record: true_, hash: Buffer.from(trueLeaf).toString('hex'), signature: trueSignature })
    }
    prevHash = Buffer.from(trueLeaf).toString('hex')
  }
  return usages
}
const pick = (change: Altered | undefined) => ({
  ...(change?.hash === undefined ? {} : { hash: change.hash }),
  ...(change?.signature === undefined ? {} : { signature: change.signature }),
})

const figures = async (rentalId: string) =>
  runStatements(
    database.url,
    `select metered_seconds, usage_closed_at is not null as closed,
       (select count(*) from usage_record where rental_id = rental.id) as records from rental where id = '${rentalId}'`,
  )

const wrongs: [string, Altered][] = [
  ['signed by somebody else', { by: stranger }],
  ['with a signature that is none', { signature: 'AAAA' }],
  ['with another hash', { hash: 'a'.repeat(64) }],
  ['with a hole in the sequence', { record: { seq: 9 } }],
  ['that came before', { record: { seq: 1 } }],
  ['with another chain', { record: { prevHash: 'f'.repeat(64) } }],
  ['with a hole in the seconds', { record: { fromSecond: 200, toSecond: 300 } }],
  ['of another epoch', { record: { epoch: 2 } }],
  ['of another rental', { record: { rentalId: newId('rental') } }],
  ['under another machine’s name', { record: { nodeId: newId('node') } }],
  ['longer than anything runs', { record: { toSecond: 400_000_000 } }],
  ['told twice', { again: true }],
]
test.each(wrongs)(
  'a batch with one record %s in the middle gets the verdicts and the seconds that one by one would get',
  async (_, wrong) => {
    for (const status of ['running', 'ending'] as const) {
      const [together, alone] = [await plantRental(status), await plantRental(status)]
      const altered = new Map([[4, wrong]])
      const batch = await takeUsage({ db, now, engine }, nodeId, chainOf(together, 7, altered))
      const each: UsageVerdict[] = []
      for (const usage of chainOf(alone, 7, altered)) each.push(...(await takeUsage({ db, now, engine }, nodeId, [usage])))
      expect(batch).toEqual(each)
      expect(new Set(batch.map(({ kind }) => kind)).size).toBe(2)
      expect(await figures(together)).toEqual(await figures(alone))
      expect(await figures(together)).toMatchObject([{ metered_seconds: 420, closed: status === 'ending', records: '7' }])
    }
  },
)

test('a record that breaks the chain takes all that follow it with it, in a batch as alone', async () => {
  const rentalId = await plantRental('running')
  const chain = chainOf(rentalId, 7, new Map())
  const broken = chain.filter((_, index) => index !== 3)
  const kinds = (await takeUsage({ db, now, engine }, nodeId, broken)).map(({ kind }) => kind)
  expect(kinds).toEqual(['added', 'added', 'added', 'refused', 'refused', 'refused'])
  expect(await figures(rentalId)).toMatchObject([{ metered_seconds: 180, records: '3' }])
  // Told from where it broke, everything counts after all; told again, nothing changes.
  expect((await takeUsage({ db, now, engine }, nodeId, chain)).map(({ kind }) => kind)).toEqual([
    ...Array(3).fill('known'),
    ...Array(4).fill('added'),
  ])
  const after = await figures(rentalId)
  expect((await takeUsage({ db, now, engine }, nodeId, chain)).map(({ kind }) => kind)).toEqual(Array(7).fill('known'))
  expect(await figures(rentalId)).toEqual(after)
})

test('M3: a batch that comes over two connections at once is in once', async () => {
  const rentalId = await plantRental('ending')
  const chain = chainOf(rentalId, 20, new Map())
  const told = await Promise.all([1, 2, 3].map(() => takeUsage({ db, now, engine }, nodeId, chain)))
  const added = told.flat().filter(({ kind }) => kind === 'added')
  expect(added).toHaveLength(20)
  expect(await figures(rentalId)).toMatchObject([{ metered_seconds: 1200, closed: true, records: '20' }])
})

test('the signatures of a batch are checked in one call, before anything is locked', async () => {
  const rentalIds = [await plantRental('running'), await plantRental('running')]
  const mixed = rentalIds.flatMap((rentalId) => chainOf(rentalId, 5, new Map()))
  const calls: number[] = []
  const counting: Pick<Engine, 'verifySignatures'> = {
    verifySignatures(signed) {
      calls.push(signed.length)
      return engine.verifySignatures(signed)
    },
  }
  const verdicts = await takeUsage({ db, now, engine: counting }, nodeId, mixed)
  expect(calls).toEqual([10])
  expect(verdicts.every(({ kind }) => kind === 'added')).toBe(true)
})

test('a machine that writes more records than the paid time has room for is not listened to any more', async () => {
  const rentalId = await plantRental('running', 1)
  const kinds = (await takeUsage({ db, now, engine }, nodeId, chainOf(rentalId, 104, new Map()))).map(({ kind }) => kind)
  expect([kinds.lastIndexOf('added'), kinds.indexOf('refused')]).toEqual([101, 102])
})

test('usage of a machine that nobody knows is refused', async () => {
  const rentalId = await plantRental('running')
  const [verdict] = await takeUsage({ db, now, engine }, newId('node'), chainOf(rentalId, 1, new Map()))
  expect(verdict).toEqual({ kind: 'refused', reason: 'not a rental of this node' })
})
