// Checks what a file of receipts holds, one after the other as it is read.
import type { Engine } from '@flow402/rust-lib/engine'
import { readReceipts } from '@flow402/sdk/read-receipts'
import type { ReceiptReport } from '@flow402/sdk/receipt-report'
import { verifyReceipt, verifyStatementFile } from '@flow402/sdk/verify-receipt'

/** One receipt that was checked, with how long it took, or why there was nothing to check. `line` is null for a statement's bytes. */
export type Checked = { line: number | null; ms: number; report: ReceiptReport } | { line: number; unreadable: string }

/** Checks one receipt as parsed JSON. */
export async function checkReceipt(value: unknown, engine: Engine, line: number | null = null): Promise<Checked> {
  const startedAt = performance.now()
  const report = await verifyReceipt(value, engine)
  return { line, ms: performance.now() - startedAt, report }
}

/** Checks everything in a file; an error of reading is thrown. */
export async function* checkFile(file: Blob, engine: Engine): AsyncGenerator<Checked, void, undefined> {
  for await (const found of readReceipts(chunksOf(file))) {
    if (found.kind === 'unreadable') yield { line: found.line, unreadable: found.why }
    else if (found.kind === 'receipt') yield await checkReceipt(found.value, engine, found.line)
    else {
      const startedAt = performance.now()
      const report = verifyStatementFile(found.bytes, engine)
      yield { line: null, ms: performance.now() - startedAt, report }
    }
  }
}

/** Not every browser lets a stream be iterated. */
async function* chunksOf(file: Blob): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel()
  }
}
