// The pay panel: choose a wallet, see the exact amount, pay; every way it can end says whether money moved.
'use client'
import { formatUsdc } from '@flow402/protocol/money'
import { useMarket } from '../layout/market-provider.tsx'
import { Button } from '../ui/button.tsx'
import { clockText } from '../ui/duration.ts'
import { Notice } from '../ui/notice.tsx'
import { useNow } from '../ui/use-now.ts'
import { usePayer } from './use-payer.ts'
import { type PayPhase, type Purchase, usePayment } from './use-payment.ts'
import { WalletChoice } from './wallet-choice.tsx'

type Props = {
  purchase: Purchase
  amountAtoms: bigint
  /** Why it cannot be paid now, from the side of the offer or rental; null when it can. */
  blockedReason: string | null
  verb: string
  onPaid: (answer: { rentalId: string; accessToken?: string }, purchase: Purchase) => void
}

/** Used for a new rental and for more minutes alike. */
export function PayPanel({ purchase, amountAtoms, blockedReason, verb, onPaid }: Props) {
  const { client, network } = useMarket()
  const payer = usePayer(network)
  const { phase, pay, resume, reset } = usePayment(client, onPaid)
  const isBusy = phase.step === 'quoting' || phase.step === 'signing' || phase.step === 'settling'
  const isShort = payer.balance !== undefined && payer.balance < amountAtoms
  const isUnsure = phase.step === 'failed' && phase.words.isUnsure
  const reason =
    blockedReason ??
    // Signing anew while an outcome is unknown could pay twice.
    (isUnsure ? 'A payment is still open; check it first' : null) ??
    (!payer.selected
      ? 'Choose a wallet'
      : !payer.connection
        ? 'The wallet is not connected yet'
        : payer.balance === undefined
          ? 'Reading the balance'
          : isShort
            ? `Not enough USDC for $${formatUsdc(amountAtoms)}${payer.selected.isTest ? ': use the faucet' : ''}`
            : null)
  const start = () => {
    if (!payer.connection) return
    void pay(purchase, amountAtoms, {
      signer: payer.connection.signer,
      rpcUrl: network.rpcUrl,
      network: network.network,
      expectedPayTo: network.payTo,
      expectedMint: network.usdcMint,
    })
  }
  return (
    <div className="space-y-3">
      <WalletChoice payer={payer} />
      <Button
        look="solid"
        size="lg"
        className="w-full"
        data-testid="pay-button"
        disabled={isBusy || reason !== null}
        aria-describedby="pay-reason"
        onClick={start}
      >
        {isBusy && <Spinner />}
        {isBusy ? 'Paying' : verb}{' '}
        <span className="num" data-testid="pay-amount">
          ${formatUsdc(amountAtoms)}
        </span>
      </Button>
      <div id="pay-reason" className="min-h-5 text-center text-ink-2 text-xs" aria-live="polite">
        {isBusy ? <Progress phase={phase} /> : (reason ?? 'USDC on Solana. No account, no card.')}
      </div>
      {phase.step === 'failed' && (
        <Notice tone={phase.words.isUnsure ? 'warn' : 'bad'} title={phase.words.title} testId="pay-error">
          <p>{phase.words.text}</p>
          <div className="mt-2 flex gap-2">
            {phase.signed && (
              <Button size="sm" onClick={() => phase.signed && void resume(phase.signed, purchase)}>
                Check again
              </Button>
            )}
            {!phase.words.isUnsure && (
              <Button size="sm" onClick={reset}>
                Dismiss
              </Button>
            )}
          </div>
        </Notice>
      )}
    </div>
  )
}

function Progress({ phase }: { phase: PayPhase }) {
  if (phase.step === 'quoting') return <>1 of 3 · Asking the market for a signed price</>
  if (phase.step === 'signing') {
    return (
      <>
        2 of 3 · Confirm in your wallet <QuoteCountdown expiresAt={phase.expiresAt} />
      </>
    )
  }
  if (phase.step === 'settling')
    return <>3 of 3 · {phase.isPending ? 'The chain is taking its time; waiting for its word' : 'Settling on chain'}</>
  return null
}

function QuoteCountdown({ expiresAt }: { expiresAt: string }) {
  const nowMs = useNow(1000)
  const left = Math.max(0, Math.ceil((Date.parse(expiresAt) - nowMs) / 1000))
  return <span className={`num ${left < 15 ? 'text-warn' : ''}`}>· price holds for {clockText(left)}</span>
}

function Spinner() {
  return (
    <svg
      viewBox="0 0 16 16"
      className="size-4 motion-safe:animate-spin"
      fill="none"
      stroke="currentColor"
      strokeWidth="2"
      aria-hidden="true"
    >
      <path d="M8 1.5a6.5 6.5 0 1 1-6.5 6.5" strokeLinecap="round" />
    </svg>
  )
}
