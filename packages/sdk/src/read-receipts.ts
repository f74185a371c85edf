// Reads what people hold as a receipt: one JSON file, many in lines of NDJSON, or the bytes of a statement. Line by line, never whole.
import { billMagic } from '@flow402/rust-lib/statement'

/** One thing found in a file. `line` is where it begins, from 1; `unreadable` says why there is nothing to check. */
export type Found =
  | { kind: 'receipt'; line: number; value: unknown }
  | { kind: 'statement'; bytes: Uint8Array }
  | { kind: 'unreadable'; line: number; why: string }

/** Longer than a month of records, ten times over; JavaScript's strings end at twice of this. */
const longestText = 256 * 2 ** 20
/** A receipt in one line is longer than this: a shorter first line is where a text in many lines begins. */
const shortestLine = 1000

class NotText extends Error {}

/**
 * What is in a file, as its bytes come. What it is, its first bytes say: a statement begins with its magic; a first line that is JSON in itself,
 * or as long as a receipt, makes it NDJSON, of which one line is held at a time; anything else is one JSON text. Bad data is `unreadable`, errors of reading are thrown.
 */
export async function* readReceipts(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Found, void, undefined> {
  const { head, rest } = await withHead(chunks)
  if (isStatement(head)) {
    yield { kind: 'statement', bytes: await joined(rest) }
    return
  }
  let line = 0
  let text = ''
  let isLines: boolean | undefined
  let firstLine = 1
  try {
    for await (const chunk of decoded(rest)) {
      text += chunk
      if (text.length > longestText) {
        yield { kind: 'unreadable', line: line + 1, why: 'It is longer than any receipt.' }
        return
      }
      if (isLines === false || !chunk.includes('\n')) continue
      const lines = text.split('\n')
      text = lines.pop() ?? ''
      for (const [index, one] of lines.entries()) {
        line += 1
        if (one.trim() === '') continue
        const found = parsed(one, line)
        if (isLines === undefined) {
          isLines = found.kind === 'receipt' || one.length >= shortestLine
          if (!isLines) {
            firstLine = line
            text = [...lines.slice(index), text].join('\n')
            break
          }
        }
        yield found
      }
    }
  } catch (error) {
    if (!(error instanceof NotText)) throw error
    yield { kind: 'unreadable', line: line + 1, why: 'It is neither text nor a statement.' }
    return
  }
  if (text.trim() !== '') yield parsed(text, isLines === false ? firstLine : line + 1)
  else if (isLines === undefined) yield { kind: 'unreadable', line: 1, why: 'It is empty.' }
}

function parsed(text: string, line: number): Found {
  try {
    return { kind: 'receipt', line, value: JSON.parse(text) as unknown }
  } catch {
    return { kind: 'unreadable', line, why: 'It is not JSON.' }
  }
}

/** The first four bytes (or fewer, if there are no more), and all of them again. */
async function withHead(chunks: AsyncIterable<Uint8Array>): Promise<{ head: Uint8Array; rest: AsyncGenerator<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]()
  const read: Uint8Array[] = []
  let length = 0
  while (length < 4) {
    const { value, done } = await iterator.next()
    if (done) break
    read.push(value)
    length += value.length
  }
  const head = concat(read).subarray(0, 4)
  async function* rest() {
    yield* read
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) yield next.value
  }
  return { head, rest: rest() }
}

function isStatement(head: Uint8Array): boolean {
  return head.length === 4 && new DataView(head.buffer, head.byteOffset, 4).getUint32(0) === billMagic
}

async function* decoded(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  const decode = (chunk?: Uint8Array) => {
    try {
      return decoder.decode(chunk, { stream: chunk !== undefined })
    } catch (cause) {
      throw new NotText('not UTF-8', { cause })
    }
  }
  for await (const chunk of chunks) yield decode(chunk)
  yield decode()
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return concat(parts)
}

function concat(parts: Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
