// One rental: state and money, terminal and logs, extend and stop, and at the end the receipt.
'use client'
import { canRental, type Rental } from '@flow402/protocol/rental'
import { MarketError } from '@flow402/sdk/market-error'
import Link from 'next/link'
import { useCallback, useEffect, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { unitParts } from '../offers/offer-words.ts'
import { TerminalView } from '../terminal/terminal-view.tsx'
import { buttonClass } from '../ui/button.tsx'
import { Copyable } from '../ui/copyable.tsx'
import { minutesText } from '../ui/duration.ts'
import { HourlyPrice } from '../ui/money.tsx'
import { Empty, Notice } from '../ui/notice.tsx'
import { Facts, Panel } from '../ui/panel.tsx'
import { useNow } from '../ui/use-now.ts'
import { usePolled } from '../ui/use-polled.ts'
import { takeTokenFromAddress, useKeptRentals } from './kept-rentals.ts'
import { LogView } from './log-view.tsx'
import { ManagePanel } from './manage-panel.tsx'
import { ReceiptView } from './receipt-view.tsx'
import { RentalSummary } from './rental-summary.tsx'
import { stateWords } from './rental-words.ts'

type Seen = { rental: Rental; offsetMs: number }

/** Needs the access token of this browser's store or of `#token=`; without it there is nothing to see. */
export function RentalPage({ id }: { id: string }) {
  const [isReady, setReady] = useState(false)
  useEffect(() => {
    takeTokenFromAddress(id)
    setReady(true)
  }, [id])
  const kept = useKeptRentals().find((entry) => entry.id === id)
  if (!isReady) return <Loading />
  if (!kept) {
    return (
      <Panel>
        <Empty isPage title="This browser has no access to this rental" action={<RentalsLink />}>
          The access token was given once, when the rental was paid. Open the page in the browser that paid, or with a link that ends in
          #token=…
        </Empty>
      </Panel>
    )
  }
  return <LiveRental id={id} accessToken={kept.accessToken} label={kept.label} />
}

function LiveRental({ id, accessToken, label }: { id: string; accessToken: string; label: string }) {
  const { client } = useMarket()
  const [isOver, setOver] = useState(false)
  const load = useCallback(
    async (signal: AbortSignal): Promise<Seen> => {
      const response = await client.send('getRental', { params: { id }, accessToken, signal })
      const rental = await client.read('getRental', response)
      setOver(rental.state === 'settled' || rental.state === 'expired')
      return { rental, offsetMs: clockOffset(response) }
    },
    [client, id, accessToken],
  )
  const { data, error, reload } = usePolled<Seen>(load, isOver ? 60_000 : 1500)
  const rental = data?.rental
  const nowMs = useNow(1000, rental?.state === 'running') + (data?.offsetMs ?? 0)
  if (!rental) return error ? <Unreadable error={error} retry={reload} /> : <Loading />
  return (
    <div className="space-y-4">
      <RentalSummary
        rental={rental}
        nowMs={nowMs}
        title={label || `${rental.node.name}, ${unitParts(rental.kind, rental.perUnit, rental.units)[0]}`}
      />
      {error !== null && (
        <Notice tone="warn">The market does not answer right now; this is how it was last seen. Paid time is not affected.</Notice>
      )}
      {rental.state === 'running' && !rental.node.online && (
        <Notice tone="warn">The machine has not reported for a while. If it stays silent, only confirmed seconds are billed.</Notice>
      )}
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 lg:grid-cols-[minmax(0,1fr)_20rem]">
        <div className="space-y-4">
          {rental.state === 'settled' && <Receipted rental={rental} accessToken={accessToken} />}
          <Console rental={rental} accessToken={accessToken} />
        </div>
        <div className="space-y-4">
          <ManagePanel rental={rental} accessToken={accessToken} nowMs={nowMs} onChanged={reload} />
          <Panel title="Details">
            <Facts
              rows={[
                { name: 'Machine', value: `${rental.node.name}, ${rental.node.region}` },
                { name: 'Size', value: unitParts(rental.kind, rental.perUnit, rental.units).join(' · ') },
                { name: 'Paid for', value: minutesText(rental.minutes) },
                { name: 'Price per unit', value: <HourlyPrice atomsPerHour={BigInt(rental.priceAtomsPerHour)} /> },
                { name: 'Image', value: rental.image ?? 'provider’s default' },
                {
                  name: 'Paid until',
                  value: rental.paidUntil ? <time dateTime={rental.paidUntil}>{timeText(rental.paidUntil)}</time> : 'starts when ready',
                },
                { name: 'Paid by', value: rental.payer ? <Copyable text={rental.payer} label="payer" head={4} /> : '—' },
                { name: 'Rental', value: <Copyable text={rental.id} label="rental id" head={8} /> },
                { name: 'Access token', value: <Copyable text={accessToken} label="access token" head={4} tail={0} /> },
              ]}
            />
          </Panel>
        </div>
      </div>
    </div>
  )
}

function Console({ rental, accessToken }: { rental: Rental; accessToken: string }) {
  const [wanted, setWanted] = useState<'terminal' | 'logs' | null>(null)
  const isRunning = rental.state === 'running'
  const isOver = rental.state === 'settled' || rental.state === 'expired'
  const tab = wanted ?? (isRunning || !canRental(rental.state, 'logs') ? 'terminal' : 'logs')
  return (
    <section className="min-w-0 overflow-hidden rounded-lg border border-line bg-panel" aria-label="Console">
      <div role="tablist" aria-label="Console" className="flex h-10 items-stretch gap-1 border-line border-b px-2 text-sm">
        {(['terminal', 'logs'] as const).map((name) => (
          <button
            key={name}
            type="button"
            role="tab"
            id={`tab-${name}`}
            aria-selected={tab === name}
            aria-controls="console-panel"
            onClick={() => setWanted(name)}
            className="relative px-2 text-ink-2 capitalize hover:text-ink aria-selected:font-medium aria-selected:text-ink aria-selected:after:absolute aria-selected:after:inset-x-2 aria-selected:after:-bottom-px aria-selected:after:h-px aria-selected:after:bg-ink"
          >
            {name}
          </button>
        ))}
      </div>
      <div
        id="console-panel"
        role="tabpanel"
        aria-labelledby={`tab-${tab}`}
        className={isOver ? 'flex max-h-[27rem] flex-col' : 'h-[27rem]'}
      >
        {tab === 'logs' && <LogView rentalId={rental.id} state={rental.state} accessToken={accessToken} />}
        {tab === 'terminal' && isRunning && (
          // Inside, free and top show the provider's whole machine; the limit is the container's.
          <TerminalView
            rentalId={rental.id}
            accessToken={accessToken}
            limits={unitParts(rental.kind, rental.perUnit, rental.units).join(' · ')}
          />
        )}
        {tab === 'terminal' && !isRunning && (
          <Empty title={canRental(rental.state, 'stop') ? 'The terminal opens when the machine runs' : 'The machine is gone'}>
            {stateWords[rental.state].meaning}
          </Empty>
        )}
      </div>
    </section>
  )
}

function Receipted({ rental, accessToken }: { rental: Rental; accessToken: string }) {
  const { client, network } = useMarket()
  const load = useCallback(
    (signal: AbortSignal) => client.getReceipt({ params: { id: rental.id }, accessToken, signal }),
    [client, rental.id, accessToken],
  )
  const { data, error, reload } = usePolled(load, 60_000)
  if (data) return <ReceiptView receipt={data} network={network} />
  if (error) {
    return (
      <Notice tone="warn" title="The receipt could not be loaded">
        <button type="button" className="underline" onClick={reload}>
          Try again
        </button>
      </Notice>
    )
  }
  return <div className="breathe h-64 rounded-lg border border-line bg-panel" aria-busy="true" />
}

function Unreadable({ error, retry }: { error: unknown; retry: () => void }) {
  const isUnknown = error instanceof MarketError && (error.code === 'rental_not_found' || error.code === 'unauthorized')
  return (
    <Panel>
      <Empty
        isPage
        title={isUnknown ? 'No such rental' : 'The market does not answer'}
        action={
          isUnknown ? (
            <RentalsLink />
          ) : (
            <button type="button" className={buttonClass()} onClick={retry}>
              Try again
            </button>
          )
        }
      >
        {isUnknown
          ? 'It does not exist in this market, or the access token kept here is not its own.'
          : 'Paid time goes on without the market: the machine keeps its own clock.'}
      </Empty>
    </Panel>
  )
}

function RentalsLink() {
  return (
    <Link href="/rentals" className={buttonClass()}>
      Rentals of this browser
    </Link>
  )
}

function Loading() {
  return (
    <div className="space-y-4" aria-busy="true" role="status">
      <span className="sr-only">Loading the rental</span>
      <div className="breathe h-44 rounded-lg border border-line bg-panel" />
      <div className="grid gap-4 lg:grid-cols-[minmax(0,1fr)_20rem]">
        <div className="breathe h-[29.5rem] rounded-lg border border-line bg-panel" />
        <div className="breathe h-96 rounded-lg border border-line bg-panel" />
      </div>
    </div>
  )
}

/** How far this browser's clock is behind the market's; small differences are the Date header's whole seconds and do not count. */
function clockOffset(response: Response): number {
  const date = Date.parse(response.headers.get('date') ?? '')
  const offsetMs = date - Date.now()
  return Number.isFinite(offsetMs) && Math.abs(offsetMs) > 2500 ? offsetMs : 0
}

function timeText(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' })
}
