// Checking receipts of anybody: files are dropped or chosen, read in a thread of their own, and never leave the browser.
'use client'
import { formatUsdc } from '@flow402/protocol/money'
import { type DragEvent, useEffect, useRef, useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Notice } from '../ui/notice.tsx'
import { Panel } from '../ui/panel.tsx'
import type { Checked } from './check-file.ts'
import { CheckList, engineText, Verdict } from './check-list.tsx'
import { addChecked, emptySheet, type Sheet } from './sheet.ts'
import { pageVerifier, type Verifier } from './verifier.ts'

type FileState = { key: number; name: string; sheet: Sheet; state: 'checking' | 'done' | 'broken'; why: string }
type EngineState = { step: 'loading' } | { step: 'ready'; text: string } | { step: 'broken'; why: string }

const accept = '.json,.ndjson,.jsonl,.f402,application/json'

/** `verifier` is the page's own thread unless a test gives another. */
export function VerifyBoard({ verifier }: { verifier?: Verifier }) {
  const [engine, setEngine] = useState<EngineState>({ step: 'loading' })
  const [files, setFiles] = useState<FileState[]>([])
  const [isOver, setOver] = useState(false)
  const lastKey = useRef(0)
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    let isGone = false
    ;(verifier ?? pageVerifier()).ready.then(
      (name) => !isGone && setEngine({ step: 'ready', text: engineText(name) }),
      (error: Error) => !isGone && setEngine({ step: 'broken', why: error.message }),
    )
    return () => {
      isGone = true
    }
  }, [verifier])

  const change = (key: number, next: (file: FileState) => Partial<FileState>) =>
    setFiles((all) => all.map((one) => (one.key === key ? { ...one, ...next(one) } : one)))
  const check = async (file: File) => {
    lastKey.current += 1
    const key = lastKey.current
    setFiles((all) => [{ key, name: file.name, sheet: emptySheet, state: 'checking', why: '' }, ...all])
    try {
      await (verifier ?? pageVerifier()).file(file, (batch) => change(key, ({ sheet }) => ({ sheet: addChecked(sheet, batch) })))
      change(key, () => ({ state: 'done' }))
    } catch (error) {
      change(key, () => ({ state: 'broken', why: error instanceof Error ? error.message : String(error) }))
    }
  }
  const checkAll = (list: FileList | null) => {
    for (const file of list ?? []) void check(file)
  }
  const drop = (event: DragEvent) => {
    event.preventDefault()
    setOver(false)
    checkAll(event.dataTransfer.files)
  }
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: dropping is a second way; the button does the same
    <div
      className="space-y-4"
      onDrop={drop}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
      }}
    >
      <div
        className={`flex flex-col items-center justify-center gap-1 rounded-lg border border-dashed px-6 text-center ${files.length > 0 ? 'py-5' : 'min-h-56 py-10'} ${isOver ? 'border-accent bg-accent-soft' : 'border-line-strong bg-panel'}`}
        data-testid="drop-zone"
      >
        <p className="font-medium">{isOver ? 'Let go to check' : 'Drop receipts here'}</p>
        <p className="max-w-md text-ink-2 text-sm">
          One receipt, a whole month of them (.ndjson), or a statement (.f402). They are read by this browser and go nowhere.
        </p>
        <div className="mt-3">
          <input
            ref={input}
            type="file"
            multiple
            accept={accept}
            className="sr-only"
            tabIndex={-1}
            aria-label="Receipts to check"
            data-testid="file-input"
            onChange={(event) => {
              checkAll(event.target.files)
              event.target.value = ''
            }}
          />
          <Button look="solid" onClick={() => input.current?.click()} data-testid="choose-button">
            Choose files
          </Button>
        </div>
        <EngineLine engine={engine} />
      </div>
      <div className="space-y-4" aria-live="polite">
        {files.map((file) => (
          <FilePanel key={file.key} file={file} onClose={() => setFiles((all) => all.filter(({ key }) => key !== file.key))} />
        ))}
      </div>
    </div>
  )
}

function EngineLine({ engine }: { engine: EngineState }) {
  return (
    <p className={`mt-3 text-xs ${engine.step === 'broken' ? 'text-bad' : 'text-ink-3'}`} role="status" data-testid="engine">
      {engine.step === 'loading' && 'Loading the engine…'}
      {engine.step === 'ready' && `Engine: ${engine.text}. Loaded: from here on no network is needed.`}
      {engine.step === 'broken' && `The engine could not be started: ${engine.why}`}
    </p>
  )
}

function FilePanel({ file, onClose }: { file: FileState; onClose: () => void }) {
  const { name, sheet, state, why } = file
  const only = state === 'done' && sheet.count === 1 ? (sheet.bad[0] ?? sheet.good[0]) : undefined
  return (
    <Panel
      title={name}
      testId="checked-file"
      aside={
        <Button look="quiet" size="sm" className="-mr-2" onClick={onClose} aria-label={`Remove ${name}`}>
          Remove
        </Button>
      }
    >
      <div className="space-y-3">
        {state === 'broken' && (
          <Notice tone="bad" title="This file could not be read">
            {why}
          </Notice>
        )}
        {only ? <One checked={only} /> : (state !== 'broken' || sheet.count > 0) && <Many sheet={sheet} isDone={state === 'done'} />}
      </div>
    </Panel>
  )
}

function One({ checked }: { checked: Checked }) {
  if ('unreadable' in checked) {
    return (
      <Notice tone="bad" title="This is not a receipt" testId="verdict">
        {checked.unreadable} A receipt is the JSON that a rental’s page gives to download; a statement begins with “F4S”.
      </Notice>
    )
  }
  const { report, ms } = checked
  return (
    <>
      <Verdict report={report} advice={<FileAdvice />} />
      <CheckList checks={report.checks} />
      <p className="text-ink-3 text-xs">
        {report.rentalId && (
          <>
            Rental <span className="break-all font-mono">{report.rentalId}</span>.{' '}
          </>
        )}
        {engineText(report.engine, ms)}.
      </p>
    </>
  )
}

function FileAdvice() {
  return (
    <>
      Do not accept it. Get the receipt from the market once more, in case the file was damaged; if it is refused again, keep both. A renter
      can dispute a rental until 24 hours after its end.
    </>
  )
}

function Many({ sheet, isDone }: { sheet: Sheet; isDone: boolean }) {
  const { count, good, bad, goodCount, records, chargedAtoms, ms } = sheet
  const badCount = count - goodCount
  const figures = `${records.toLocaleString('en-US')} records, $${formatUsdc(chargedAtoms, 6)} charged`
  const tone = !isDone ? 'info' : badCount > 0 ? 'bad' : 'ok'
  const title = !isDone
    ? `Checking: ${count.toLocaleString('en-US')} so far`
    : badCount > 0
      ? `${badCount.toLocaleString('en-US')} of ${count.toLocaleString('en-US')} ${badCount === 1 ? 'is' : 'are'} refused`
      : `All ${count.toLocaleString('en-US')} receipts are right`
  return (
    <>
      <Notice tone={tone} title={title} testId={isDone ? 'verdict' : 'progress'}>
        {badCount > 0 ? `The ${goodCount.toLocaleString('en-US')} good ones: ` : ''}
        {figures}
        {isDone && ms > 0 ? `, in ${(ms / 1000).toFixed(2)} s` : ''}.
        {isDone && badCount > 0 && (
          <p className="mt-1 text-ink">
            <FileAdvice />
          </p>
        )}
      </Notice>
      {bad.length > 0 && <Rows rows={bad} hidden={badCount - bad.length} word="refused" />}
      {good.length > 0 && (
        <details className="text-sm">
          <summary className="text-ink-2">The good ones</summary>
          <div className="mt-2">
            <Rows rows={good} hidden={goodCount - good.length} word="good" />
          </div>
        </details>
      )}
    </>
  )
}

function Rows({ rows, hidden, word }: { rows: Checked[]; hidden: number; word: string }) {
  return (
    <>
      <ul className="divide-y divide-line border-line border-y text-sm">
        {rows.map((row) => (
          <li key={row.line} data-testid="checked-row">
            <details>
              <summary className="py-1.5">
                <Line row={row} />
              </summary>
              {'report' in row && (
                <div className="pb-3">
                  <CheckList checks={row.report.checks} />
                </div>
              )}
            </details>
          </li>
        ))}
      </ul>
      {hidden > 0 && (
        <p className="text-ink-3 text-xs">
          And {hidden.toLocaleString('en-US')} more {word} ones; `npx flow402 verify` lists them all.
        </p>
      )}
    </>
  )
}

function Line({ row }: { row: Checked }) {
  if ('unreadable' in row)
    return (
      <span className="text-bad">
        Line {row.line}: {row.unreadable}
      </span>
    )
  const { report } = row
  const failed =
    report.checks.find(({ outcome }) => outcome === 'failed') ??
    report.checks.find(({ name, outcome }) => name === 'statement' && outcome === 'skipped')
  return (
    <>
      <span className="num text-ink-2">Line {row.line}</span> <span className="break-all font-mono text-xs">{report.rentalId}</span>{' '}
      {report.verdict === 'good' ? (
        <span className="num">${formatUsdc(BigInt(report.chargedAtoms ?? 0), 6)}</span>
      ) : (
        <span className="text-bad">{failed?.text}</span>
      )}
    </>
  )
}
