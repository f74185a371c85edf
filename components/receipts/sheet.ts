// The sum of a file's receipts as they are checked; of very many only the first ones are kept to be shown.
import type { Checked } from './check-file.ts'

/** `good` and `bad` are the first of each; refused, unproven and unreadable are all bad. Sums are over the good ones, `ms` over all. */
export type Sheet = {
  count: number
  goodCount: number
  records: number
  chargedAtoms: bigint
  ms: number
  good: Checked[]
  bad: Checked[]
}

export const emptySheet: Sheet = { count: 0, goodCount: 0, records: 0, chargedAtoms: 0n, ms: 0, good: [], bad: [] }
const shownAtMost = 200

/** The sheet with more receipts on it. */
export function addChecked(sheet: Sheet, batch: readonly Checked[]): Sheet {
  const isGood = (one: Checked) => 'report' in one && one.report.verdict === 'good'
  const good = batch.filter(isGood)
  const reports = good.flatMap((one) => ('report' in one ? [one.report] : []))
  return {
    count: sheet.count + batch.length,
    goodCount: sheet.goodCount + good.length,
    records: reports.reduce((sum, { records }) => sum + records, sheet.records),
    chargedAtoms: reports.reduce((sum, { chargedAtoms }) => sum + BigInt(chargedAtoms ?? 0), sheet.chargedAtoms),
    ms: batch.reduce((sum, one) => sum + ('ms' in one ? one.ms : 0), sheet.ms),
    good: [...sheet.good, ...good].slice(0, shownAtMost),
    bad: [...sheet.bad, ...batch.filter((one) => !isGood(one))].slice(0, shownAtMost),
  }
}
