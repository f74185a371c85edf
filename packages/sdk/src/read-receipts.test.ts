// Tests of the reader: whatever way the bytes come in pieces, the same receipts are found, one line at a time.
import { openEngine } from '@flow402/rust-lib/open-engine'
import { expect, test } from 'vitest'
import { plantReceipt } from '../../../__tests__/support/planted-receipt.ts'
import { type Found, readReceipts } from './read-receipts.ts'

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function all(found: AsyncIterable<Found>): Promise<Found[]> {
  const list: Found[] = []
  for await (const one of found) list.push(one)
  return list
}

/** What is found, which must be the same for pieces of every size. */
async function found(content: string | Uint8Array): Promise<Found[]> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  const ways: Found[][] = []
  for (const size of [1, 7, 1000, 1 << 20]) ways.push(await all(readReceipts(pieces(bytes, size))))
  for (const way of ways) expect(way).toEqual(ways[0])
  return ways[0] ?? []
}

const long = (name: string) => ({ name, filler: 'ä'.repeat(1200) })

test('one receipt is found in one line and in many, with and without an end of line and a byte order mark', async () => {
  const value = long('one')
  for (const text of [JSON.stringify(value), `${JSON.stringify(value)}\n`, `\uFEFF${JSON.stringify(value)}`])
    expect(await found(text)).toEqual([{ kind: 'receipt', line: 1, value }])
  for (const text of [JSON.stringify(value, null, 2), `\n\r\n${JSON.stringify(value, null, 2).replaceAll('\n', '\r\n')}\n\n`])
    expect((await found(text)).map((one) => one.kind === 'receipt' && one.value)).toEqual([value])
})

test('every line of NDJSON is a receipt of its own, and a broken one does not hide the others', async () => {
  const [a, b] = [JSON.stringify(long('a')), JSON.stringify(long('b'))]
  const good = (line: number, name: string) => ({ kind: 'receipt', line, value: long(name) })
  expect(await found(`${a}\n\n${b}\n`)).toEqual([good(1, 'a'), good(3, 'b')])
  expect(await found(`${a}\n${b.slice(0, -5)}\n${b}`)).toEqual([
    good(1, 'a'),
    { kind: 'unreadable', line: 2, why: 'It is not JSON.' },
    good(3, 'b'),
  ])
  expect(await found(`${a.slice(1)}\n${b}\n`)).toEqual([{ kind: 'unreadable', line: 1, why: 'It is not JSON.' }, good(2, 'b')])
})

test('a statement is known by its first bytes and comes whole', async () => {
  const { receipt } = plantReceipt(await openEngine())
  const bytes = new Uint8Array(Buffer.from(receipt.statement ?? '', 'base64'))
  expect(await found(bytes)).toEqual([{ kind: 'statement', bytes }])
})

test('what is neither is said to be so', async () => {
  const why = async (content: string | Uint8Array) => (await found(content)).map((one) => (one.kind === 'unreadable' ? one.why : one.kind))
  expect(await why('')).toEqual(['It is empty.'])
  expect(await why(' \n\n')).toEqual(['It is empty.'])
  expect(await why('hello')).toEqual(['It is not JSON.'])
  expect(await why('{\n"a": 1,\n')).toEqual(['It is not JSON.'])
  expect(await why(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 1, 2, 3))).toEqual(['It is neither text nor a statement.'])
  expect(await why('F4S')).toEqual(['It is not JSON.'])
})

test('an error of reading is thrown and not taken for bad data', async () => {
  async function* broken() {
    yield new TextEncoder().encode('{"a":1}\n')
    throw new TypeError('the disk is gone')
  }
  await expect(all(readReceipts(broken()))).rejects.toThrow('the disk is gone')
})

test('of a long NDJSON one line is held at a time', async () => {
  let ahead = 0
  async function* lines() {
    for (let line = 1; line <= 1000; line += 1) {
      ahead += 1
      yield new TextEncoder().encode(`${JSON.stringify(long(String(line)))}\n`)
    }
  }
  for await (const one of readReceipts(lines())) {
    expect(one.kind).toBe('receipt')
    ahead -= 1
    expect(ahead).toBeLessThanOrEqual(1)
  }
  expect(ahead).toBe(0)
})
