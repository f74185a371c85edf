// The price breakdown: what is paid now, what comes back when stopping early, and who gets the rest.
'use client'
import { type CSSProperties, useId, useState } from 'react'
import { minutesText } from '../ui/duration.ts'
import { perMinuteText, Usd } from '../ui/money.tsx'
import { Facts } from '../ui/panel.tsx'
import { costOf, type Plan, splitAfter } from './cost.ts'

/** Shows the whole exposure first: nothing can cost more than the prepaid amount. */
export function PriceBreakdown({ plan }: { plan: Plan }) {
  const id = useId()
  const [share, setShare] = useState(50)
  const { prepaid, perHour } = costOf(plan)
  const stopAfter = Math.min(plan.minutes, Math.max(1, Math.round((plan.minutes * share) / 100)))
  const split = splitAfter(plan, stopAfter)
  return (
    <div className="space-y-3">
      <Facts
        rows={[
          { name: 'Per hour', value: <Usd atoms={perHour} />, note: `${perMinuteText(perHour)} per minute, billed by the second` },
          {
            name: `Prepaid for ${minutesText(plan.minutes)}`,
            value: <Usd atoms={prepaid} testId="breakdown-prepaid" />,
            strong: true,
            note: 'The most this can cost',
          },
        ]}
      />
      <div className="rounded-md bg-raised/60 px-3 py-2">
        <div className="flex items-baseline justify-between gap-3 text-sm">
          <label htmlFor={id} className="text-ink-2">
            If you stop after <span className="num font-medium text-ink">{minutesText(stopAfter)}</span>
          </label>
        </div>
        <input
          id={id}
          type="range"
          className="slider w-full"
          min={0}
          max={100}
          step={1}
          value={share}
          aria-valuetext={`stop after ${minutesText(stopAfter)}`}
          style={{ '--filled': `${share}%` } as CSSProperties}
          onChange={(event) => setShare(event.target.valueAsNumber)}
        />
        <Facts
          rows={[
            { name: 'You pay', value: <Usd atoms={split.chargedAtoms} testId="breakdown-charge" /> },
            { name: 'Back to your wallet', value: <Usd atoms={split.refundAtoms} testId="breakdown-refund" />, strong: true },
          ]}
        />
      </div>
      <p className="text-ink-3 text-xs">
        Of what you pay, the provider gets <Usd atoms={split.payoutAtoms} testId="breakdown-payout" /> and the market{' '}
        <Usd atoms={split.feeAtoms} testId="breakdown-fee" />; its fee is taken from the provider’s side. Starting is free. Once running, at
        least one minute is billed.
      </p>
    </div>
  )
}
