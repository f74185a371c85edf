// The head of a rental: its steps, why it ended, and the three numbers that matter: time left, cost so far, what is unspent.
import type { Rental } from '@flow402/protocol/rental'
import type { ReactNode } from 'react'
import { clockText, minutesText } from '../ui/duration.ts'
import { Usd } from '../ui/money.tsx'
import { liveCost } from './live-cost.ts'
import { endWords, stateWords, stepStatus, steps } from './rental-words.ts'
import { StateBadge } from './state-badge.tsx'

const marks = { done: 'bg-ink', now: 'bg-ok', next: 'bg-line-strong', skipped: 'bg-line' }

/** `nowMs` is the market's clock as this browser knows it. */
export function RentalSummary({ rental, nowMs, title }: { rental: Rental; nowMs: number; title: string }) {
  const live = liveCost(rental, nowMs)
  const isRunning = rental.state === 'running'
  const paidSeconds = rental.minutes * 60
  const share =
    rental.state === 'settled' || rental.state === 'ending'
      ? live.ranSeconds / paidSeconds
      : isRunning
        ? 1 - live.leftSeconds / paidSeconds
        : 0
  return (
    <section className="rounded-lg border border-line bg-panel" aria-label="State">
      <div className="flex flex-col gap-x-6 gap-y-3 p-4 lg:flex-row lg:items-start lg:justify-between">
        <div className="min-w-0">
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <h1 className="truncate font-semibold text-lg">{title}</h1>
            <StateBadge state={rental.state} testId="rental-state" />
          </div>
          <p className="mt-1 max-w-prose text-ink-2 max-sm:min-h-10 sm:min-h-5 text-sm" aria-live="polite">
            {rental.endReason && `${endWords[rental.endReason]} `}
            {stateWords[rental.state].meaning}
          </p>
          {rental.endDetail && <p className="mt-1 max-w-prose break-words font-mono text-ink-3 text-xs">{rental.endDetail}</p>}
        </div>
        <ol className="flex w-full shrink-0 gap-1.5 text-2xs lg:w-80" aria-label="Progress">
          {steps.map((step) => {
            const status = stepStatus(rental, step)
            return (
              <li key={step} className="flex-1" aria-current={status === 'now' ? 'step' : undefined}>
                <span className={`block h-1 rounded-full ${marks[status]} ${status === 'now' && !isRunning ? 'breathe' : ''}`} />
                <span
                  className={`mt-1 block ${status === 'now' ? 'font-medium text-ink' : 'text-ink-3'} ${status === 'skipped' ? 'line-through' : ''}`}
                >
                  {stateWords[step].name}
                </span>
                <span className="sr-only">{status === 'done' ? ', done' : status === 'skipped' ? ', skipped' : ''}</span>
              </li>
            )
          })}
        </ol>
      </div>
      <div className="h-0.5 bg-line" aria-hidden="true">
        <div className={`h-full ${isRunning ? 'bg-ok' : 'bg-ink-3'}`} style={{ width: `${Math.min(100, Math.max(0, share * 100))}%` }} />
      </div>
      <div className="grid grid-cols-3 divide-x divide-line">
        <Figure name={rental.endedAt ? 'Ran' : 'Time left'} note={`of ${minutesText(rental.minutes)} paid`}>
          <span data-testid="time-left">
            {rental.endedAt || !isRunning ? clockText(rental.endedAt ? live.ranSeconds : paidSeconds) : clockText(live.leftSeconds)}
          </span>
        </Figure>
        <Figure name={live.isFinal ? 'Charged' : 'Cost so far'} note={rental.startedAt ? 'minimum 1 min' : 'not billed yet'}>
          <Usd atoms={live.costAtoms} minDecimals={6} testId="cost-so-far" />
        </Figure>
        <Figure
          name={live.isFinal ? 'Refunded' : 'Unspent'}
          note={
            <>
              of <Usd atoms={rental.prepaidAtoms} /> prepaid
            </>
          }
        >
          <Usd atoms={live.isFinal ? rental.refundAtoms : live.unspentAtoms} minDecimals={6} />
        </Figure>
      </div>
    </section>
  )
}

function Figure({ name, note, children }: { name: string; note: ReactNode; children: ReactNode }) {
  return (
    <div className="min-w-0 px-4 py-3 max-sm:px-3">
      <p className="text-ink-2 text-xs">{name}</p>
      <p className="num mt-0.5 font-semibold text-[clamp(0.9375rem,2.6vw,1.375rem)] tracking-tight">{children}</p>
      <p className="num text-2xs text-ink-3">{note}</p>
    </div>
  )
}
