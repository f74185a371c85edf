// The receipt's own check on the rental's page: by itself when it is small, on a button when it is huge, without asking the market.
'use client'
import type { Receipt } from '@flow402/protocol/receipt'
import Link from 'next/link'
import { useCallback, useEffect, useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Notice } from '../ui/notice.tsx'
import { Panel } from '../ui/panel.tsx'
import type { Checked } from './check-file.ts'
import { CheckList, engineText, Verdict } from './check-list.tsx'
import { pageVerifier, type Verifier } from './verifier.ts'

/** A statement longer than this (characters of base64, about 9,500 records) waits for the button. */
const hugeFrom = 2_000_000

const link = 'underline decoration-line-strong underline-offset-2 hover:text-ink'

type Phase = { step: 'waiting' } | { step: 'checking' } | { step: 'done'; checked: Checked } | { step: 'broken'; why: string }

/** Checks the receipt, and again when another one comes in its place: no verdict stays under a receipt that it is not about. */
export function ReceiptVerification({ receipt, verifier }: { receipt: Receipt; verifier?: Verifier }) {
  const [phase, setPhase] = useState<Phase>({ step: 'waiting' })
  const [runs, setRuns] = useState(0)
  // The market gives an equal receipt again and again; only another one is checked again.
  const text = JSON.stringify(receipt)
  const isHuge = text.length > hugeFrom
  const run = useCallback(async () => {
    setPhase({ step: 'checking' })
    try {
      setPhase({ step: 'done', checked: await (verifier ?? pageVerifier()).receipt(JSON.parse(text)) })
      setRuns((count) => count + 1)
    } catch (error) {
      setPhase({ step: 'broken', why: error instanceof Error ? error.message : String(error) })
    }
  }, [text, verifier])
  useEffect(() => {
    // The thread is started in any case, so that the button works without a network too.
    if (!verifier) pageVerifier()
    if (isHuge) setPhase({ step: 'waiting' })
    else void run()
  }, [run, isHuge, verifier])
  const checked = phase.step === 'done' && 'report' in phase.checked ? phase.checked : null
  return (
    <Panel
      title="Verify"
      testId="verification"
      aside={checked && <span data-testid="engine">{engineText(checked.report.engine, checked.ms)}</span>}
    >
      <div className="space-y-3" data-testid="verification-runs" data-runs={runs}>
        {phase.step === 'waiting' && isHuge && (
          <div className="flex flex-wrap items-center gap-3">
            <Button look="solid" onClick={run} data-testid="verify-button">
              Verify {receipt.usage.records.toLocaleString('en-US')} records
            </Button>
            <span className="text-ink-3 text-xs">Every record, in this browser. It may take a moment.</span>
          </div>
        )}
        {(phase.step === 'checking' || (phase.step === 'waiting' && !isHuge)) && (
          <p role="status" className="breathe text-ink-2 text-sm">
            Checking {receipt.usage.records.toLocaleString('en-US')} {receipt.usage.records === 1 ? 'record' : 'records'}…
          </p>
        )}
        {phase.step === 'broken' && (
          <Notice tone="warn" title="The receipt could not be checked here">
            {phase.why} Nothing is known about it yet.
          </Notice>
        )}
        {checked && (
          <>
            <Verdict report={checked.report} advice={<DisputeAdvice receipt={receipt} />} />
            <CheckList checks={checked.report.checks} />
          </>
        )}
        <p className="text-ink-3 text-xs">
          Checked by this browser alone, nobody is asked: cut the network and{' '}
          <button type="button" className={link} onClick={run} data-testid="verify-again">
            verify again
          </button>
          . Whoever has the downloaded file can{' '}
          <Link href="/verify" className={link}>
            drop it here
          </Link>{' '}
          or run <code className="font-mono">npx flow402 verify</code>.
        </p>
      </div>
    </Panel>
  )
}

function DisputeAdvice({ receipt }: { receipt: Receipt }) {
  return (
    <>
      Download the receipt and keep it. Until 24 hours after the rental’s end you can dispute it with{' '}
      <code className="break-all font-mono text-xs">POST /api/rentals/{receipt.rentalId}/dispute</code>; what the provider was not paid yet
      is then held until somebody decides.
    </>
  )
}
