// The banner over every page while the market runs on a local test chain.
import type { NetworkView } from '@flow402/protocol/network'

/** Shown when the network has a faucet, i.e. on the local chain only. */
export function NetworkBanner({ network }: { network: NetworkView }) {
  if (!network.faucetUrl) return null
  return (
    <aside
      aria-label="Test chain"
      className="border-warn/25 border-b bg-warn-soft px-4 py-1.5 text-center text-warn text-xs"
      data-testid="test-chain-banner"
    >
      <strong className="font-semibold">Local test chain:</strong> test USDC, no value
    </aside>
  )
}
