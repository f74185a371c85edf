// The audit over everything that can happen to money: clean after each step, not only at the end.

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { sendUsdc } from '../support/send-usdc.ts'

const adminToken = randomBytes(32).toString('base64url')
const admin = { authorization: `Bearer ${adminToken}` }
let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 60, settings: () => ({ ADMIN_TOKEN: adminToken }) })
})
afterAll(() => market.close())

type Line = { code: string; holds: boolean; wrong: string[]; figure: string }
async function expectClean(): Promise<Map<string, string>> {
  const { status, body } = await market.ask('GET', '/api/admin/audit', undefined, admin)
  expect(status).toBe(200)
  const lines = body.lines as Line[]
  expect(lines.flatMap(({ code, wrong }) => wrong.map((text) => `${code} ${text}`))).toEqual([])
  return new Map(lines.map(({ code, figure }) => [code, figure]))
}

test('a rental that is extended, money that came for nothing, dust, and a payment that was never made leave every invariant whole', async () => {
  await expectClean()
  const { rental } = await market.rent({ minutes: 10 })
  await expectClean()
  await market.until(rental.id, 'running')
  await expectClean()

  const path = `/api/rentals/${rental.id}/extend`
  const quoted = await market.quote({ minutes: 5 }, path, market.bearer(rental.id))
  const extended = await market.pay({ minutes: 5 }, await market.sign(quoted), path, market.bearer(rental.id))
  expect(extended.status).toBe(200)
  await expectClean()

  const stranger = await market.wallet(1_000_000n)
  const place = { rpcUrl: market.chain.rpcUrl, usdcMint: market.env.usdcMint }
  await sendUsdc(place, stranger, { to: market.addresses.escrow, atoms: 500_000n })
  await sendUsdc(place, stranger, { to: market.addresses.escrow, atoms: 7n })
  await market.quote()
  await market.advance(120_000)
  await market.machine.use(rental.id, 120)
  await market.stop(rental.id)
  await expectClean()
  await expect
    .poll(async () => {
      await market.tick()
      await market.advance(3_000)
      await expectClean()
      const [open] = await market.sql(`select count(*)::int as n from transfer where status <> 'confirmed'`)
      const [paid] = await market.sql(`select count(*)::int as n from transfer`)
      return [paid?.n, open?.n]
    })
    .toEqual([5, 0])
  await market.until(rental.id, 'settled')
  expect((await market.ask('POST', '/api/admin/reserve-checks', undefined, admin)).body).toMatchObject({ differenceAtoms: '0' })

  const figures = await expectClean()
  expect(figures.get('P5')).toBe('1 unmatched 0.50, 1 given back 0.50, 1 dust 0.000007')
  expect(figures.get('L3')).toContain('escrow 0.000007, unmatched 0.000007')
  // 15 minutes paid, 120 s used: 60,000 x 120 / 3600 = 2,000 charged.
  expect(figures.get('L6')).toContain('0.013 refunded + 0.002 charged in 1 rental')
  expect(figures.get('R1')).toContain('0 of 40 units taken')
  expect(figures.get('L8')).toContain('chain 0.000007 = books 0.000007')
})
