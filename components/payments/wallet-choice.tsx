// The choice of a wallet, with its balance, and the faucet where test money comes from.
'use client'
import { useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { Button } from '../ui/button.tsx'
import { Copyable } from '../ui/copyable.tsx'
import { Usd } from '../ui/money.tsx'
import type { Payer } from './use-payer.ts'

const faucetAtoms = 10_000_000n

/** Radio buttons for the wallets of this browser; the test wallet is plainly labelled. */
export function WalletChoice({ payer }: { payer: Payer }) {
  return (
    <fieldset>
      <legend className="mb-1.5 font-medium text-sm">Pay from</legend>
      <div className="@container divide-y divide-line overflow-hidden rounded-md border border-line">
        {payer.options.map((option) => (
          <label
            key={option.id}
            data-testid={option.isTest ? 'wallet-test' : 'wallet-option'}
            className="flex min-h-10 items-center gap-2.5 px-3 py-1.5 text-sm hover:bg-raised/60"
          >
            <input
              type="radio"
              name="wallet"
              className="size-4 accent-[var(--accent)]"
              checked={payer.selected?.id === option.id}
              onChange={() => payer.select(option)}
            />
            {/* biome-ignore lint/performance/noImgElement: wallets bring their icon as a data URL */}
            {option.icon?.startsWith('data:image/') && <img src={option.icon} alt="" className="size-4 rounded-sm" />}
            <span className="font-medium">{option.name}</span>
            {option.isTest && <span className="ml-auto text-warn text-xs">in this browser, test USDC</span>}
          </label>
        ))}
        {payer.isReady && payer.options.length === 0 && (
          <p className="px-3 py-2.5 text-ink-2 text-sm">
            No Solana wallet was found in this browser. Install one that supports Wallet Standard, then come back.
          </p>
        )}
        {!payer.isReady && <p className="px-3 py-2.5 text-ink-3 text-sm">Looking for wallets…</p>}
        <Holdings payer={payer} />
      </div>
      {payer.error && (
        <p role="alert" className="mt-1.5 text-bad text-xs">
          {payer.error}
        </p>
      )}
    </fieldset>
  )
}

function Holdings({ payer }: { payer: Payer }) {
  const { network } = useMarket()
  if (!payer.selected) return null
  return (
    <div className="flex min-h-11 flex-wrap items-center justify-between gap-x-3 gap-y-1 bg-raised/40 px-3 py-1.5 text-sm">
      {payer.connection ? (
        <Copyable text={payer.connection.address} label="address" head={4} tail={4} />
      ) : (
        <span className="text-ink-3 text-xs">{payer.error ? 'Not connected' : 'Connecting…'}</span>
      )}
      <span className="flex items-center gap-2 @max-xs:grow @max-xs:justify-between">
        <span data-testid="usdc-balance" className="num whitespace-nowrap" aria-live="polite">
          {payer.balance === undefined ? <span className="text-ink-3">…</span> : <Usd atoms={payer.balance} />}{' '}
          <span className="text-ink-3 text-xs">USDC</span>
        </span>
        {payer.selected.isTest && network.faucetUrl && <FaucetButton faucetUrl={network.faucetUrl} payer={payer} />}
      </span>
    </div>
  )
}

function FaucetButton({ faucetUrl, payer }: { faucetUrl: string; payer: Payer }) {
  const [phase, setPhase] = useState<'idle' | 'asking' | 'failed'>('idle')
  const address = payer.connection?.address
  const ask = async () => {
    if (!address) return
    setPhase('asking')
    try {
      const { askFaucet } = await import('@flow402/sdk/pay-test-wallet')
      await askFaucet(faucetUrl, address, faucetAtoms)
      payer.reloadBalance()
      setPhase('idle')
    } catch {
      setPhase('failed')
    }
  }
  return (
    <Button
      size="sm"
      data-testid="faucet-button"
      className="w-28"
      disabled={!address || phase === 'asking'}
      onClick={ask}
      title="Get 10 test USDC from the local faucet"
    >
      {phase === 'asking' ? 'Asking…' : phase === 'failed' ? 'Faucet failed' : 'Get 10 USDC'}
    </Button>
  )
}
