// Crashes in the middle of a payment: wherever they happen, and however many replicas work on it, it is paid once and buys one rental.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildApi } from '../../api/app.ts'
import type { PaymentRail } from '../../lib/payments/payment-rail.ts'
import { reconcilePayments } from '../../lib/payments/reconcile-payments.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 1_000 }, slotMs: 200 })
})
afterAll(() => market.close())

let interruptions = 0
type Fate = 'well' | 'before' | 'after'
const faulty = ['refusalOf', 'settle', 'findCharge', 'lastValidHeight'] as const

/** The house with a rail and crash points that fail as a script says. */
function failing(script: Fate[]) {
  const next = () => {
    const fate = script.shift() ?? 'well'
    if (fate !== 'well') interruptions++
    return fate
  }
  const rail: PaymentRail = { ...market.house.rail }
  for (const name of faulty) {
    const real = market.house.rail[name] as (...given: unknown[]) => Promise<unknown>
    ;(rail as Record<string, unknown>)[name] = async (...given: unknown[]) => {
      const fate = next()
      if (fate === 'before') throw new Error(`crash before ${name}`)
      const answer = await real(...given)
      if (fate === 'after') throw new Error(`crash after ${name}`)
      return answer
    }
  }
  const crash = () => {
    if (next() !== 'well') throw new Error('crash between two statements')
  }
  return { ...market.house, rail, crash }
}

test('however a payment is interrupted, and by two replicas at once: one payment, one rental, the same 201 in the end', async () => {
  const fates = fc.array(fc.constantFrom<Fate>('well', 'before', 'after'), { minLength: 4, maxLength: 24, size: 'max' })
  await fc.assert(
    fc.asyncProperty(fates, fates, async (one, two) => {
      const before = (await market.balances()).renter
      const quoted = await market.quote()
      const header = await market.sign(quoted)
      const replicas = [failing([...one]), failing([...two])]
      const send = async (api: { request: (request: Request) => Response | Promise<Response> }) =>
        (
          await api.request(
            new Request('http://market.test/api/rentals', {
              method: 'POST',
              headers: { 'content-type': 'application/json', 'payment-signature': header },
              body: JSON.stringify(quoted.request),
            }),
          )
        ).status
      let isAnswered = false
      const answers = Promise.all(replicas.map((house) => send(buildApi(house)))).finally(() => {
        isAnswered = true
      })
      // Every claim is taken out of every hand again and again, so that several work on it at once.
      const isOpen = `rental_id = '${quoted.paid.rentalId}' and status in ('claimed', 'submitted')`
      for (let round = 0; !isAnswered || round < 5 || (await market.sql(`select 1 from payment where ${isOpen}`)).length > 0; round++) {
        await market.sql(`update payment set work_until = null where ${isOpen}`)
        const hands = round < 5 ? replicas : [...replicas, market.house]
        await Promise.all(hands.map((house) => reconcilePayments(house).catch(() => 0)))
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
      for (const status of await answers) expect([201, 202, 500, 503]).toContain(status)
      const again = await market.pay(quoted.request, header)
      expect(again.status, again.text).toBe(201)
      expect(before - (await market.balances()).renter).toBe(10_000n)
      const [row] = await market.sql(
        `select (select count(*)::int from payment where rental_id = '${quoted.paid.rentalId}') as payments,
         (select count(*)::int from ledger_transaction where rental_id = '${quoted.paid.rentalId}') as charges`,
      )
      expect(row).toEqual({ payments: 1, charges: 1 })
      await market.stop(quoted.paid.rentalId)
      await market.until(quoted.paid.rentalId, 'settled')
    }),
    { numRuns: 20 },
  )
  expect(interruptions).toBeGreaterThan(40)
  expect(await market.ledger()).toEqual(emptyBooks)
  expect((await market.balances()).escrow).toBe(0n)
}, 240_000)
