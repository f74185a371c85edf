// Crashes in the middle of paying out: wherever one happens, everybody gets what is theirs, once.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PaymentRail } from '../../lib/payments/payment-rail.ts'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooks } from '../../lib/settlement/close-books.ts'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { sendTransfers } from '../../lib/settlement/send-transfers.ts'
import { settleRentals } from '../../lib/settlement/settle-rentals.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 1_000 }, slotMs: 40 })
})
afterAll(() => market.close())

const faulty = ['signMovement', 'broadcast', 'findMovement', 'scanEscrow', 'feeAddress', 'payee'] as const
let interruptions = 0
type Fate = 'well' | 'before' | 'after'

/** The house with a rail that fails before or after the real call, and crash points that throw, as a script says. */
function failing(script: Fate[]) {
  const next = () => {
    const fate = script.shift() ?? 'well'
    if (fate !== 'well') interruptions++
    return fate
  }
  const rail: PaymentRail = { ...market.house.rail }
  for (const name of faulty) {
    const real = market.house.rail[name] as (...given: unknown[]) => unknown
    const isAsync = name !== 'feeAddress' && name !== 'payee'
    const run = (given: unknown[], fate: Fate) => {
      if (fate === 'before') throw new Error(`crash before ${name}`)
      const answer = real(...given)
      if (fate === 'well') return answer
      if (!isAsync) throw new Error(`crash after ${name}`)
      return (answer as Promise<unknown>).then(() => {
        throw new Error(`crash after ${name}`)
      })
    }
    ;(rail as Record<string, unknown>)[name] = isAsync
      ? async (...given: unknown[]) => run(given, next())
      : (...given: unknown[]) => run(given, next())
  }
  const crash = () => {
    if (next() !== 'well') throw new Error('crash between two statements')
  }
  return { ...market.house, rail, crash }
}

const chainTransfers = async (rentalId: string) =>
  market.sql(`select kind, amount_atoms, signature, status, external_id from transfer where rental_id = '${rentalId}'`)

test('however settlement is interrupted, and by two replicas at once: payout + fee + refund = prepaid, each transfer once', async () => {
  const fates = fc.array(fc.constantFrom<Fate>('well', 'well', 'before', 'after'), { minLength: 20, maxLength: 60, size: 'max' })
  await fc.assert(
    fc.asyncProperty(fates, fates, fc.integer({ min: 0, max: 600 }), async (one, two, seconds) => {
      const before = await market.balances()
      const { rental } = await market.rent()
      await market.until(rental.id, 'running')
      await market.advance(seconds * 1_000)
      await market.machine.use(rental.id, seconds)
      await market.stop(rental.id)
      await sendUnsentOrders(market.house)
      await market.idle()
      await market.idle()
      const replicas = [failing([...one]), failing([...two])]
      for (let round = 0; round < 12; round++) {
        await Promise.all(
          replicas.map(async (house) => {
            for (const verb of [scanEscrow, checkStatements, closeBooks, payOutEarnings, sendTransfers, settleRentals])
              await (verb as (house: unknown) => Promise<unknown>)(house).catch(() => 0)
          }),
        )
        await market.advance(20_000)
      }
      const giveUpAt = Date.now() + 60_000
      // A receipt does not wait for a payout that is late; the payout comes all the same.
      const isOpen = `(rental_id = '${rental.id}' and status <> 'confirmed')`
      const isDone = async () =>
        (await market.rental(rental.id)).state === 'settled' && (await market.sql(`select 1 from transfer where ${isOpen}`)).length === 0
      while (!(await isDone())) {
        if (Date.now() > giveUpAt) throw new Error('it never settles')
        await market.advance(301_000)
        await market.tick()
      }
      const settled = await market.rental(rental.id)
      const [payout, fee, refund] = [settled.payoutAtoms, settled.feeAtoms, settled.refundAtoms].map(BigInt) as [bigint, bigint, bigint]
      expect(payout + fee + refund).toBe(10_000n)
      const after = await market.balances()
      expect(after).toEqual({
        escrow: before.escrow,
        fee: before.fee + fee,
        provider: before.provider + payout,
        renter: before.renter - 10_000n + refund,
      })
      const transfers = await chainTransfers(rental.id)
      expect(new Set(transfers.map(({ kind, external_id }) => `${kind}:${external_id}`)).size).toBe(transfers.length)
      expect(transfers.every(({ status }) => status === 'confirmed')).toBe(true)
      expect(await market.ledger()).toEqual(emptyBooks)
    }),
    { numRuns: 20 },
  )
  expect(interruptions).toBeGreaterThan(100)
}, 240_000)
