// The market's front: filters that live in the address bar, and the list of offers, renewed every five seconds.
'use client'
import type { Offer, OfferQuery } from '@flow402/protocol/offer'
import type { MarketClient } from '@flow402/sdk/client'
import { usePathname, useSearchParams } from 'next/navigation'
import { useCallback, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { Button } from '../ui/button.tsx'
import { usePolled } from '../ui/use-polled.ts'
import { type OfferFilters, offerQueryOf, readOfferFilters } from './offer-filters.ts'
import { OfferList, type OfferListState } from './offer-list.tsx'

type Page = { items: readonly Offer[]; nextCursor: string | null }
const everyMs = 5000
const kinds = [
  { value: undefined, label: 'All' },
  { value: 'ram', label: 'RAM' },
  { value: 'gpu', label: 'GPU' },
] as const

/** `initial` is what the server read for the filters of the address; later answers come from the API. */
export function OffersBoard({ initial, regions }: { initial: Page; regions: readonly string[] }) {
  const { client } = useMarket()
  const path = usePathname()
  const search = useSearchParams()
  const filters = readOfferFilters(Object.fromEntries(search))
  const [pages, setPages] = useState(1)
  const key = search.toString()
  const load = useCallback(
    (signal: AbortSignal) => loadPages(client, offerQueryOf(readOfferFilters(Object.fromEntries(new URLSearchParams(key)))), pages, signal),
    [client, key, pages],
  )
  const { data, error, isLoading, reload } = usePolled<Page>(load, everyMs, initial)
  const choose = (change: Partial<OfferFilters>) => {
    const next = new URLSearchParams()
    for (const [name, value] of Object.entries({ ...filters, ...change })) if (value) next.set(name, value)
    setPages(1)
    window.history.replaceState(null, '', next.size > 0 ? `${path}?${next}` : path)
  }
  const hasFilters = Object.values(filters).some(Boolean)
  const offers = (data?.items ?? []).filter((offer) => !filters.available || (offer.online && offer.unitsAvailable > 0))
  const state: OfferListState =
    data === undefined && error
      ? { kind: 'failed', reason: error instanceof Error ? error.message : 'Unknown reason', retry: reload }
      : isLoading
        ? { kind: 'loading' }
        : { kind: 'ready', offers }
  return (
    <div>
      <div className="mb-3 flex flex-wrap items-center gap-2">
        <fieldset className="flex rounded-md border border-line-strong bg-panel p-px text-sm">
          <legend className="sr-only">Kind</legend>
          {kinds.map(({ value, label }) => (
            <button
              key={label}
              type="button"
              aria-pressed={filters.kind === value}
              onClick={() => choose({ kind: value })}
              className="h-7 rounded-[5px] px-3 text-ink-2 hover:text-ink aria-pressed:bg-raised aria-pressed:font-medium aria-pressed:text-ink"
            >
              {label}
            </button>
          ))}
        </fieldset>
        <label className="sr-only" htmlFor="region">
          Region
        </label>
        <select
          id="region"
          className="control max-w-40"
          value={filters.region ?? ''}
          onChange={(event) => choose({ region: event.target.value || undefined })}
        >
          <option value="">Every region</option>
          {[...new Set([...regions, ...(filters.region ? [filters.region] : [])])].map((region) => (
            <option key={region}>{region}</option>
          ))}
        </select>
        <label className="flex h-8 items-center gap-2 px-1 text-sm">
          <input
            type="checkbox"
            className="size-4 accent-[var(--accent)]"
            checked={filters.available === '1'}
            onChange={(event) => choose({ available: event.target.checked ? '1' : undefined })}
          />
          Free now
        </label>
        <p className="num ml-auto flex items-center gap-1.5 text-ink-3 text-xs" aria-live="polite">
          <span className={`size-1.5 rounded-full ${error ? 'bg-warn' : 'breathe bg-ok'}`} aria-hidden="true" />
          {error ? 'Not answering; shown as last seen' : `${offers.length} ${offers.length === 1 ? 'offer' : 'offers'}, live`}
        </p>
      </div>
      <OfferList
        state={state}
        hasFilters={hasFilters}
        clearFilters={() => choose({ kind: undefined, region: undefined, available: undefined })}
      />
      {data?.nextCursor && (
        <div className="mt-3 text-center">
          <Button onClick={() => setPages((count) => count + 1)}>Show more</Button>
        </div>
      )}
    </div>
  )
}

async function loadPages(client: MarketClient, query: OfferQuery, pages: number, signal: AbortSignal): Promise<Page> {
  let cursor: string | null = null
  const items: Offer[] = []
  for (let page = 0; page < pages; page += 1) {
    const answer = await client.listOffers({ query: { ...query, ...(cursor && { cursor }) }, signal })
    items.push(...answer.items)
    cursor = answer.nextCursor
    if (!cursor) break
  }
  return { items, nextCursor: cursor }
}
