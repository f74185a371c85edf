// Tests of the program itself: started as a user starts it, judged by what it prints and by its exit code.
import { execFile, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { AnchoredReceipt } from '@flow402/protocol/receipt'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Planted, plantReceipt } from '../../../__tests__/support/planted-receipt.ts'

const cli = join(import.meta.dirname, 'cli.ts')
const dir = mkdtempSync(join(tmpdir(), 'flow402-cli-'))
const file = (name: string, content: string | Uint8Array) => {
  writeFileSync(join(dir, name), content)
  return join(dir, name)
}
let planted: Planted
let receipts: AnchoredReceipt[]
let bad: AnchoredReceipt
beforeAll(async () => {
  const engine = await openEngine()
  planted = plantReceipt(engine)
  receipts = [planted.receipt, plantReceipt(engine, { records: 0 }).receipt, plantReceipt(engine, { records: 1 }).receipt]
  bad = { ...planted.receipt, statement: flipped(planted.receipt.statement ?? '', 176 + 2 * 93 + 20) }
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

function flipped(statement: string, at: number): string {
  const bytes = Buffer.from(statement, 'base64')
  bytes[at] = (bytes[at] ?? 0) ^ 1
  return bytes.toString('base64')
}

type Ended = { code: number | null; out: string; err: string }

/** Runs the program in the folder of the files; `stdin` is what it is given to read. */
function flow402(args: string[], stdin?: string): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [cli, ...args], { cwd: dir, stdio: ['pipe', 'pipe', 'pipe'] })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    child.on('close', (code) => resolve({ code, out, err }))
    child.stdin.end(stdin ?? '')
  })
}

test('one good receipt is told check by check, with engine and sum, and the exit code is 0', async () => {
  file('receipt.json', JSON.stringify(planted.receipt, null, 2))
  const { code, out, err } = await flow402(['verify', 'receipt.json'])
  expect([code, err]).toEqual([0, ''])
  expect(out).toContain(`receipt.json  ${planted.receipt.rentalId}`)
  expect(out).toMatch(/ {2}ok {6}Usage records +All 5 are in order and chained to the last one, which the node signed\./)
  expect(out).toMatch(/^Good\. 5 records, \$0\.100000 \(100000 atoms\) charged\. \d+\.\d\d s, engine (javascript|wasm-simd)\.$/m)
  expect(out).not.toContain('FAILED')
})

test('a flipped byte is refused with exit code 1 and the record by its number', async () => {
  file('bad.json', JSON.stringify(bad))
  const { code, out } = await flow402(['verify', 'bad.json'])
  expect(code).toBe(1)
  expect(out).toMatch(/FAILED {2}Usage records +Record 3 of 5 .+/)
  expect(out).toMatch(/^Refused\. /m)
})

test('a month in NDJSON gets a line each and one sum; the broken ones do not hide the others', async () => {
  const lines = [...receipts, bad, receipts[0]].map((receipt) => JSON.stringify(receipt))
  file('month.ndjson', `${lines.join('\n')}\n${lines[0]?.slice(0, -9)}\n`)
  const { code, out } = await flow402(['verify', 'month.ndjson'])
  expect(code).toBe(1)
  expect(out.split('\n')).toEqual([
    `ok        month.ndjson:1  ${receipts[0]?.rentalId}  5 records  $0.100000`,
    `ok        month.ndjson:2  ${receipts[1]?.rentalId}  0 records  $0.000000`,
    `ok        month.ndjson:3  ${receipts[2]?.rentalId}  1 record  $0.020000`,
    expect.stringMatching(/^REFUSED {3}month\.ndjson:4 {2}rnt_\w+ {2}Usage records: Record 3 of 5 .+/),
    `ok        month.ndjson:5  ${receipts[0]?.rentalId}  5 records  $0.100000`,
    'UNREAD    month.ndjson:6  It is not JSON.',
    expect.stringMatching(
      /^5 receipts: 4 good, 1 refused, 1 unreadable\. 6 records, \$0\.120000 \(120000 atoms\) charged in the good ones\. 1 of a rental that was there before, added once\. /,
    ),
    '',
  ])
})

test('a folder is looked through, a statement is known by its bytes, and - is stdin', async () => {
  mkdirSync(join(dir, 'year', 'may'), { recursive: true })
  file('year/one.json', JSON.stringify(receipts[0]))
  file('year/notes.txt', 'not looked at')
  file('year/may/two.ndjson', `${JSON.stringify(receipts[1])}\n`)
  file('year/may/three.f402', Buffer.from(receipts[2]?.statement ?? '', 'base64'))
  const folder = await flow402(['verify', 'year'])
  expect(folder.code).toBe(0)
  expect(folder.out).toContain('3 receipts: 3 good. 6 records, $0.120000')
  const stdin = await flow402(['verify', '-'], JSON.stringify(receipts[0]))
  expect([stdin.code, stdin.out.split('\n')[0]]).toEqual([0, `stdin  ${receipts[0]?.rentalId}`])
})

test('with --json every line is an object, and the last is the summary', async () => {
  file('two.ndjson', `${JSON.stringify(receipts[0])}\n${JSON.stringify(bad)}\n`)
  const { code, out } = await flow402(['verify', 'two.ndjson', '--json'])
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(code).toBe(1)
  expect(lines).toHaveLength(3)
  expect(lines[0]).toMatchObject({ file: 'two.ndjson', line: 1, report: { verdict: 'good', records: 5, chargedAtoms: '100000' } })
  expect(lines[1]).toMatchObject({ line: 2, report: { verdict: 'refused', wrongRecord: 3 } })
  expect(lines[2].summary).toMatchObject({ receipts: 2, good: 1, refused: 1, unreadable: 0, records: 5, chargedAtoms: '100000' })
})

test('what cannot be read ends with exit code 2 and says why', async () => {
  file('picture.json', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0))
  mkdirSync(join(dir, 'empty'), { recursive: true })
  for (const [args, says] of [
    [['verify', 'nowhere.json'], 'nowhere.json  There is no such file.'],
    [['verify', 'picture.json'], 'It is neither text nor a statement.'],
    [['verify', 'empty'], 'empty  There is no .json'],
    [['verify'], "missing required argument 'files'"],
    [['verify', 'x', '--colour'], "unknown option '--colour'"],
    [['verify', 'x', '--rpc', 'localhost'], '--rpc must be an http or https URL'],
    [['verfy'], "unknown command 'verfy'"],
  ] as const) {
    const { code, out, err } = await flow402([...args])
    expect([code, out + err]).toEqual([2, expect.stringContaining(says)])
  }
  expect((await flow402(['--help'])).code).toBe(0)
})

test('with --rpc the memo of the payout is read from the chain', async () => {
  // Of a program that the endpoint does not know there is nothing parsed.
  const unknown = { programId: 'ComputeBudget111111111111111111111111111111', accounts: [], data: '3' }
  const memos: Record<string, unknown> = {
    right: { meta: { err: null }, transaction: { message: { instructions: [unknown, { program: 'spl-memo', parsed: memoOf(planted) }] } } },
    none: { meta: { err: null }, transaction: { message: { instructions: [{ program: 'spl-token', parsed: {} }] } } },
    failed: { meta: { err: { InstructionError: [0, 'Custom'] } }, transaction: { message: { instructions: [] } } },
    unknown: null,
  }
  const asked: unknown[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += chunk
    })
    request.on('end', () => {
      asked.push(JSON.parse(text))
      response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, result: memos[(request.url ?? '').slice(1)] }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  file('receipt.json', JSON.stringify(planted.receipt))
  const run = (name: string) => flow402(['verify', 'receipt.json', '--rpc', `http://127.0.0.1:${port}/${name}`])
  try {
    const right = await run('right')
    expect([right.code, right.out]).toEqual([0, expect.stringContaining(`The memo on chain is “${memoOf(planted)}”`)])
    expect(asked).toEqual([
      expect.objectContaining({
        method: 'getTransaction',
        params: ['payout-transaction', { encoding: 'jsonParsed', commitment: 'finalized', maxSupportedTransactionVersion: 0 }],
      }),
    ])
    for (const [name, says] of [
      ['none', 'carries no memo'],
      ['failed', 'It failed on chain.'],
      ['unknown', 'on no finalized block'],
    ] as const) {
      const { code, out } = await run(name)
      expect([code, out]).toEqual([1, expect.stringContaining(says)])
    }
  } finally {
    server.close()
  }
  expect((await run('right')).out).toContain('The RPC endpoint does not answer.')
})

const memoOf = ({ receipt }: Planted) => `trf_${'b'.repeat(32)} ${receipt.usage.root}`

test('npx starts it from the clone', async () => {
  const file = join(dir, 'receipt.json')
  writeFileSync(file, JSON.stringify(planted.receipt))
  const args = ['--no-install', 'flow402', 'verify', file]
  const { code, out } = await new Promise<{ code: number; out: string }>((resolve) =>
    execFile('npx', args, { cwd: join(import.meta.dirname, '../../..') }, (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), out: stdout + stderr }),
    ),
  )
  expect([code, out]).toEqual([0, expect.stringContaining('Good. 5 records')])
})
