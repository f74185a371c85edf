// Disputes over the API: what is held, who decides, and that no race and no edge moves an atom that is not accounted for.

import { randomBytes, verify } from 'node:crypto'
import type { Dispute, Evidence } from '@flow402/protocol/dispute'
import { encodeRecord, leafHash } from '@flow402/rust-lib/statement'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { publicKeyFromBase64url } from '../../lib/auth/market-keys.ts'
import { decideDueDisputes } from '../../lib/disputes/decide-dispute.ts'
import { openDispute } from '../../lib/disputes/open-dispute.ts'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { type Answered, openTestHouse, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'

const adminToken = randomBytes(32).toString('base64url')
const admin = { authorization: `Bearer ${adminToken}` }
const day = 86_400_000
const reason = 'It stood still half of the time.'
let market: TestHouse
const open = async (holdSeconds = 2 * 86_400, refundBps = 0) => {
  market = await openTestHouse({
    terms: { unitsTotal: 40 },
    settings: () => ({
      ADMIN_TOKEN: adminToken,
      PAYOUT_HOLD_SECONDS: String(holdSeconds),
      DISPUTE_DEFAULT_REFUND_BPS: String(refundBps),
    }),
  })
}
beforeEach(() => open())
afterEach(() => market.close())

/** A rental of ten minutes of which five were used: 10,000 paid, 5,000 charged, 4,750 earned. Its books are closed. */
async function ended(): Promise<string> {
  const { rental } = await market.rent({ minutes: 10 })
  await market.until(rental.id, 'running')
  await market.advance(300_000)
  await market.machine.use(rental.id, 300)
  await market.stop(rental.id)
  await expect
    .poll(async () => {
      await market.tick()
      return (await market.sql(`select books_closed_at from rental where id = '${rental.id}'`))[0]?.books_closed_at
    })
    .not.toBeNull()
  return rental.id
}

const dispute = (id: string, body: unknown = { reason }) => market.ask('POST', `/api/rentals/${id}/dispute`, body, market.bearer(id))
const decide = (id: unknown, refundBps: number, note = 'as seen') =>
  market.ask('POST', `/api/admin/disputes/${id}/decide`, { refundBps, note }, admin)
const asDispute = (answer: Answered) => answer.body as unknown as Dispute
const code = ({ status, body }: Answered) => [status, body.code]

async function expectCleanAudit(): Promise<void> {
  const { body } = await market.ask('GET', '/api/admin/audit', undefined, admin)
  const wrong = (body.lines as { code: string; wrong: string[] }[]).flatMap((line) => line.wrong.map((text) => `${line.code} ${text}`))
  expect(wrong).toEqual([])
}

/** Ticks until nothing is owed any more. */
async function untilPaid(): Promise<void> {
  await expect
    .poll(async () => {
      await market.advance(3_000)
      await market.tick()
      return (await market.sql(`select count(*)::int as n from transfer where status <> 'confirmed'`))[0]?.n
    })
    .toBe(0)
}

test('L5, L6: all of the payout is held, a part goes back to the wallet that paid and the rest to the provider, to the atom', async () => {
  const id = await ended()
  await untilPaid()
  const before = await market.balances()
  expect(before).toMatchObject({ escrow: 4_750n, provider: 0n })
  const opened = await dispute(id)
  expect(opened.status).toBe(201)
  expect(asDispute(opened)).toMatchObject({ rentalId: id, status: 'open', amountAtoms: '4750', heldAtoms: '4750', reason, refundBps: null })
  expect(await market.ledger()).toMatchObject({ escrow: 4_750n, disputed: -4_750n, provider: 0n, held: 0n, refund: 0n })
  await expectCleanAudit()

  // Held means held: long after the payout would have gone out.
  await market.advance(2 * day + 60_000)
  await untilPaid()
  expect((await market.balances()).provider).toBe(0n)

  const decided = await decide(asDispute(opened).id, 3_333)
  expect(decided.status).toBe(200)
  // floor(4750 x 3333 / 10000) = 1583
  expect(asDispute(decided)).toMatchObject({
    status: 'decided',
    decidedBy: 'admin',
    refundedAtoms: '1583',
    returnedAtoms: '3167',
    note: 'as seen',
  })
  expect(await market.ledger()).toMatchObject({ disputed: 0n, refund: -1_583n, provider: -3_167n })
  await expectCleanAudit()
  await untilPaid()
  await market.tick()
  await untilPaid()
  expect(await market.balances()).toEqual({ ...before, escrow: 0n, provider: 3_167n, renter: before.renter + 1_583n })
  await expectCleanAudit()

  const seen = asDispute(await market.ask('GET', `/api/rentals/${id}/dispute`, undefined, market.bearer(id)))
  expect(seen.refundTransaction).toMatch(/^[1-9A-HJ-NP-Za-km-z]{80,90}$/)
  expect(await decide(seen.id, 3_333).then(code)).toEqual([200, undefined])
  expect(await decide(seen.id, 3_334).then(code)).toEqual([409, 'dispute_decided'])
  expect(await dispute(id).then(code)).toEqual([409, 'dispute_exists'])
})

test('a part may be disputed; the other part goes out in time, and the receipt does not call the payout paid', async () => {
  const id = await ended()
  expect(await dispute(id, { reason, amountAtoms: '4751' }).then(code)).toEqual([422, 'invalid_request'])
  expect(asDispute(await dispute(id, { reason, amountAtoms: '750' }))).toMatchObject({ amountAtoms: '750', heldAtoms: '750' })
  await market.until(id, 'settled')
  const receipt = await market.ask('GET', `/api/rentals/${id}/receipt`, undefined, market.bearer(id))
  expect((receipt.body.transfers as { kind: string }[]).find(({ kind }) => kind === 'payout')).toMatchObject({
    amountAtoms: '4750',
    transaction: null,
  })
  await market.advance(2 * day)
  await market.tick()
  await untilPaid()
  expect((await market.balances()).provider).toBe(4_000n)
  await expectCleanAudit()
})

test('what has been paid out already cannot be held, and the answer says so', async () => {
  await market.close()
  await open(0)
  const id = await ended()
  await market.until(id, 'settled')
  await untilPaid()
  expect((await market.balances()).provider).toBe(4_750n)
  const opened = asDispute(await dispute(id))
  expect(opened).toMatchObject({ amountAtoms: '4750', heldAtoms: '0' })
  expect(asDispute(await decide(opened.id, 10_000))).toMatchObject({ refundedAtoms: '0', returnedAtoms: '0' })
  await untilPaid()
  expect((await market.balances()).escrow).toBe(0n)
  await expectCleanAudit()
})

test('a dispute is opened from the moment the books close until 24 hours after the end, once, and not about nothing', async () => {
  const { rental } = await market.rent({ minutes: 10 })
  expect(await dispute(rental.id).then(code)).toEqual([409, 'rental_cannot'])
  await market.until(rental.id, 'running')
  expect(await dispute(rental.id).then(code)).toEqual([409, 'rental_cannot'])
  await market.advance(120_000)
  await market.machine.use(rental.id, 120)
  await market.stop(rental.id)
  await market.sql(`update rental set usage_closed_at = null where id = '${rental.id}'`)
  const early = await dispute(rental.id)
  expect([...code(early), early.headers.get('retry-after')]).toEqual([409, 'books_open', '2'])
  await market.sql(`update rental set usage_closed_at = now() where id = '${rental.id}'`)
  await expect.poll(() => market.tick().then(async () => (await market.ledger()).provider)).not.toBe(0n)
  for (const wrong of [
    {},
    { reason: 'short' },
    { reason, amountAtoms: '0' },
    { reason, amountAtoms: '-1' },
    { reason, more: 1 },
    { reason: 'x'.repeat(2001) },
  ])
    expect((await dispute(rental.id, wrong)).status).toBe(422)

  const [row] = await market.sql(`select ended_at::timestamptz(3)::text as ended_at from rental where id = '${rental.id}'`)
  const endedAtMs = new Date(String(row?.ended_at)).getTime()
  const at = (ms: number) => openDispute({ db: market.house.db, now: () => endedAtMs + ms }, rental.id, { reason })
  await expect(at(day + 1)).rejects.toMatchObject({ code: 'dispute_too_late', extra: { until: new Date(endedAtMs + day).toISOString() } })
  expect(await at(day)).toMatchObject({ status: 'open', decideBy: new Date(endedAtMs + 4 * day).toISOString() })

  // One that never became ready is refunded in full: there is nothing to dispute.
  market.machine.startsAtOnce = false
  const free = await market.rent({ minutes: 10 })
  await market.until(free.rental.id, 'starting')
  await market.advance(601_000)
  await market.until(free.rental.id, 'settled')
  expect(await dispute(free.rental.id).then(code)).toEqual([409, 'rental_cannot'])
  await expectCleanAudit()
})

test('opening races with the payout: either it is held or it is paid, never both', async () => {
  const ids: string[] = []
  for (let n = 0; n < 4; n++) ids.push(await ended())
  const deps = { db: market.house.db, now: market.now }
  for (const id of ids) {
    const late = () => market.now() + 3 * day
    const answers = await Promise.allSettled([
      ...Array.from({ length: 5 }, () => openDispute(deps, id, { reason })),
      ...Array.from({ length: 5 }, () => payOutEarnings({ ...market.house, now: late })),
    ])
    const opened = answers.slice(0, 5).filter((answer) => answer.status === 'fulfilled') as PromiseFulfilledResult<Dispute>[]
    const refused = answers.slice(0, 5).filter((answer) => answer.status === 'rejected') as PromiseRejectedResult[]
    expect(opened).toHaveLength(1)
    expect(refused.map(({ reason: why }) => (why as { code: string }).code)).toEqual(Array(4).fill('dispute_exists'))
    const [earning] = await market.sql(`select transfer_id, disputed_atoms::int as disputed from earning where external_id = '${id}'`)
    expect(opened[0]?.value.heldAtoms).toBe(earning?.transfer_id === null ? '4750' : '0')
    expect(earning?.disputed).toBe(earning?.transfer_id === null ? 4_750 : 0)
    await expectCleanAudit()
  }
  await untilPaid()
  await expectCleanAudit()
})

test('decided by ten admins at once and by the deadline, a dispute is decided once and pays once', async () => {
  const ids = [await ended(), await ended()]
  await untilPaid()
  for (const id of ids) {
    const { id: disputeId } = asDispute(await dispute(id))
    const now = () => market.now() + 4 * day
    const [answers, late] = await Promise.all([
      Promise.all(Array.from({ length: 10 }, (_, n) => decide(disputeId, n * 1_000))),
      decideDueDisputes({ db: market.house.db, now, disputeDefaultRefundBps: 5_000 }),
    ])
    expect(answers.filter(({ status }) => status === 200).length + late).toBe(1)
    for (const answer of answers.filter(({ status }) => status !== 200)) expect(code(answer)).toEqual([409, 'dispute_decided'])
    const [booked] = await market.sql(
      `select count(*)::int as n from ledger_transaction where kind = 'dispute_close' and external_id = '${disputeId}'`,
    )
    expect(booked?.n).toBe(1)
    await expectCleanAudit()
  }
  await untilPaid()
  await expectCleanAudit()
})

test('D1: what nobody decides is decided by the deadline, with the market’s default', async () => {
  await market.close()
  await open(2 * 86_400, 2_500)
  const id = await ended()
  const { id: disputeId } = asDispute(await dispute(id))
  expect(await decideDueDisputes(market.house)).toBe(0)
  const listed = await market.ask('GET', '/api/admin/disputes', undefined, admin)
  expect((listed.body.items as Dispute[]).map((each) => each.id)).toEqual([disputeId])
  await market.advance(3 * day - 60_000)
  expect(await decideDueDisputes(market.house)).toBe(0)
  await market.advance(120_000)
  expect(await decideDueDisputes(market.house)).toBe(1)
  expect(await decideDueDisputes(market.house)).toBe(0)
  // floor(4750 / 4) = 1187
  expect(asDispute(await market.ask('GET', `/api/rentals/${id}/dispute`, undefined, admin))).toMatchObject({
    decidedBy: 'deadline',
    refundBps: 2_500,
    refundedAtoms: '1187',
    returnedAtoms: '3563',
    note: null,
  })
  expect((await market.ask('GET', '/api/admin/disputes', undefined, admin)).body).toEqual({ items: [], nextAfter: null })
  await expectCleanAudit()
})

test('renter, provider and admin see the same evidence, which anybody can check, and strangers cannot tell that there is a dispute', async () => {
  const id = await ended()
  const other = (await market.rent({ minutes: 10 })).rental.id
  const { id: disputeId } = asDispute(await dispute(id))
  const path = `/api/disputes/${disputeId}/evidence`
  const provider = providerBearer(market, market.machine)
  const answers = await Promise.all([market.bearer(id), provider, admin].map((headers) => market.ask('GET', path, undefined, headers)))
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
  const evidence = answers[0]?.body as unknown as Evidence
  expect(evidence.lease).toMatchObject({ rentalId: id, meteredSeconds: 300, endReason: 'stopped' })
  expect(evidence.usage.length).toBeGreaterThan(0)
  let before = '0'.repeat(64)
  for (const { record, hash, signature } of evidence.usage) {
    const digest = Buffer.from(leafHash(encodeRecord(record)))
    expect([record.prevHash, digest.toString('hex')]).toEqual([before, hash])
    expect(verify(null, digest, publicKeyFromBase64url(evidence.lease.nodePublicKey), Buffer.from(signature, 'base64url'))).toBe(true)
    before = hash
  }
  const walked = evidence.events.filter(({ noun }) => noun === 'rental').map(({ to }) => to)
  expect(walked.slice(0, 5)).toEqual(['requested', 'paid', 'starting', 'running', 'ending'])
  expect(evidence.events.filter(({ noun }) => noun === 'dispute').map(({ to }) => to)).toEqual(['open'])
  expect(evidence.payments).toMatchObject([{ state: 'settled', amountAtoms: '10000' }])
  expect(evidence.transfers.map(({ kind, amountAtoms }) => [kind, amountAtoms]).sort()).toEqual([
    ['fee', '250'],
    ['refund', '5000'],
  ])

  const stranger = await market.ask('GET', path, undefined, market.bearer(other))
  const nothing = await market.ask('GET', `/api/disputes/dsp_${'0'.repeat(32)}/evidence`, undefined, market.bearer(other))
  expect([code(stranger), code(nothing)]).toEqual([
    [404, 'dispute_not_found'],
    [404, 'dispute_not_found'],
  ])
  expect(stranger.text).toBe(nothing.text)
  expect((await market.ask('GET', path)).status).toBe(401)
  expect(await market.ask('GET', `/api/rentals/${other}/dispute`, undefined, market.bearer(other)).then(code)).toEqual([
    404,
    'dispute_not_found',
  ])
  expect(await market.ask('POST', `/api/rentals/${id}/dispute`, { reason }, provider).then(code)).toEqual([404, 'rental_not_found'])
  expect((await market.ask('POST', `/api/admin/disputes/${disputeId}/decide`, { refundBps: 0, note: 'mine' }, provider)).status).toBe(401)
})

test('the admin reads disputes page by page, oldest first', async () => {
  const opened: string[] = []
  for (let n = 0; n < 3; n++) opened.push(asDispute(await dispute(await ended())).id)
  const page = async (query: string) =>
    (await market.ask('GET', `/api/admin/disputes?${query}`, undefined, admin)).body as { items: Dispute[]; nextAfter: string | null }
  const first = await page('limit=2')
  expect([first.items.map(({ id }) => id), first.nextAfter]).toEqual([opened.slice(0, 2), opened[1]])
  const second = await page(`limit=2&after=${first.nextAfter}`)
  expect([second.items.map(({ id }) => id), second.nextAfter]).toEqual([opened.slice(2), null])
  expect((await page('status=decided')).items).toEqual([])
})
