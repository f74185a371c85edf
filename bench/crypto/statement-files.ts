// The statements of bench:crypto, made once for all parts, also as files for processes of their own and for the browser.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { madeStatement } from './made-statement.ts'

type InFile = { records: number; file: string }
/** A small one for checks, one of a month and one that is long, which lies in its file only. */
export type MadeStatements = { small: InFile & { bytes: Uint8Array }; month: InFile & { bytes: Uint8Array }; long: InFile }

/** Makes them in a folder that `remove` deletes. A quick run gets a tenth of a month, and a month for long. */
export async function makeStatements(isQuick: boolean): Promise<{ made: MadeStatements; remove: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'flow402-crypto-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const make = async (name: string, records: number) => {
    const bytes = madeStatement(records)
    const file = join(folder, name)
    writeFileSync(file, bytes)
    return { records, file, bytes }
  }
  try {
    const small = await make('small', 300)
    const month = await make('month', isQuick ? 4_320 : 43_200)
    const { records, file } = await make('long', isQuick ? 43_200 : 1_000_000)
    return { made: { small, month, long: { records, file } }, remove }
  } catch (error) {
    remove()
    throw error
  }
}
