// @vitest-environment jsdom
// Tests of what people see of a check: each check with its sentence, a refusal that cannot be overlooked, and files of every kind.
// jsdom's own File cannot be streamed.
import { File } from 'node:buffer'
import { createHash } from 'node:crypto'
import { canonicalJson } from '@flow402/protocol/receipt'
import type { Engine } from '@flow402/rust-lib/engine'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { checkTitles } from '@flow402/sdk/receipt-report'
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { type Planted, plantReceipt } from '../../__tests__/support/planted-receipt.ts'
import { type Checked, checkFile, checkReceipt } from './check-file.ts'
import { ReceiptVerification } from './receipt-verification.tsx'
import { addChecked, emptySheet } from './sheet.ts'
import type { Verifier } from './verifier.ts'
import { VerifyBoard } from './verify-board.tsx'

let engine: Engine
let planted: Planted
let here: Verifier
beforeAll(async () => {
  engine = await openEngine()
  planted = plantReceipt(engine)
  here = {
    ready: Promise.resolve(engine.name),
    receipt: (value) => checkReceipt(value, engine),
    file: async (file, onChecked) => {
      for await (const one of checkFile(file, engine)) onChecked([one])
    },
  }
})
afterEach(cleanup)

/** The statement with one bit of record `position` changed. */
function flipped(position: number): string {
  const bytes = Buffer.from(planted.receipt.statement ?? '', 'base64')
  const at = 176 + (position - 1) * 93 + 20
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes.toString('base64')
}

const drop = (...files: File[]) => fireEvent.drop(screen.getByTestId('drop-zone'), { dataTransfer: { files } })
const jsonFile = (name: string, value: unknown) => new File([JSON.stringify(value)], name)

test('a receipt is checked by itself, and every check is shown with its sentence, the engine and the time', async () => {
  render(<ReceiptVerification receipt={planted.receipt} verifier={here} />)
  const verdict = await screen.findByTestId('verdict')
  expect(verdict.getAttribute('role')).toBe('status')
  expect(verdict.textContent).toMatch(/^This bill is right5 signed records, \$0\.100000 charged/)
  const shown = screen.getAllByRole('listitem')
  expect(shown).toHaveLength(10)
  for (const item of shown) expect(item.textContent).toMatch(/^ok: .+\.$/)
  expect(screen.getByTestId('check-records').textContent).toContain(`${checkTitles.records}All 5 are in order`)
  expect(screen.getByTestId('engine').textContent).toMatch(/(JavaScript|WebAssembly).+ms/)
})

test('a failed check is an alert that names the record and says what to do', async () => {
  render(<ReceiptVerification receipt={{ ...planted.receipt, statement: flipped(4) }} verifier={here} />)
  const alert = await screen.findByRole('alert')
  expect(alert.textContent).toContain('This bill is refused: record 4 is wrong')
  expect(alert.textContent).toContain(`POST /api/rentals/${planted.receipt.rentalId}/dispute`)
  expect(screen.getByTestId('check-records').dataset.outcome).toBe('failed')
  expect(within(screen.getByTestId('check-records')).getByText('failed:')).toBeTruthy()
  expect(screen.getByTestId('check-bill').dataset.outcome).toBe('skipped')
  expect(screen.queryByText('This bill is right')).toBeNull()
})

test('a receipt that comes in place of another is checked anew, an equal one is not', async () => {
  const runs = () => screen.getByTestId('verification-runs').dataset.runs
  const { rerender } = render(<ReceiptVerification receipt={planted.receipt} verifier={here} />)
  await screen.findByText('This bill is right')
  rerender(<ReceiptVerification receipt={structuredClone(planted.receipt)} verifier={here} />)
  expect([runs(), screen.queryByText('This bill is right')]).toEqual(['1', expect.anything()])
  rerender(<ReceiptVerification receipt={{ ...planted.receipt, statement: flipped(1) }} verifier={here} />)
  expect(screen.queryByText('This bill is right')).toBeNull()
  await screen.findByText(/record 1 is wrong/)
  fireEvent.click(screen.getByTestId('verify-again'))
  await expect.poll(runs).toBe('3')
})

test('a huge receipt waits for its button', async () => {
  const huge = plantReceipt(engine, { records: 1 }).receipt
  render(<ReceiptVerification receipt={{ ...huge, statement: 'A'.repeat(2_100_000) }} verifier={here} />)
  const button = await screen.findByTestId('verify-button')
  expect(screen.queryByTestId('verdict')).toBeNull()
  fireEvent.click(button)
  expect((await screen.findByRole('alert')).textContent).toContain('The statement cannot be read')
})

test('an engine that cannot be started is no verdict', async () => {
  const broken: Verifier = { ...here, receipt: () => Promise.reject(new Error('No memory.')) }
  render(<ReceiptVerification receipt={planted.receipt} verifier={broken} />)
  expect((await screen.findByText(/Nothing is known about it yet/)).textContent).toContain('No memory.')
  expect(screen.queryByTestId('verdict')).toBeNull()
})

test('an early receipt is not called right', async () => {
  const { statement: _statement, anchor: _anchor, digest: _digest, usage, ...rest } = planted.receipt
  const { records, head, meteredSeconds, billedSeconds } = usage
  const body = { ...rest, version: 1 as const, usage: { records, head, meteredSeconds, billedSeconds } }
  const digest = createHash('sha256').update(canonicalJson(body)).digest('hex')
  render(<ReceiptVerification receipt={{ ...body, digest }} verifier={here} />)
  expect((await screen.findByTestId('verdict')).textContent).toContain('This bill is not proven')
  expect(screen.getByTestId('check-statement').textContent).toMatch(/^not checked: /)
})

test('files that are dropped are each judged: good, refused with the record, and no receipt at all', async () => {
  render(<VerifyBoard verifier={here} />)
  expect((await screen.findByText(/no network is needed/)).textContent).toContain('Engine: ')
  drop(jsonFile('good.json', planted.receipt))
  expect((await screen.findByTestId('verdict')).textContent).toContain('This bill is right')
  drop(jsonFile('bad.json', { ...planted.receipt, statement: flipped(2) }), new File(['not a receipt'], 'note.txt'))
  expect((await screen.findAllByRole('alert')).map(({ textContent }) => textContent).sort()).toEqual([
    expect.stringMatching(/^This bill is refused: record 2 is wrongRecord 2 of 5 /),
    expect.stringMatching(/^This is not a receiptIt is not JSON\./),
  ])
  const panels = screen.getAllByTestId('checked-file')
  expect(panels.map((panel) => panel.getAttribute('aria-label'))).toEqual(['note.txt', 'bad.json', 'good.json'])
  fireEvent.click(screen.getByRole('button', { name: 'Remove bad.json' }))
  expect(screen.getAllByTestId('checked-file')).toHaveLength(2)
})

test('a statement alone and a month in NDJSON are taken as they are', async () => {
  render(<VerifyBoard verifier={here} />)
  drop(new File([new Uint8Array(Buffer.from(planted.receipt.statement ?? '', 'base64'))], 'one.f402'))
  expect((await screen.findByTestId('verdict')).textContent).toContain('5 signed records')
  cleanup()
  render(<VerifyBoard verifier={here} />)
  const lines = [planted.receipt, plantReceipt(engine, { records: 2 }).receipt, { ...planted.receipt, statement: flipped(3) }]
  drop(new File([`${lines.map((line) => JSON.stringify(line)).join('\n')}\nbroken\n`], 'month.ndjson'))
  const verdict = await screen.findByRole('alert')
  expect(verdict.textContent).toMatch(/^2 of 4 are refusedThe 2 good ones: 7 records, \$0\.140000 charged/)
  const rows = screen.getAllByTestId('checked-row').map(({ textContent }) => textContent)
  expect(rows[0]).toMatch(/^Line 3 rnt_\w+ Record 3 of 5 /)
  expect(rows[1]).toMatch(/^Line 4: It is not JSON\./)
  expect(rows).toHaveLength(4)
})

test('of very many receipts all are counted and the first are kept', () => {
  const good = (line: number): Checked => ({
    line,
    ms: 1,
    report: {
      verdict: 'good',
      engine: 'javascript',
      rentalId: null,
      records: 3,
      chargedAtoms: '7',
      wrongRecord: null,
      fault: null,
      checks: [],
    },
  })
  let sheet = emptySheet
  for (let batch = 0; batch < 10; batch += 1)
    sheet = addChecked(sheet, [
      ...Array.from({ length: 50 }, (_, index) => good(50 * batch + index)),
      { line: batch, unreadable: 'It is not JSON.' },
    ])
  expect(sheet).toMatchObject({ count: 510, goodCount: 500, records: 1500, chargedAtoms: 3500n, ms: 500 })
  expect([sheet.good.length, sheet.bad.length]).toEqual([200, 10])
})
