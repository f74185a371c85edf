// What every client component may ask for: the network the market is paid on, and the typed client of its API.
'use client'
import type { NetworkView } from '@flow402/protocol/network'
import { type MarketClient, marketClient } from '@flow402/sdk/client'
import { createContext, type ReactNode, use, useMemo } from 'react'

type Market = { network: NetworkView; client: MarketClient }
const MarketContext = createContext<Market | null>(null)

/** Gives the pages their network and client; `client` may be replaced in tests. */
export function MarketProvider({ network, client, children }: { network: NetworkView; client?: MarketClient; children: ReactNode }) {
  const market = useMemo(() => ({ network, client: client ?? browserClient() }), [network, client])
  return <MarketContext value={market}>{children}</MarketContext>
}

/** The market of this page; throws outside MarketProvider. */
export function useMarket(): Market {
  const market = use(MarketContext)
  if (!market) throw new Error('useMarket needs a MarketProvider above it')
  return market
}

/** The API is on the page's own origin; during server rendering nothing is ever sent with it. */
function browserClient(): MarketClient {
  return marketClient({ baseUrl: typeof window === 'undefined' ? 'http://localhost' : window.location.origin })
}
