// Faults 25, 26 and 62: what ends a rental ends it once, pays whom it must, and one that cannot be paid out holds nobody else up.
import { endpoints } from '@flow402/protocol/endpoints'
import { generateKeyPairSigner } from '@solana/kit'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { z } from 'zod'
import { buildApi } from '../../api/app.ts'
import { endDueRentals } from '../../lib/metering/end-due-rentals.ts'
import { inviteNode } from '../../lib/nodes/invite-node.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooks } from '../../lib/settlement/close-books.ts'
import { sendTransfers } from '../../lib/settlement/send-transfers.ts'
import { settleRentals } from '../../lib/settlement/settle-rentals.ts'
import { openHouse } from '../../lib/wiring.ts'
import { checkMarket, untilQuiet } from '../support/checker.ts'
import { fault, tally } from '../support/faults.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { linkTo, usualTerms } from '../support/machine.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 100 }, slotMs: 50 })
})
afterAll(() => market?.close())

const settleAll = async () => {
  await untilQuiet(market, {
    async meanwhile() {
      await market.advance(5_000)
      await market.tick()
    },
  })
  return checkMarket(market)
}

fault(25, 'a stop races with settlement and with the end of paid time', async () => {
  const second = await openHouse(market.env, 'second', linkTo(market.machines), market.now)
  const upSinceMs = market.now()
  const reasons: string[] = []
  const racers = ['stop', 'stop twice', 'machine', 'clock', 'settle', 'extend'] as const
  try {
    const orders = fc.shuffledSubarray([...racers], { minLength: 4 })
    await fc.assert(
      fc.asyncProperty(orders, fc.integer({ min: -2, max: 8 }), async (order, lateSeconds) => {
        const { rental } = await market.rent({ minutes: 1 })
        const { id } = rental
        await market.until(id, 'running')
        const path = `/api/rentals/${id}/extend`
        const more = await market.quote({ minutes: 1 }, path, market.bearer(id))
        const paid = { ...market.bearer(id), 'payment-signature': await market.sign(more) }
        await market.advance(60_000 + lateSeconds * 1_000)
        const api = buildApi(second)
        const stop = () => api.request(`http://market.test/api/rentals/${id}/stop`, { method: 'POST', headers: market.bearer(id) })
        const races: Record<(typeof racers)[number], () => Promise<unknown>> = {
          stop: () => market.stop(id),
          'stop twice': async () => Promise.all([stop(), stop(), market.stop(id)]),
          machine: () => market.machine.end(id, 'paid_until', { toSecond: 60 }),
          clock: async () => Promise.all([endDueRentals(market.house, upSinceMs), endDueRentals(second, upSinceMs)]),
          settle: async () => {
            for (const verb of [(house: typeof second) => checkStatements(house), closeBooks, sendTransfers, settleRentals])
              await Promise.all([verb(market.house), verb(second)])
          },
          extend: () => market.ask('POST', path, { minutes: 1 }, paid),
        }
        await Promise.all(order.map((name) => races[name]()))
        // The stop comes in any case, as late as it may.
        await market.stop(id)
        const settled = await market.until(id, 'settled')
        reasons.push(String(settled.endReason))
        const [payout, fee, refund] = [settled.payoutAtoms, settled.feeAtoms, settled.refundAtoms].map(BigInt) as [bigint, bigint, bigint]
        expect(payout + fee + refund).toBe(BigInt(settled.prepaidAtoms))
        const late = await Promise.all([market.stop(id), stop()])
        expect((await market.rental(id)).endReason).toBe(settled.endReason)
        expect(late.map(({ status }) => status)).toEqual([202, 202])
        expect(await market.sql(`select 1 from receipt where rental_id = '${id}'`)).toHaveLength(1)
      }),
      { numRuns: 15 },
    )
  } finally {
    await second.close()
  }
  const { settledRentals, landedOut } = await settleAll()
  return `${reasons.length} races, each ended once: ${tally(reasons)}; ${settledRentals} settled, ${landedOut} transfers, every sum closed`
})

fault(26, 'a hijacked session changes where a provider is paid', async () => {
  // Nobody can: only enrolment takes an address, and it takes it once per key.
  const takers = Object.entries(endpoints).filter(
    ([, endpoint]) => 'body' in endpoint && /payout/i.test(JSON.stringify(z.toJSONSchema(endpoint.body))),
  )
  expect(takers.map(([name]) => name)).toEqual(['enrolNode'])
  const thief = await generateKeyPairSigner()
  const refusals: string[] = []
  const enrol = async (token: string, publicKey: string) => {
    const { status, body } = await market.ask('POST', '/api/nodes/enrol', {
      token,
      publicKey,
      name: 'desk',
      region: 'test',
      payoutAddress: thief.address,
      offer: usualTerms,
    })
    refusals.push(`${status} ${body.code}`)
  }
  await enrol(await inviteNode(market.house.db, { nowMs: market.now() }), market.machine.publicKey)
  await enrol('a token that nobody gave', market.machine.publicKey)
  expect(new Set(refusals)).toEqual(new Set(['403 enrolment_refused']))

  // And even whoever could write it would not change what is rented already.
  const { rental } = await market.rent()
  await market.until(rental.id, 'running')
  await market.advance(300_000)
  await market.machine.use(rental.id, 300)
  const [node] = await market.sql(`select payout_address as address from node where id = '${market.machine.nodeId}'`)
  await market.sql(`update node set payout_address = '${thief.address}' where id = '${market.machine.nodeId}'`)
  await market.stop(rental.id)
  const settled = await market.until(rental.id, 'settled')
  await market.sql(`update node set payout_address = '${node?.address}' where id = '${market.machine.nodeId}'`)
  expect(await market.usdcOf(thief.address)).toBe(0n)
  expect(BigInt(settled.payoutAtoms)).toBeGreaterThan(0n)
  await settleAll()
  return `no door changes it (only ${takers.map(([name]) => name)} takes an address; again with the same key ${tally(refusals)}); a running rental pays its frozen address: thief 0 atoms, provider ${settled.payoutAtoms}`
})

fault(62, 'a job that always fails', async () => {
  const poisoned = await market.addMachine({ unitsTotal: 1 }, 'poisoned')
  const { rental } = await market.rent({ offerId: poisoned.offerId })
  await market.until(rental.id, 'running')
  await market.advance(60_000)
  await poisoned.use(rental.id, 60)
  // An address that no transfer can be signed for.
  await market.sql(`update rental set payout_address = 'not-an-address' where id = '${rental.id}'`)
  await market.stop(rental.id)
  const others: string[] = []
  let looks = 0
  for (let round = 0; round < 6; round++) {
    const other = await market.rent()
    await market.until(other.rental.id, 'running')
    await market.stop(other.rental.id)
    others.push((await market.until(other.rental.id, 'settled')).state)
    await market.advance(60_000)
    await market.tick()
    looks++
  }
  const payout = `select transfer_id from earning where external_id = '${rental.id}'`
  const [stuck] = await market.sql(`select status::text, last_error, amount_atoms::text as atoms from transfer where id in (${payout})`)
  expect(stuck).toMatchObject({ status: 'owed', last_error: expect.stringMatching(/.+/) })
  const [owed] = await market.sql(
    `select sum(amount_atoms)::text as atoms from ledger_entry where account = 'provider' and subject = '${rental.id}'`,
  )
  expect(owed?.atoms).toBe(`-${stuck?.atoms}`)
  await checkMarket(market, { isQuiet: false })
  // Mended by hand, it flows like the others.
  await market.sql(
    `update rental set payout_address = '${market.addresses.provider}' where id = '${rental.id}'`,
    `update transfer set destination = '${market.addresses.provider}', work_until = null where id in (${payout})`,
    `update earning set payout_address = '${market.addresses.provider}' where external_id = '${rental.id}'`,
  )
  await settleAll()
  return `tried in ${looks} rounds, stays owed and visible (${stuck?.atoms} atoms); meanwhile ${tally(others)}; settled once it was mended`
})
