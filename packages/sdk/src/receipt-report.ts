// What a check of a receipt answers: the words and shapes alone, for pages that show it without being able to do it.
import type { Engine, StatementFault } from '@flow402/rust-lib/engine'

/** What is checked, in the order in which it is told, each with its name for people. `memo` is there only when the chain was asked. */
export const checkTitles = {
  receipt: 'Receipt',
  digest: 'Digest',
  statement: 'Statement',
  agreement: 'Agreement',
  records: 'Usage records',
  bill: 'Bill',
  root: 'Merkle root',
  payments: 'Payments',
  transfers: 'Transfers',
  anchor: 'Anchor',
  memo: 'Memo on chain',
} as const
export type CheckName = keyof typeof checkTitles

/**
 * One check. `text` is one or two plain sentences. skipped: it does not apply, or what it needs was refused before; the text says which.
 * `stated` and `computed` are the two figures or texts that differ, where there are such.
 */
export type Check = { name: CheckName; outcome: 'ok' | 'failed' | 'skipped'; text: string; stated?: string; computed?: string }

/**
 * What came out. good: everything that can be checked offline holds. refused: a check failed. unproven: nothing is wrong with what there is,
 * but without a statement nothing shows that the bill follows from signed records. `wrongRecord` is the position (from 1) of the first wrong usage record; `fault` the reason
 * of docs/statement.md when the statement itself is wrong. `records` and `chargedAtoms` are what the file says.
 */
export type ReceiptReport = {
  verdict: 'good' | 'refused' | 'unproven'
  engine: Engine['name']
  rentalId: string | null
  records: number
  chargedAtoms: string | null
  wrongRecord: number | null
  fault: StatementFault | null
  checks: Check[]
}
