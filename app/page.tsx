// The market: every offer, cheapest first.
import { offerQueryOf, readOfferFilters } from '../components/offers/offer-filters.ts'
import { OffersBoard } from '../components/offers/offers-board.tsx'
import { house } from '../lib/house.ts'

export default async function MarketPage({ searchParams }: { searchParams: Promise<Record<string, string | string[] | undefined>> }) {
  const filters = readOfferFilters(await searchParams)
  const [initial, all] = await Promise.all([house().listOffers(offerQueryOf(filters)), house().listOffers({ limit: 100 })])
  const regions = [...new Set(all.items.map((offer) => offer.region))].sort()
  return (
    <>
      <div className="mb-5">
        <h1 className="font-semibold text-xl">Machines by the minute</h1>
        <p className="mt-1 max-w-2xl text-ink-2 text-sm">
          RAM and GPUs on other people’s machines. Pay in USDC with one request, no account; stop when you like and the unspent rest comes
          back to your wallet.
        </p>
      </div>
      <OffersBoard initial={initial} regions={regions} />
    </>
  )
}
