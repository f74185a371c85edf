// verify: checks receipts from files, folders or stdin, one after the other as they are read, and adds them up.
import { createReadStream } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { formatUsdc } from '@flow402/protocol/money'
import type { Engine } from '@flow402/rust-lib/engine'
import { openEngine } from '@flow402/rust-lib/open-engine'
import { memoOnChain } from '../memo-on-chain.ts'
import { readReceipts } from '../read-receipts.ts'
import { checkTitles, type ReceiptReport } from '../receipt-report.ts'
import { type VerifyOptions, verifyReceipt, verifyStatementFile } from '../verify-receipt.ts'

export type VerifyFlags = { json?: boolean; rpc?: string }

/** One receipt that was checked, or why there was nothing to check. `line` is null where a file is one thing. */
type Result = { file: string; line: number | null; ms: number } & ({ report: ReceiptReport } | { unreadable: string })

const receiptFile = /\.(json|ndjson|jsonl|f402)$/
const marks = { ok: 'ok', failed: 'FAILED', skipped: '-' }
const words = { good: 'ok', refused: 'REFUSED', unproven: 'UNPROVEN' }

/**
 * Checks everything that the arguments name and prints what came out: every check when it is one receipt, a line each when there are more.
 * Answers the exit code: 0 all good, 1 some refused or unproven, 2 some unreadable (and none refused), or nothing found.
 */
export async function verifyCommand(files: string[], flags: VerifyFlags): Promise<number> {
  if (flags.rpc !== undefined && !/^https?:\/\//.test(flags.rpc)) {
    console.error(`--rpc must be an http or https URL, not ${flags.rpc}`)
    return 2
  }
  const startedAt = performance.now()
  const engine = await openEngine()
  const sums = new Sums()
  const print = flags.json ? printJson : inWords()
  for await (const result of check(files, engine, flags.rpc ? { memoOf: memoOnChain(flags.rpc) } : {})) {
    sums.add(result)
    print(result)
  }
  const ms = Math.round(performance.now() - startedAt)
  if (flags.json) console.log(JSON.stringify({ summary: { ...sums.figures(), engine: engine.name, ms } }))
  else {
    print(null)
    console.log(sums.text(`${(ms / 1000).toFixed(2)} s, engine ${engine.name}`))
  }
  return sums.exitCode()
}

async function* check(files: string[], engine: Engine, options: VerifyOptions): AsyncGenerator<Result> {
  for (const named of files) {
    for await (const file of filesOf(named)) {
      if (typeof file !== 'string') {
        yield { file: named, line: null, ms: 0, unreadable: file.unreadable }
        continue
      }
      try {
        yield* checkFile(file, engine, options)
      } catch (error) {
        if (!isSystemError(error)) throw error
        yield { file, line: null, ms: 0, unreadable: systemWords(error) }
      }
    }
  }
}

async function* checkFile(file: string, engine: Engine, options: VerifyOptions): AsyncGenerator<Result> {
  const chunks: AsyncIterable<Uint8Array> = file === '-' ? process.stdin : createReadStream(file)
  for await (const found of readReceipts(chunks)) {
    const startedAt = performance.now()
    if (found.kind === 'unreadable') yield { file, line: found.line, ms: 0, unreadable: found.why }
    else {
      const isStatement = found.kind === 'statement'
      const report = isStatement ? verifyStatementFile(found.bytes, engine) : await verifyReceipt(found.value, engine, options)
      yield { file, line: isStatement ? null : found.line, ms: performance.now() - startedAt, report }
    }
  }
}

/** A file as it is, a folder as the receipts in it and in its folders, by name. */
async function* filesOf(named: string): AsyncGenerator<string | { unreadable: string }> {
  if (named === '-') return yield '-'
  try {
    if (!(await stat(named)).isDirectory()) return yield named
    const inside = (await readdir(named, { recursive: true })).filter((name) => receiptFile.test(name)).sort()
    if (inside.length === 0) yield { unreadable: 'There is no .json, .ndjson, .jsonl or .f402 in this folder.' }
    for (const name of inside) yield join(named, name)
  } catch (error) {
    if (!isSystemError(error)) throw error
    yield { unreadable: systemWords(error) }
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}

function systemWords({ code, message }: NodeJS.ErrnoException): string {
  const known: Record<string, string> = { ENOENT: 'There is no such file.', EACCES: 'It may not be read.', EISDIR: 'It is a folder.' }
  return known[code ?? ''] ?? message
}

function printJson(result: Result | null): void {
  if (result) console.log(JSON.stringify({ ...result, ms: Math.round(result.ms * 100) / 100 }))
}

/** Holds the first result back until there is a second: alone it is told in full. `null` ends it. */
function inWords(): (result: Result | null) => void {
  let first: Result | null = null
  let isMany = false
  return (result) => {
    if (result && !isMany && !first) {
      first = result
      return
    }
    if (first) console.log(result ? line(first) : whole(first))
    first = null
    isMany = true
    if (result) console.log(line(result))
  }
}

function placeOf({ file, line }: Result): string {
  return `${file === '-' ? 'stdin' : file}${line === null ? '' : `:${line}`}`
}

function line(result: Result): string {
  if ('unreadable' in result) return `UNREAD    ${placeOf(result)}  ${result.unreadable}`
  const { verdict, rentalId, records, chargedAtoms, checks } = result.report
  const start = `${words[verdict].padEnd(8)}  ${placeOf(result)}  ${rentalId ?? ''}`
  if (verdict === 'good')
    return `${start}  ${records} ${records === 1 ? 'record' : 'records'}  $${formatUsdc(BigInt(chargedAtoms ?? 0), 6)}`
  const why = checks.filter(({ outcome, name }) => outcome === 'failed' || (verdict === 'unproven' && name === 'statement'))
  return `${start}  ${why.map(({ name, text }) => `${checkTitles[name]}: ${text}`).join(' ')}`
}

function whole(result: Result): string {
  if ('unreadable' in result) return line(result)
  const width = Math.max(...Object.values(checkTitles).map(({ length }) => length))
  const lines = result.report.checks.map(
    ({ name, outcome, text }) => `  ${marks[outcome].padEnd(6)}  ${checkTitles[name].padEnd(width)}  ${text}`,
  )
  return [`${result.file === '-' ? 'stdin' : result.file}  ${result.report.rentalId ?? ''}`, ...lines, ''].join('\n')
}

/** What all of them come to. Records and charge are those of the good ones; a rental that comes twice is added once, and said. */
class Sums {
  private count = { good: 0, refused: 0, unproven: 0, unreadable: 0 }
  private records = 0
  private chargedAtoms = 0n
  private seen = new Set<string>()
  private again = 0

  add(result: Result): void {
    if ('unreadable' in result) {
      this.count.unreadable += 1
      return
    }
    const { verdict, rentalId, records, chargedAtoms } = result.report
    this.count[verdict] += 1
    if (verdict !== 'good' || rentalId === null) return
    if (this.seen.has(rentalId)) this.again += 1
    else {
      this.seen.add(rentalId)
      this.records += records
      this.chargedAtoms += BigInt(chargedAtoms ?? 0)
    }
  }

  figures() {
    const { good, refused, unproven, unreadable } = this.count
    const receipts = good + refused + unproven
    return {
      receipts,
      good,
      refused,
      unproven,
      unreadable,
      again: this.again,
      records: this.records,
      chargedAtoms: this.chargedAtoms.toString(),
    }
  }

  text(how: string): string {
    const { receipts, good, refused, unproven, unreadable, again, records } = this.figures()
    const parts = [
      `${good} good`,
      refused && `${refused} refused`,
      unproven && `${unproven} unproven`,
      unreadable && `${unreadable} unreadable`,
    ]
    const isAlone = receipts + unreadable === 1
    const alone = good ? 'Good' : refused ? 'Refused' : unproven ? 'Unproven' : 'Unreadable'
    const start = isAlone ? alone : `${receipts} ${receipts === 1 ? 'receipt' : 'receipts'}: ${parts.filter(Boolean).join(', ')}`
    const twice = again > 0 ? ` ${again} of a rental that was there before, added once.` : ''
    const charged = `$${formatUsdc(this.chargedAtoms, 6)} (${this.chargedAtoms} atoms) charged`
    const total =
      good > 0
        ? ` ${records} ${records === 1 ? 'record' : 'records'}, ${charged}${isAlone || good === receipts ? '' : ' in the good ones'}.`
        : ''
    return `${start}.${total}${twice} ${how}.`
  }

  exitCode(): number {
    const { refused, unproven, unreadable, good } = this.count
    if (refused + unproven > 0) return 1
    return unreadable > 0 || good === 0 ? 2 : 0
  }
}
