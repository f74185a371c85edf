// Paid rentals per second: claim, submitted, complete, by the market's own verbs over a chain that answers at once, beside TPC-B.

import { randomBytes, randomUUID } from 'node:crypto'
import { newId } from '@flow402/protocol/id'
import { prepaidAtoms } from '@flow402/protocol/money'
import type { Quote } from '@flow402/protocol/payment'
import { runStatements } from '../__tests__/support/statements.ts'
import { type Db, openDatabase } from '../lib/db/client.ts'
import { sumAccounts } from '../lib/ledger/store.ts'
import { claimPayment } from '../lib/payments/claim-payment.ts'
import { type DecideDeps, decidePayment } from '../lib/payments/decide-payment.ts'
import type { BenchPostgres } from './bench-database.ts'
import { measure, type Run, ratio, summary } from './measure.ts'
import { openTpcB } from './tpc-b.ts'

/** One offer each: a market large enough for its indexes to matter. */
const nodes = 1_000
const pricePerHour = 60_000n
const minutes = 10
/** As long as the x402 payload of a transfer with its memo. */
const payloadBytes = 480

const nodeId = `'nod_' || md5('node' || n)`
const offerId = `'ofr_' || md5('offer' || n)`

/** What renting came to: every offer alike, and one offer that everybody wants. */
export type RentalFigures = { many: Run[]; hot: Run[]; tpcB: Run[]; scale: number }

/** Alternates TPC-B, rentals of many offers and rentals of one hot offer, `rounds` times for `seconds` each. */
export async function measureRentals(
  postgres: BenchPostgres,
  pgbench: string,
  options: { rounds: number; seconds: number; connections: number },
): Promise<RentalFigures> {
  const { rounds, seconds, connections } = options
  const url = await postgres.makeDatabase('bench_rentals', true)
  const offers = await seedMarket(url)
  const tpcB = await openTpcB(pgbench, await postgres.makeDatabase('bench_tpc_b', false), connections)
  const db = openDatabase(url, { max: connections })
  const figures: RentalFigures = { many: [], hot: [], tpcB: [], scale: tpcB.scale }
  try {
    const rentals = (from: string[]) => measure(postgres.pid, () => rentFor(db, from, seconds, connections))
    await rentFor(db, offers, 2, connections)
    await runStatements(url, 'analyze')
    await tpcB.run(2)
    for (let round = 0; round < rounds; round++) {
      figures.tpcB.push(await measure(postgres.pid, () => tpcB.run(seconds)))
      figures.many.push(await rentals(offers))
      figures.hot.push(await rentals(offers.slice(0, 1)))
    }
    await requireBooks(db, [...figures.many, ...figures.hot])
  } finally {
    await db.destroy()
  }
  return figures
}

/** A market of offers without end; answers their ids. */
async function seedMarket(url: string): Promise<string[]> {
  await runStatements(
    url,
    `insert into node (id, name, region, public_key, payout_address, status, created_at)
     select ${nodeId}, 'node ' || n, 'bench', md5('key' || n), md5('payout' || n), 'listed', now() from generate_series(1, ${nodes}) n`,
    `insert into offer (id, node_id, kind, units_total, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes, published, created_at)
     select ${offerId}, ${nodeId}, 'ram', 2000000000, 1024, 500, 2048, ${pricePerHour}, 1, 43200, true, now()
     from generate_series(1, ${nodes}) n`,
    'analyze node, offer',
  )
  return (await runStatements(url, 'select id from offer')).map((row) => String(row.id))
}

/** Rents until the time is over, as many at once as there are connections. */
async function rentFor(db: Db, offers: string[], seconds: number, connections: number): Promise<{ count: number }> {
  const until = performance.now() + seconds * 1000
  let count = 0
  const renter = async () => {
    for (; performance.now() < until; count++) await rentOnce(db, offers[Math.floor(Math.random() * offers.length)] ?? '')
  }
  await Promise.all(Array.from({ length: connections }, renter))
  return { count }
}

/** A chain on which every payment lands at once. */
const chain: DecideDeps['rail'] = {
  async settle(_charge, _payload, beforeBroadcast) {
    const signature = randomBytes(64).toString('base64url')
    await beforeBroadcast(signature)
    return { kind: 'landed', signature }
  },
  async findCharge(charge, signature) {
    return { kind: 'landed', signature: signature ?? '', payer: 'payer', amountAtoms: charge.amountAtoms }
  },
}

async function rentOnce(db: Db, offerId: string): Promise<void> {
  const amountAtoms = prepaidAtoms(1, pricePerHour, minutes * 60).toString()
  const terms = {
    offerId,
    units: 1,
    minutes,
    priceAtomsPerHour: pricePerHour.toString(),
    amountAtoms,
    currency: 'USDC',
    feeBps: 500,
  } as const
  const place = { payTo: 'escrow', asset: 'usdc', network: 'solana:bench' }
  const quote: Quote = {
    kind: 'rent',
    paymentId: newId('payment'),
    rentalId: newId('rental'),
    ...terms,
    ...place,
    requestDigest: '',
    exp: 0,
  }
  const payload = { x402Version: 2, accepted: place, payload: { transaction: randomBytes(payloadBytes).toString('base64') } }
  const accepted = { ...place, amount: amountAtoms }
  const proof = { quoteToken: '', messageHash: randomBytes(32).toString('hex'), payer: 'payer', accepted, payload }
  const deps = { db, now: Date.now, rail: chain, crash: () => undefined }
  const token = randomUUID()
  const claimed = await claimPayment(deps, quote, { offerId, units: 1, minutes }, proof, 1_000n, token)
  const decided = await decidePayment(deps, claimed, token)
  if (decided.status !== 'settled') throw new Error(`payment ${decided.id} is ${decided.status}: ${decided.lastError}`)
}

/** Every rental that was counted is in the books, once. */
async function requireBooks(db: Db, runs: Run[]): Promise<void> {
  const sums = await sumAccounts(db)
  const expected = BigInt(runs.reduce((sum, run) => sum + run.count, 0)) * prepaidAtoms(1, pricePerHour, minutes * 60)
  if (sums.escrow < expected || sums.escrow !== -sums.held) throw new Error(`the books hold ${sums.escrow} and owe ${sums.held}`)
}

/** The figures as lines of a table. */
export function rentalLines({ many, hot, tpcB, scale }: RentalFigures) {
  return [
    { what: `TPC-B, pgbench scale ${scale}`, ...summary(tpcB), ratio: 1, aim: '' },
    { what: `paid rentals, ${nodes} offers`, ...summary(many), ratio: ratio(many, tpcB), aim: '>= 0.5' },
    { what: 'paid rentals, one hot offer', ...summary(hot), ratio: ratio(hot, tpcB), aim: '' },
  ]
}
