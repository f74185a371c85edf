// The footer: which chain and which account the money goes through, and where errors are explained.
import type { NetworkView } from '@flow402/protocol/network'
import Link from 'next/link'

const chainNames: Record<string, string> = {
  'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp': 'Solana mainnet',
  'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1': 'Solana devnet',
  'solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z': 'Solana testnet',
}

export function SiteFooter({ network }: { network: NetworkView }) {
  const chain = network.faucetUrl ? 'Local Solana (test)' : (chainNames[network.network] ?? network.network)
  return (
    <footer className="border-line border-t text-ink-3 text-xs">
      <div className="mx-auto flex w-full max-w-6xl flex-wrap items-center gap-x-5 gap-y-1 px-4 py-4 sm:px-6">
        <span>USDC on {chain}</span>
        <span className="num">Market fee {network.feeBps / 100} %, paid by the provider</span>
        <span className="flex flex-wrap gap-x-4 gap-y-1 sm:ml-auto">
          <Link href="/reserves" className="hover:text-ink">
            Reserves
          </Link>
          <Link href="/verify" className="hover:text-ink">
            Verify a receipt
          </Link>
          <Link href="/errors" className="hover:text-ink">
            Error codes
          </Link>
          <Link href="/docs" className="hover:text-ink">
            Rent with a program
          </Link>
        </span>
      </div>
    </footer>
  )
}
