// Statements over the API: no bill without one, its root on the chain, and whoever has a receipt can compute the bill anew.
import { createHash, randomBytes } from 'node:crypto'
import { AnchoredReceipt, canonicalJson, type EarlyReceipt, type Receipt } from '@flow402/protocol/receipt'
import type { Engine } from '@flow402/rust-lib/engine'
import { javascriptEngine } from '@flow402/rust-lib/javascript-engine'
import { nodePrimitives } from '@flow402/rust-lib/node-primitives'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { decodeStatement } from '@flow402/rust-lib/statement'
import { verifyReceipt } from '@flow402/sdk/verify-receipt'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { readHistory } from '../support/chain-history.ts'
import { checkMarket } from '../support/checker.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { providerBearer } from '../support/node-token.ts'
import { tickUntil } from '../support/settle-all.ts'

const adminToken = randomBytes(32).toString('base64url')
const admin = { authorization: `Bearer ${adminToken}` }
const day = 86_400_000

let market: TestHouse
let engines: Engine[]
beforeEach(async () => {
  engines = [await openEngine(), javascriptEngine(nodePrimitives)]
  market = await openTestHouse({
    terms: { unitsTotal: 40 },
    slotMs: 60,
    settings: () => ({ ADMIN_TOKEN: adminToken, PAYOUT_HOLD_SECONDS: '60' }),
  })
})
afterEach(async () => {
  vi.restoreAllMocks()
  await market.close()
})

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const bytesOf = (text: string) => Buffer.from(text, 'hex')

/** A rental that ran for `seconds` in two records and was stopped. */
async function stopped(seconds = 300): Promise<string> {
  const { rental } = await market.rent({ units: 2 })
  await market.until(rental.id, 'running')
  await market.advance(seconds * 1_000)
  await market.machine.use(rental.id, Math.floor(seconds / 2))
  await market.machine.use(rental.id, seconds)
  await market.stop(rental.id)
  return rental.id
}

async function settled(seconds?: number): Promise<string> {
  const id = await stopped(seconds)
  await untilSettled(id)
  return id
}
const untilSettled = (id: string) =>
  tickUntil(market, `${id} is settled`, async () => (await market.rental(id)).state === 'settled', { stepMs: 5_000 })

/** The payouts for these rentals are on finalized blocks. */
const untilPaid = (...ids: string[]) =>
  tickUntil(
    market,
    'all payouts are confirmed',
    async () =>
      (
        await market.sql(`select 1 from earning left join transfer on transfer.id = earning.transfer_id
          where earning.rental_id in (${ids.map((id) => `'${id}'`)}) and earning.amount_atoms > earning.disputed_atoms
            and transfer.status is distinct from 'confirmed'`)
      ).length === 0,
    { stepMs: 5_000 },
  )

async function receiptOf(id: string, query = ''): Promise<AnchoredReceipt> {
  const { status, body } = await market.ask('GET', `/api/rentals/${id}/receipt${query}`, undefined, market.bearer(id))
  expect(status).toBe(200)
  return AnchoredReceipt.parse(body)
}

/** The memo of a transaction as the chain has it. */
async function memoOf(transaction: string): Promise<string | null> {
  const history = await readHistory(market.chain.rpcUrl, market.addresses.escrow, market.env.usdcMint)
  return history.find(({ signature }) => signature === transaction)?.memos[0] ?? null
}

async function expectGood(receipt: Receipt): Promise<void> {
  for (const engine of engines) {
    const report = await verifyReceipt(receipt, engine, { memoOf })
    expect(report.checks.filter(({ outcome }) => outcome === 'failed')).toEqual([])
    expect(report).toMatchObject({ verdict: 'good', engine: engine.name })
  }
}

const auditWrong = async () => {
  const { body } = await market.ask('GET', '/api/admin/audit', undefined, admin)
  return (body.lines as { code: string; wrong: string[] }[]).flatMap(({ code, wrong }) => wrong.map((text) => [code, text]))
}

test('the statement of a rental holds in every engine, and the payout’s memo carries its root', async () => {
  const id = await settled(301)
  await untilPaid(id)
  const receipt = await receiptOf(id)
  const statement = Buffer.from(receipt.statement ?? '', 'base64')
  for (const engine of engines) {
    const verdict = engine.verifyStatement(statement)
    expect(verdict.ok && [verdict.records, hex(verdict.root)]).toEqual([receipt.usage.records, receipt.usage.root])
  }
  const { bill } = decodeStatement(statement)
  expect(bill).toMatchObject({ rentalId: id, units: 2, minutes: 10, recordCount: receipt.usage.records, endReason: 'stopped' })
  expect(bill.meteredSeconds).toBe(receipt.usage.meteredSeconds)
  expect([bill.prepaidAtoms, bill.chargedAtoms, bill.refundAtoms].map(String)).toEqual([
    receipt.prepaidAtoms,
    receipt.chargedAtoms,
    receipt.refundAtoms,
  ])
  // 2 units, 60,000 atoms an hour, some 301 s.
  expect(bill.chargedAtoms).toBe((120_000n * BigInt(bill.billedSeconds)) / 3_600n)
  expect(receipt.anchor).toMatchObject({ root: receipt.usage.root, size: 1, index: 0, proof: [] })
  const [transfer] = await market.sql(`select id from transfer where kind = 'payout' and external_id = '${id}'`)
  expect(await memoOf(receipt.anchor?.transaction ?? '')).toBe(`${transfer?.id} ${receipt.usage.root}`)
  await expectGood(receipt)

  const { digest, statement: _statement, anchor: _anchor, ...digested } = receipt
  expect(createHash('sha256').update(canonicalJson(digested)).digest('hex')).toBe(digest)
  const alone = await market.api.request(`http://market.test/api/rentals/${id}/statement`, { headers: market.bearer(id) })
  expect(alone.headers.get('content-disposition')).toBe(`attachment; filename="${id}.f402"`)
  expect(Buffer.from(await alone.arrayBuffer()).equals(statement)).toBe(true)
  const { statement: _left, ...without } = receipt
  expect(await receiptOf(id, '?statement=false')).toEqual(without)
  expect(await auditWrong()).toEqual([])
})

test('a payout for three rentals carries one root over theirs, and each receipt proves its place in it', async () => {
  const provider = providerBearer(market, market.machine)
  await market.ask('POST', `/api/nodes/${market.machine.nodeId}/payouts`, { minAtoms: '28000', intervalSeconds: 0 }, provider)
  const ids = [await settled(300), await settled(310), await settled(320)]
  for (const id of ids) expect((await receiptOf(id, '?statement=false')).anchor).toBeNull()
  await market.advance(60_000)
  await untilPaid(...ids)
  const receipts = await Promise.all(ids.toReversed().map((id) => receiptOf(id)))
  const roots = receipts.toSorted((a, b) => (a.rentalId < b.rentalId ? -1 : 1)).map(({ usage }) => usage.root)
  for (const engine of engines) expect(hex(engine.merkleRoot(bytesOf(roots.join('')), 32))).toBe(receipts[0]?.anchor?.root)
  for (const receipt of receipts) {
    const { anchor, usage } = receipt
    expect([anchor?.size, anchor?.index]).toEqual([3, roots.indexOf(usage.root)])
    const proof = bytesOf((anchor?.proof ?? []).join(''))
    for (const engine of engines) {
      const isIn = (root: string) => engine.isIncluded(bytesOf(root), anchor?.index ?? 0, 3, proof, bytesOf(anchor?.root ?? ''))
      expect([isIn(usage.root), isIn('0'.repeat(64))]).toEqual([true, false])
    }
    expect((await memoOf(anchor?.transaction ?? ''))?.split(' ')[1]).toBe(anchor?.root)
    await expectGood(receipt)
  }
  expect(new Set(receipts.map(({ anchor }) => anchor?.transaction)).size).toBe(1)
  await checkMarket(market)
})

test('a changed record leaves the books open: nothing is paid on it, an alarm says why, and the audit fails until the rows are right again', async () => {
  const said = vi.spyOn(console, 'error').mockImplementation(() => undefined)
  const alarms = () => said.mock.calls.map(([line]) => JSON.parse(String(line))).filter(({ event }) => event === 'statement_refused')
  const id = await stopped()
  const [row] = await market.sql(`select hash, to_second from usage_record where rental_id = '${id}' and seq = 2`)
  const change = (second: number) =>
    market.sql(
      'set session_replication_role = replica',
      `update usage_record set to_second = ${second} where rental_id = '${id}' and seq = 2`,
    )
  await change(Number(row?.to_second) - 1)
  await tickUntil(market, 'it was checked', async () => alarms().length > 0, { stepMs: 5_000 })
  expect(alarms()).toEqual([expect.objectContaining({ rental: id, record: 2, fault: 'signature' })])
  const before = await market.balances()
  for (let beat = 0; beat < 4; beat++) {
    await market.advance(5_000)
    await market.tick()
  }
  // Said once, not with every beat; nothing has moved.
  expect(alarms()).toHaveLength(1)
  expect(await market.sql(`select status, books_closed_at from rental where id = '${id}'`)).toEqual([
    { status: 'ending', books_closed_at: null },
  ])
  expect(await market.sql('select 1 from transfer union all select 1 from earning')).toEqual([])
  expect(await market.balances()).toEqual(before)
  expect(await auditWrong()).toEqual([
    ['S1', expect.stringMatching(`1 statements do not hold, .* ${id} \\(record 2 fails the check "signature"\\)`)],
  ])
  expect((await market.ask('POST', '/api/payments/settle', { rentalId: id }, market.bearer(id))).status).toBe(202)
  await market.advance(31_000)
  await market.tick()
  expect(alarms()).toHaveLength(2)

  await change(Number(row?.to_second))
  await market.advance(120_000)
  await untilSettled(id)
  await untilPaid(id)
  await expectGood(await receiptOf(id))
  expect(await auditWrong()).toEqual([])
})

test('a record that is changed after the books closed is found out by whoever verifies the receipt', async () => {
  const id = await settled()
  const good = await receiptOf(id)
  await expectGood(good)
  await market.sql(
    'set session_replication_role = replica',
    `update usage_record set at_ms = at_ms + 1 where rental_id = '${id}' and seq = 1`,
  )
  const changed = await receiptOf(id)
  expect({ ...changed, statement: '' }).toEqual({ ...good, statement: '' })
  for (const engine of engines) {
    const report = await verifyReceipt(changed, engine)
    expect([report.verdict, report.wrongRecord, report.fault]).toEqual(['refused', 1, 'chain'])
  }
  await market.sql(
    'set session_replication_role = replica',
    `update usage_record set at_ms = at_ms - 1 where rental_id = '${id}' and seq = 1`,
  )
})

test('what a statement was made for is what is booked: figures that change before the books close are checked anew', async () => {
  const id = await stopped()
  await expect
    .poll(async () => {
      // Everything but the books.
      await sendUnsentOrders(market.house)
      await market.idle()
      await scanEscrow(market.house)
      return checkStatements(market.house, id)
    })
    .toBe(1)
  await market.sql(`update rental set minutes = 9 where id = '${id}'`)
  const statement = () => market.sql(`select minutes, checks from statement where rental_id = '${id}'`)
  expect(await statement()).toEqual([{ minutes: 10, checks: 1 }])
  expect(await checkStatements(market.house, id)).toBe(1)
  expect(await statement()).toEqual([{ minutes: 9, checks: 2 }])
  await market.sql(`update rental set minutes = 10 where id = '${id}'`)
  await untilSettled(id)
  await expectGood(await receiptOf(id))
  // From then on it stays, whoever asks.
  await expect(market.sql(`update statement set root = repeat('0', 64) where rental_id = '${id}'`)).rejects.toThrow('were closed on this')
  await expect(market.sql(`delete from statement where rental_id = '${id}'`)).rejects.toThrow('were closed on this')
})

test('what a dispute gives back later is paid under the same root once more', async () => {
  const id = await stopped()
  const books = `select 1 from rental where id = '${id}' and books_closed_at is not null`
  await tickUntil(market, 'the books are closed', async () => (await market.sql(books)).length === 1, { stepMs: 1_000 })
  const opened = await market.ask('POST', `/api/rentals/${id}/dispute`, { reason: 'It stood still half of the time.' }, market.bearer(id))
  expect(opened.status).toBe(201)
  await market.advance(60_000)
  await untilSettled(id)
  expect((await receiptOf(id)).anchor).toBeNull()
  await market.ask('POST', `/api/admin/disputes/${opened.body.id}/decide`, { refundBps: 0, note: 'it was not' }, admin)
  await untilPaid(id)
  const receipt = await receiptOf(id)
  expect(receipt.anchor).toMatchObject({ root: receipt.usage.root, size: 1 })
  expect((await memoOf(receipt.anchor?.transaction ?? ''))?.split(' ')[1]).toBe(receipt.usage.root)
})

test('a rental that never ran has a statement without records, and nothing to anchor', async () => {
  market.machine.startsAtOnce = false
  const { rental } = await market.rent()
  await market.until(rental.id, 'starting')
  await market.stop(rental.id)
  await untilSettled(rental.id)
  const receipt = await receiptOf(rental.id)
  expect(receipt.usage).toMatchObject({ records: 0, head: null, meteredSeconds: 0, billedSeconds: 0 })
  expect([receipt.chargedAtoms, receipt.anchor]).toEqual(['0', null])
  await expectGood(receipt)
})

test('a provider has all receipts of its machine within some time in one answer, and only its own', async () => {
  const path = `/api/nodes/${market.machine.nodeId}/receipts`
  const ids = [await settled(), await settled()]
  await market.advance(2 * day)
  const between = new Date(market.now() - day).toISOString()
  ids.push(await settled())
  const other = await market.addMachine({}, 'other')
  const provider = () => providerBearer(market, market.machine)
  const listed = async (query = '') => {
    const { status, text, headers } = await market.ask('GET', `${path}${query}`, undefined, provider())
    expect([status, headers.get('content-type')]).toEqual([200, 'application/x-ndjson'])
    return text
      .split('\n')
      .slice(0, -1)
      .map((line) => AnchoredReceipt.parse(JSON.parse(line)))
  }
  const all = await listed()
  expect(all.map(({ rentalId }) => rentalId)).toEqual(ids)
  for (const receipt of all) await expectGood(receipt)
  expect((await listed(`?from=${between}`)).map(({ rentalId }) => rentalId)).toEqual(ids.slice(2))
  expect((await listed(`?to=${between}`)).map(({ rentalId }) => rentalId)).toEqual(ids.slice(0, 2))
  expect(await listed(`?from=${between}&to=${between}`)).toEqual([])

  const client = market.client(provider().authorization.split(' ')[1])
  const one: string[] = []
  for await (const { rentalId } of client.eachReceipt({ params: { id: market.machine.nodeId } })) one.push(rentalId)
  expect(one).toEqual(ids)
  const statuses = await Promise.all(
    [{}, market.bearer(ids[0] ?? ''), providerBearer(market, other)].map(
      async (headers) => (await market.ask('GET', path, undefined, headers)).status,
    ),
  )
  expect(statuses).toEqual([401, 404, 404])
  expect((await market.ask('GET', `${path}?from=yesterday`, undefined, provider())).status).toBe(422)
})

test('usage from before there were statements settles as it did: a receipt of version 1, no statement, and a payout with its bare id', async () => {
  const id = await stopped()
  await market.sql(`update rental set usage_version = 1 where id = '${id}'`)
  await untilSettled(id)
  await untilPaid(id)
  const { body } = await market.ask('GET', `/api/rentals/${id}/receipt`, undefined, market.bearer(id))
  const receipt = body as unknown as EarlyReceipt
  expect(receipt).toMatchObject({ version: 1, usage: { records: 3 } })
  expect(Object.keys(receipt)).not.toContain('statement')
  expect(await market.ask('GET', `/api/rentals/${id}/statement`, undefined, market.bearer(id))).toMatchObject({
    status: 404,
    body: { code: 'no_statement' },
  })
  const payout = receipt.transfers.find(({ kind }) => kind === 'payout')
  const [transfer] = await market.sql(`select id, signature from transfer where kind = 'payout' and external_id = '${id}'`)
  expect(await memoOf(String(transfer?.signature))).toBe(transfer?.id)
  expect(payout?.transaction ?? transfer?.signature).toBe(transfer?.signature)
  expect(await auditWrong()).toEqual([])
})
