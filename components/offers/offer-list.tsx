// The list of offers: one line each, the price first; and what stands there when there is none.
import type { Offer } from '@flow402/protocol/offer'
import Link from 'next/link'
import { buttonClass } from '../ui/button.tsx'
import { HourlyPrice } from '../ui/money.tsx'
import { Empty } from '../ui/notice.tsx'
import { Availability } from './availability.tsx'
import { isolationWords, networkWords, unavailableReason, unitName, unitParts } from './offer-words.ts'

const columns = 'lg:grid lg:grid-cols-[minmax(0,1.3fr)_minmax(0,1.9fr)_minmax(0,1fr)_8rem_9.5rem_5rem] lg:items-center lg:gap-4'

/** What the list is in: still loading, failed (with a way to retry), or showing offers. */
export type OfferListState =
  | { kind: 'loading' }
  | { kind: 'failed'; reason: string; retry: () => void }
  | { kind: 'ready'; offers: readonly Offer[] }

/** `hasFilters` decides what an empty list says. */
export function OfferList({ state, hasFilters, clearFilters }: { state: OfferListState; hasFilters: boolean; clearFilters: () => void }) {
  return (
    <div className="overflow-hidden rounded-lg border border-line bg-panel">
      <div className={`hidden border-line border-b px-4 py-2 text-ink-3 text-xs ${columns}`} aria-hidden="true">
        <span>Machine</span>
        <span>One unit</span>
        <span>Isolation</span>
        <span>Available</span>
        <span>Price</span>
        <span />
      </div>
      {state.kind === 'loading' && <Skeleton />}
      {state.kind === 'failed' && (
        <Empty
          title="The offers could not be loaded"
          action={
            <button type="button" className={buttonClass()} onClick={state.retry}>
              Try again
            </button>
          }
        >
          {state.reason}
        </Empty>
      )}
      {state.kind === 'ready' && state.offers.length === 0 && (
        <Empty
          title={hasFilters ? 'No offer matches these filters' : 'No machine is offered yet'}
          action={
            hasFilters && (
              <button type="button" className={buttonClass()} onClick={clearFilters}>
                Clear filters
              </button>
            )
          }
        >
          {hasFilters
            ? 'Providers come and go; the list renews itself.'
            : 'Offers appear here as soon as a provider’s machine has passed its self-test.'}
        </Empty>
      )}
      {state.kind === 'ready' && state.offers.length > 0 && (
        <ul className="divide-y divide-line" aria-label="Offers">
          {state.offers.map((offer) => (
            <OfferRow key={offer.id} offer={offer} />
          ))}
        </ul>
      )}
    </div>
  )
}

function OfferRow({ offer }: { offer: Offer }) {
  const [main, ...rest] = unitParts(offer.kind, offer.perUnit)
  const reason = unavailableReason(offer)
  const href = `/offers/${offer.id}`
  return (
    <li
      data-testid="offer-row"
      data-offer-id={offer.id}
      className={`relative grid grid-cols-2 gap-x-4 gap-y-3 px-4 py-3 hover:bg-raised/50 ${columns}`}
    >
      <div className="min-w-0">
        <Link href={href} className="block truncate font-medium after:absolute after:inset-0 after:content-['']">
          {offer.nodeName}
        </Link>
        <span className="block truncate text-ink-2 text-xs">{offer.region}</span>
      </div>
      <div className="min-w-0 max-lg:order-3 max-lg:col-span-2">
        <span className="block font-medium text-sm lg:truncate">{main}</span>
        <span className="num block text-ink-2 text-xs lg:truncate">
          {rest.join(' · ')}
          <span className="lg:hidden">
            {' · '}
            {isolationWords[offer.isolation].name} · {networkWords[offer.network].name}
          </span>
        </span>
      </div>
      <div className="min-w-0 max-lg:hidden">
        <span className="block text-sm" title={isolationWords[offer.isolation].meaning}>
          {isolationWords[offer.isolation].name}
        </span>
        <span className="block text-ink-2 text-xs" title={networkWords[offer.network].meaning}>
          {networkWords[offer.network].name}
        </span>
      </div>
      <div className="max-lg:order-5">
        <Availability offer={offer} />
      </div>
      <div className="text-sm max-lg:order-2 max-lg:text-right">
        <HourlyPrice atomsPerHour={BigInt(offer.priceAtomsPerHour)} per={unitName(offer)} isStacked />
      </div>
      <div className="relative self-center text-right max-lg:order-6">
        {reason ? (
          <span className={`${buttonClass('outline')} opacity-45`} title={reason} aria-disabled="true">
            {offer.online ? 'Rented' : 'Offline'}
          </span>
        ) : (
          <Link href={href} data-testid="rent-link" className={buttonClass('outline')} aria-label={`Rent ${offer.nodeName}`}>
            Rent
          </Link>
        )}
      </div>
    </li>
  )
}

function Skeleton() {
  return (
    <div aria-busy="true" role="status">
      <span className="sr-only">Loading offers</span>
      {[0, 1, 2, 3].map((row) => (
        <div key={row} className="flex h-[3.75rem] items-center gap-4 border-line border-b px-4 last:border-b-0">
          <span className="breathe h-3 w-40 rounded-sm bg-raised" />
          <span className="breathe h-3 flex-1 rounded-sm bg-raised" />
          <span className="breathe h-3 w-24 rounded-sm bg-raised" />
        </div>
      ))}
    </div>
  )
}
