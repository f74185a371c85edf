// The rentals of this browser with their live state, and payments that still wait for their answer.
'use client'
import type { Rental } from '@flow402/protocol/rental'
import { MarketError } from '@flow402/sdk/market-error'
import Link from 'next/link'
import { useCallback, useEffect, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { type KeptPayment, useKeptPayments } from '../payments/kept-payments.ts'
import { usePayment } from '../payments/use-payment.ts'
import { Button, buttonClass } from '../ui/button.tsx'
import { clockText } from '../ui/duration.ts'
import { Usd } from '../ui/money.tsx'
import { Empty, Notice } from '../ui/notice.tsx'
import { useNow } from '../ui/use-now.ts'
import { usePolled } from '../ui/use-polled.ts'
import { forgetRental, type KeptRental, keepRental, useKeptRentals } from './kept-rentals.ts'
import { liveCost } from './live-cost.ts'
import { StateBadge } from './state-badge.tsx'

type Found = Record<string, Rental | 'gone'>

/** Everything here is in this browser only. */
export function RentalsList() {
  const { client } = useMarket()
  const kept = useKeptRentals()
  const payments = useKeptPayments()
  const [isReady, setReady] = useState(false)
  useEffect(() => setReady(true), [])
  const load = useCallback(
    async (signal: AbortSignal): Promise<Found> => {
      const answers = kept.map(({ id, accessToken }) =>
        client.getRental({ params: { id }, accessToken, signal }).catch((error: unknown) => {
          if (error instanceof MarketError && (error.status === 404 || error.status === 401)) return 'gone' as const
          throw error
        }),
      )
      return Object.fromEntries((await Promise.all(answers)).map((answer, index) => [kept[index]?.id, answer]))
    },
    [client, kept],
  )
  const { data, error } = usePolled<Found>(kept.length > 0 ? load : null, 4000)
  const nowMs = useNow(1000)
  if (!isReady) return <div className="breathe h-48 rounded-lg border border-line bg-panel" aria-busy="true" />
  return (
    <div className="space-y-4">
      {payments.map((payment) => (
        <UnansweredPayment key={payment.paymentId} payment={payment} />
      ))}
      {error !== null && <Notice tone="warn">The market does not answer right now; states are as last seen.</Notice>}
      <div className="overflow-hidden rounded-lg border border-line bg-panel">
        {kept.length === 0 ? (
          <Empty
            title="No rental in this browser yet"
            action={
              <Link href="/" className={buttonClass('solid')}>
                See the market
              </Link>
            }
          >
            There is no account: a rental belongs to whoever holds its access token, and this browser keeps the tokens of what it rented.
          </Empty>
        ) : (
          <ul className="divide-y divide-line" aria-label="Rentals of this browser">
            {kept.map((entry) => (
              <RentalRow key={entry.id} kept={entry} found={data?.[entry.id]} nowMs={nowMs} />
            ))}
          </ul>
        )}
      </div>
    </div>
  )
}

function RentalRow({ kept, found, nowMs }: { kept: KeptRental; found: Rental | 'gone' | undefined; nowMs: number }) {
  const rental = found === 'gone' ? undefined : found
  const live = rental && liveCost(rental, nowMs)
  const canForget = rental === undefined || rental.state === 'settled' || rental.state === 'expired'
  return (
    <li className="relative grid grid-cols-[minmax(0,1fr)_auto_auto] items-center gap-x-4 gap-y-1 px-4 py-3 hover:bg-raised/50 sm:grid-cols-[minmax(0,1fr)_6.5rem_8rem_9rem_4.5rem]">
      <div className="min-w-0 max-sm:col-span-2">
        <Link href={`/rentals/${kept.id}`} className="block truncate font-medium text-sm after:absolute after:inset-0 after:content-['']">
          {kept.label || rental?.node.name || 'Rental'}
        </Link>
        <span className="block truncate font-mono text-2xs text-ink-3">{kept.id}</span>
      </div>
      <span className="justify-self-end sm:justify-self-start">
        {rental ? (
          <StateBadge state={rental.state} />
        ) : (
          <span className="text-ink-3 text-xs">{found === 'gone' ? 'Unknown here' : '…'}</span>
        )}
      </span>
      <span className="num text-sm max-sm:text-xs">
        {rental?.state === 'running' && live ? (
          `${clockText(live.leftSeconds)} left`
        ) : rental ? (
          <time className="text-ink-3">{dayText(rental.createdAt)}</time>
        ) : (
          ''
        )}
      </span>
      <span className="num text-right text-sm max-sm:text-xs">{live ? <Usd atoms={live.costAtoms} minDecimals={6} /> : ''}</span>
      <span className="relative text-right">
        <Button
          look="quiet"
          size="sm"
          disabled={!canForget}
          className="-mr-2.5"
          title={canForget ? 'Remove from this list; the token kept here is lost' : 'It can be forgotten once it has ended'}
          onClick={() => forgetRental(kept.id)}
        >
          Forget
        </Button>
      </span>
    </li>
  )
}

function UnansweredPayment({ payment }: { payment: KeptPayment }) {
  const { client } = useMarket()
  const onPaid = useCallback((answer: { rentalId: string; accessToken?: string }) => {
    if (answer.accessToken) keepRental({ id: answer.rentalId, accessToken: answer.accessToken, label: '' })
  }, [])
  const { phase, resume } = usePayment(client, onPaid)
  const isAsking = phase.step === 'settling'
  return (
    <Notice
      tone="warn"
      title={phase.step === 'failed' && !phase.words.isUnsure ? phase.words.title : 'A payment of this browser has no answer yet'}
    >
      <div className="flex flex-wrap items-center justify-between gap-3">
        <span>
          {phase.step === 'failed' && !phase.words.isUnsure ? (
            phase.words.text
          ) : (
            <>
              <Usd atoms={payment.price.prepaidAtoms} /> for {payment.price.minutes} minutes. Asking again can never charge it twice.
            </>
          )}
        </span>
        <Button size="sm" disabled={isAsking} onClick={() => void resume(payment, { name: 'requestRental', request: payment.input.body })}>
          {isAsking ? 'Asking…' : 'Ask again'}
        </Button>
      </div>
    </Notice>
  )
}

function dayText(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' })
}
