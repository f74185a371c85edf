// What came out of a check: the verdict that cannot be overlooked, and every single check with its sentence.
import { formatUsdc } from '@flow402/protocol/money'
import { type Check, checkTitles, type ReceiptReport } from '@flow402/sdk/receipt-report'
import type { ReactNode } from 'react'
import { shortText } from '../ui/copyable.tsx'
import { Notice } from '../ui/notice.tsx'

const engineNames: Record<ReceiptReport['engine'], string> = {
  'wasm-simd': 'Rust in WebAssembly, SIMD',
  javascript: 'JavaScript',
}

/** "Rust in WebAssembly, SIMD", with the time that it took. */
export function engineText(engine: ReceiptReport['engine'], ms?: number): string {
  return ms === undefined ? engineNames[engine] : `${engineNames[engine]}, ${msText(ms)}`
}

function msText(ms: number): string {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms).toLocaleString('en-US')} ms` : `${(ms / 1000).toFixed(1)} s`
}

/** The outcome in one notice; `advice` is what to do when it is refused. */
export function Verdict({ report, advice }: { report: ReceiptReport; advice: ReactNode }) {
  const records = `${report.records.toLocaleString('en-US')} signed ${report.records === 1 ? 'record' : 'records'}`
  if (report.verdict === 'good') {
    const isWhole = report.checks.some(({ name }) => name === 'receipt')
    return (
      <Notice tone="ok" title={isWhole ? 'This bill is right' : 'This statement is right'} testId="verdict">
        {records}, {`$${formatUsdc(BigInt(report.chargedAtoms ?? 0), 6)}`} charged: computed anew in this browser, to the atom.
        {!isWhole && ' Payments and anchor are in the receipt only.'}
      </Notice>
    )
  }
  if (report.verdict === 'unproven') {
    return (
      <Notice tone="warn" title="This bill is not proven" testId="verdict">
        Nothing is wrong with what is here, but there is no statement that shows what the seconds follow from.
      </Notice>
    )
  }
  const failed = report.checks.find(({ outcome }) => outcome === 'failed')
  return (
    <Notice tone="bad" title={refusalTitle(report, failed)} testId="verdict">
      <p className="font-medium">{failed && <Sentence text={failed.text} />}</p>
      <p className="mt-1 text-ink">{advice}</p>
    </Notice>
  )
}

function refusalTitle({ wrongRecord, checks }: ReceiptReport, failed: Check | undefined): string {
  if (failed?.name === 'receipt') return 'This is not a receipt that can be checked'
  if (wrongRecord !== null && checks.some(({ name, outcome }) => name === 'records' && outcome === 'failed'))
    return `This bill is refused: record ${wrongRecord} is wrong`
  return 'This bill is refused'
}

const looks = {
  ok: { word: 'ok', box: 'bg-ok-soft text-ok', path: 'm4 8.5 2.8 2.8L12 5.5' },
  failed: { word: 'failed', box: 'bg-bad text-[light-dark(#fff,#2b0b09)]', path: 'm5 5 6 6m0-6-6 6' },
  skipped: { word: 'not checked', box: 'bg-raised text-ink-3', path: 'M5 8h6' },
}

/** Every check, the failed ones marked so that they stand out without colour as well. */
export function CheckList({ checks }: { checks: readonly Check[] }) {
  return (
    <ol className="divide-y divide-line border-line border-y text-sm">
      {checks.map(({ name, outcome, text }) => (
        <li
          key={name}
          data-testid={`check-${name}`}
          data-outcome={outcome}
          className={`grid grid-cols-[1.25rem_minmax(0,1fr)] gap-x-2.5 gap-y-0.5 py-2 sm:grid-cols-[1.25rem_9.5rem_minmax(0,1fr)] ${outcome === 'failed' ? '-mx-2 bg-bad-soft px-2' : ''}`}
        >
          <span className={`mt-px flex size-[1.125rem] items-center justify-center rounded-full ${looks[outcome].box}`}>
            <svg viewBox="0 0 16 16" className="size-3.5" fill="none" stroke="currentColor" strokeWidth="1.8" aria-hidden="true">
              <path d={looks[outcome].path} />
            </svg>
            <span className="sr-only">{looks[outcome].word}: </span>
          </span>
          <span className="font-medium">{checkTitles[name]}</span>
          <span
            className={`min-w-0 break-words max-sm:col-start-2 ${outcome === 'failed' ? 'text-bad' : outcome === 'skipped' ? 'text-ink-3' : 'text-ink-2'}`}
          >
            <Sentence text={text} />
          </span>
        </li>
      ))}
    </ol>
  )
}

const longNames = /((?:rnt|nod|ofr|pay|trf)_[0-9a-f]{32}|[0-9a-f]{64}|[1-9A-HJ-NP-Za-km-z]{64,90})/

/** A sentence whose ids, hashes and signatures are shortened; the whole of each is in its title. */
function Sentence({ text }: { text: string }) {
  return text.split(longNames).map((part, index) =>
    index % 2 === 0 ? (
      part
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: the parts of one text never change places
      <span key={index} className="whitespace-nowrap font-mono text-xs" title={part}>
        {shortText(part, 10, 6)}
      </span>
    ),
  )
}
