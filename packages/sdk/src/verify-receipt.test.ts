// Tests of the receipt's check: what is right is found right in every part, and whoever changed something is told what and where.
import { createHash } from 'node:crypto'
import { canonicalJson } from '@flow402/protocol/receipt'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { decodeRecord, encodeRecord } from '@flow402/rust-lib/statement'
import { beforeAll, expect, test } from 'vitest'
import { digested, type Planted, plantReceipt, receiptOf } from '../../../__tests__/support/planted-receipt.ts'
import type { CheckName, ReceiptReport } from './receipt-report.ts'
import { verifyReceipt, verifyStatementFile } from './verify-receipt.ts'

type Engine = Awaited<ReturnType<typeof openEngine>>
let engine: Engine
let planted: Planted
beforeAll(async () => {
  engine = await openEngine()
  planted = plantReceipt(engine)
})

const failedOf = ({ checks }: ReceiptReport): CheckName[] => checks.filter(({ outcome }) => outcome === 'failed').map(({ name }) => name)
const textOf = ({ checks }: ReceiptReport, name: CheckName) => checks.find((check) => check.name === name)?.text ?? ''
const check = (value: unknown) => verifyReceipt(value, engine)
const bytesOf = (receipt: { statement?: string | undefined }) => Buffer.from(receipt.statement ?? '', 'base64')
const hashes = (count: number) => Array.from({ length: count }, (_, index) => createHash('sha256').update(String(index)).digest('hex'))

test('a receipt that is right is good, and every check says so with its figures', async () => {
  const report = await check(planted.receipt)
  expect(report.checks.map(({ name, outcome }) => [name, outcome])).toEqual(
    ['receipt', 'digest', 'statement', 'agreement', 'records', 'bill', 'root', 'payments', 'transfers', 'anchor'].map((name) => [
      name,
      'ok',
    ]),
  )
  expect(report).toMatchObject({
    verdict: 'good',
    engine: engine.name,
    rentalId: planted.receipt.rentalId,
    records: 5,
    chargedAtoms: '100000',
    wrongRecord: null,
    fault: null,
  })
  expect(textOf(report, 'bill')).toBe('300 seconds at 2 × $0.60 per hour make $0.100000, with $0.005000 of fee in it; $0.100000 go back.')
  expect(textOf(report, 'anchor')).toContain(`payout-transaction ends in ${planted.receipt.usage.root}`)
})

test('a rental that never ran is good without a record, without a payout and without an anchor', async () => {
  const { receipt } = plantReceipt(engine, { records: 0 })
  const report = await check(receipt)
  expect(report.verdict).toBe('good')
  expect(textOf(report, 'anchor')).toContain('Nothing was earned')
})

test.each([1, 2, 5, 8])('a payout for %i rentals more anchors this one by its proof, and no other', async (more) => {
  const { receipt } = plantReceipt(engine, { neighbours: hashes(more) })
  expect((await check(receipt)).verdict).toBe('good')
  const anchor = receipt.anchor as NonNullable<typeof receipt.anchor>
  for (const change of [
    { root: '0'.repeat(64) },
    { index: anchor.index + 1 },
    { size: anchor.size * 4 },
    { size: 2 ** 40, index: 1 },
    { proof: anchor.proof.slice(1) },
    { proof: [...anchor.proof, '0'.repeat(64)] },
    { transaction: 'another' },
    { size: 1, index: 0, proof: [] },
  ])
    expect(failedOf(await check({ ...receipt, anchor: { ...anchor, ...change } }))).toEqual(['anchor'])
  expect(failedOf(await check({ ...receipt, anchor: null }))).toEqual(['anchor'])
})

test('a payout that is still owed is no fault, and the anchor waits for it', async () => {
  const transfers = planted.receipt.transfers.map((line) => (line.kind === 'payout' ? { ...line, transaction: null } : line))
  const report = await check(digested({ ...planted.receipt, transfers, anchor: null }))
  expect(report.verdict).toBe('good')
  expect(textOf(report, 'transfers')).toContain('owed')
  expect(textOf(report, 'anchor')).toContain('was not paid yet')
})

test('each byte of the statement matters: one flipped bit anywhere is refused, and one in a record names that record', async () => {
  const bytes = bytesOf(planted.receipt)
  for (let at = 0; at < bytes.length; at += 1) {
    const changed = Buffer.from(bytes)
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
    const report = await check({ ...planted.receipt, statement: changed.toString('base64') })
    expect(report.verdict, `byte ${at}`).toBe('refused')
    const inRecords = at >= 176 && at < bytes.length - 32
    if (inRecords) {
      // The signature is the last record's.
      const position = Math.min(5, 1 + Math.floor((at - 176) / 93))
      expect([report.wrongRecord, textOf(report, 'records')], `byte ${at}`).toEqual([
        position,
        expect.stringMatching(new RegExp(`^Record ${position} of 5 .+\\.$`)),
      ])
    } else expect(failedOf(report).length, `byte ${at}`).toBeGreaterThan(0)
  }
})

test('the text of the statement is read in one way only', async () => {
  const { receipt } = plantReceipt(engine, { records: 4 })
  const text = receipt.statement ?? ''
  expect(text).toMatch(/[^=]=$/)
  for (const statement of [text.replace(/=$/, ''), `${text.slice(0, -2)}${String.fromCharCode(text.charCodeAt(text.length - 2) + 1)}=`]) {
    const report = await check({ ...receipt, statement })
    expect(failedOf(report)).toEqual(['statement'])
  }
  for (const statement of ['', ' ', '_-_-', 'ä', `${text}====`])
    expect(failedOf(await check({ ...receipt, statement }))).toEqual(['receipt'])
  expect(failedOf(await check({ ...receipt, statement: 'AAAA' }))).toEqual(['statement'])
})

test('one changed figure of the receipt breaks its digest, and a new digest does not hide it', async () => {
  const { receipt } = planted
  const changes: [change: Partial<typeof receipt>, named: CheckName[], says: string][] = [
    [{ chargedAtoms: '100001' }, ['agreement'], 'The receipt says chargedAtoms 100001, its statement says 100000.'],
    [{ rentalId: `rnt_${'0'.repeat(32)}` }, ['agreement'], 'rentalId'],
    [{ startedAt: null }, ['agreement'], 'startedAt never'],
    [{ endedAt: '2026-11-02T00:00:00Z' }, ['agreement'], 'endedAt 2026-11-02T00:00:00.000Z'],
    [{ endReason: 'time_up' }, ['agreement'], 'endReason'],
    [{ terms: { ...receipt.terms, feeBps: 501 } }, ['agreement'], 'terms.feeBps 501'],
    [{ terms: { ...receipt.terms, nodePublicKey: 'A'.repeat(43) } }, ['agreement'], 'terms.nodePublicKey'],
    [{ usage: { ...receipt.usage, records: 4 } }, ['agreement'], 'usage.records 4'],
    [{ usage: { ...receipt.usage, head: '0'.repeat(64) } }, ['agreement'], 'usage.head'],
    [{ usage: { ...receipt.usage, head: null } }, ['agreement'], 'usage.head none'],
    [{ usage: { ...receipt.usage, root: '0'.repeat(64) } }, ['agreement', 'anchor'], 'usage.root'],
    [{ prepaidAtoms: '200001' }, ['agreement', 'payments', 'transfers'], 'prepaidAtoms 200001'],
    [{ payoutAtoms: '95001' }, ['agreement', 'transfers'], 'payoutAtoms 95001'],
    [{ feeAtoms: '4999' }, ['agreement', 'transfers'], 'feeAtoms 4999'],
    [{ refundAtoms: '0' }, ['agreement', 'transfers'], 'refundAtoms 0'],
  ]
  for (const [change, named, says] of changes) {
    expect(failedOf(await check({ ...receipt, ...change }))).toEqual(['digest', ...named])
    const report = await check(digested({ ...receipt, ...change }))
    expect(failedOf(report)).toEqual(named)
    expect(textOf(report, 'agreement')).toContain(says)
  }
  expect(failedOf(await check({ ...receipt, network: 'elsewhere' }))).toEqual(['digest'])
})

test('an attacker who writes bill, statement and digest anew is refused by the arithmetic or by the records', async () => {
  const { bill, records } = planted
  const dearer = receiptOf(engine, {
    records,
    bill: { ...bill, chargedAtoms: 160_000n, feeAtoms: 8_000n, payoutAtoms: 152_000n, refundAtoms: 40_000n },
  })
  const report = await check(dearer)
  expect(failedOf(report)).toEqual(['bill'])
  expect(report.checks.find(({ name }) => name === 'bill')).toMatchObject({
    stated: '160000',
    computed: '100000',
    text: 'The bill charges $0.160000, but the billed time costs $0.100000 at the agreed price.',
  })
  const longer = receiptOf(engine, { records, bill: { ...bill, meteredSeconds: 360, billedSeconds: 360 } })
  expect(textOf(await check(longer), 'bill')).toContain(
    'counts 360 s of use, but the signed records, the paid time and the market’s clock give 300 s',
  )
})

test('records that are swapped, dropped, doubled, stolen or signed by somebody else are named', async () => {
  const { bill, records } = planted
  const [first, second, third, ...rest] = records
  const last = records.at(-1)
  if (!first || !second || !third || !last) throw new Error('the receipt has too few records')
  const other = plantReceipt(engine)
  const forged = encodeRecord({ ...decodeRecord(second.record), toSecond: 3600 })
  const stolen = other.records[2] ?? third
  const foreign = encodeRecord({ ...decodeRecord(second.record), rentalId: other.bill.rentalId })
  const wrongs: [list: typeof records, record: number, fault: string, says: RegExp][] = [
    [[first, third, second, ...rest], 3, 'chain', /is not the one that record 4/],
    [[first, third, ...rest], 1, 'chain', /is not the one that record 2/],
    [[second, third, ...rest], 1, 'sequence', /calls itself number 2/],
    [[first, first, second, third, ...rest], 1, 'chain', /is not the one that record 2/],
    [[...records, ...records.slice(-1)], 5, 'chain', /is not the one that record 6/],
    [[...records.slice(0, -1), { ...last, signature: third.signature }], 5, 'signature', /does not carry the node’s signature/],
    [[...records.slice(0, -1), { record: forged, signature: other.sign(forged) }], 5, 'signature', /does not carry/],
    [[first, second, stolen, ...rest], 3, 'chain', /is not the one that record 4/],
    [[first, { ...second, record: forged }, third, ...rest], 2, 'chain', /is not the one that record 3/],
    [[first, { record: foreign, signature: planted.sign(foreign) }], 2, 'record_foreign', /belongs to another rental/],
  ]
  for (const [list, record, fault, says] of wrongs) {
    const report = await check(receiptOf(engine, { bill, records: list }))
    expect([report.verdict, report.wrongRecord, report.fault]).toEqual(['refused', record, fault])
    expect(textOf(report, 'records')).toMatch(says)
    expect(textOf(report, 'bill')).toContain('Not checked')
  }
})

test('transfers that do not add up are refused even though statement and digest hold', async () => {
  const { receipt } = planted
  const without = (kind: string) => digested({ ...receipt, transfers: receipt.transfers.filter((line) => line.kind !== kind) })
  expect(failedOf(await check(without('charge')))).toEqual(['payments'])
  for (const kind of ['payout', 'fee', 'refund']) {
    const report = await check(without(kind))
    expect(failedOf(report)).toEqual(['transfers'])
    expect(textOf(report, 'transfers')).toContain(`a ${kind} of`)
  }
  const unsent = receipt.transfers.map((line) => (line.kind === 'refund' ? { ...line, transaction: null } : line))
  expect(textOf(await check(digested({ ...receipt, transfers: unsent })), 'transfers')).toContain('refund has no transaction')
})

test('with the chain at hand the memo is read, and only the right root in it will do', async () => {
  const { receipt } = planted
  const memo = `trf_${'a'.repeat(32)} ${receipt.usage.root}`
  const online = (memoOf: (transaction: string) => Promise<string | null>) => verifyReceipt(receipt, engine, { memoOf })
  const asked: string[] = []
  const good = await online(async (transaction) => {
    asked.push(transaction)
    return memo
  })
  expect([good.verdict, asked]).toEqual(['good', ['payout-transaction']])
  for (const wrong of [null, '', receipt.usage.root, memo.toUpperCase(), `${memo} `, `trf_${'a'.repeat(32)} ${'0'.repeat(64)}`])
    expect(failedOf(await online(async () => wrong))).toEqual(['memo'])
  const away = await online(() => Promise.reject(new Error('connect ECONNREFUSED')))
  expect(textOf(away, 'memo')).toContain('could not be read, so nothing is known about its memo. connect ECONNREFUSED')
})

test('what is not a receipt is refused in one sentence and never throws', async () => {
  const { receipt } = planted
  const { rentalId: _rentalId, ...nameless } = receipt
  const cases: [value: unknown, says: string][] = [
    [null, 'one JSON object'],
    [undefined, 'one JSON object'],
    ['receipt', 'one JSON object'],
    [[receipt], 'one JSON object'],
    [{}, 'no rentalId and version'],
    [nameless, 'no rentalId and version'],
    [{ ...receipt, version: 7 }, 'version 7, which is not known'],
    [{ ...receipt, usage: { ...receipt.usage, root: 'x' } }, 'version 2. usage.root: '],
    [{ ...receipt, extra: 1 }, 'extra'],
    [{ ...receipt, chargedAtoms: 100_000 }, 'chargedAtoms: '],
  ]
  for (const [value, says] of cases) {
    const report = await check(value)
    expect([report.verdict, failedOf(report)]).toEqual(['refused', ['receipt']])
    expect(textOf(report, 'receipt')).toContain(says)
  }
})

test('without a statement nothing is proven: an early receipt and one whose statement was left out are never good', async () => {
  const { statement: _statement, ...bare } = planted.receipt
  expect(await check(bare)).toMatchObject({ verdict: 'unproven' })
  const { anchor: _anchor, usage, ...rest } = bare
  const { records, head, meteredSeconds, billedSeconds } = usage
  const { digest: _digest, ...body } = { ...rest, version: 1, usage: { records, head, meteredSeconds, billedSeconds } }
  const early = { ...body, digest: createHash('sha256').update(canonicalJson(body)).digest('hex') }
  const report = await check(early)
  expect([report.verdict, failedOf(report)]).toEqual(['unproven', []])
  expect(textOf(report, 'statement')).toContain('its seconds cannot')
})

test('a statement alone is checked in its records, bill and root', async () => {
  const bytes = new Uint8Array(bytesOf(planted.receipt))
  const report = verifyStatementFile(bytes, engine)
  expect(report).toMatchObject({ verdict: 'good', rentalId: planted.receipt.rentalId, records: 5, chargedAtoms: '100000' })
  expect(report.checks.map(({ name }) => name)).toEqual(['statement', 'records', 'bill', 'root'])
  bytes[176 + 93 + 50] = 1
  expect(verifyStatementFile(bytes, engine)).toMatchObject({ verdict: 'refused', wrongRecord: 2 })
  expect(verifyStatementFile(new Uint8Array(10), engine)).toMatchObject({ verdict: 'refused', rentalId: null, fault: 'malformed' })
})
