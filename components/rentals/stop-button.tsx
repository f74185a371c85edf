// Stopping: a button, and a question that says what comes back.
'use client'
import { canRental, type Rental } from '@flow402/protocol/rental'
import { useRef, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { Button } from '../ui/button.tsx'
import { Usd } from '../ui/money.tsx'
import { liveCost } from './live-cost.ts'

/** Disabled when the state does not allow it (ManagePanel says why). `onStopped` is called with the market's answer still to come by polling. */
export function StopButton({
  rental,
  accessToken,
  nowMs,
  onStopped,
}: {
  rental: Rental
  accessToken: string
  nowMs: number
  onStopped: () => void
}) {
  const { client } = useMarket()
  const dialog = useRef<HTMLDialogElement>(null)
  const [phase, setPhase] = useState<'idle' | 'stopping' | string>('idle')
  const canStop = canRental(rental.state, 'stop')
  const stop = async () => {
    setPhase('stopping')
    try {
      await client.stopRental({ params: { id: rental.id }, accessToken })
      setPhase('idle')
      dialog.current?.close()
      onStopped()
    } catch (error) {
      setPhase(error instanceof Error ? error.message : 'It could not be stopped')
    }
  }
  const isFailed = phase !== 'idle' && phase !== 'stopping'
  return (
    <>
      <Button
        className="w-full"
        data-testid="stop-button"
        disabled={!canStop}
        aria-describedby="manage-reason"
        onClick={() => dialog.current?.showModal()}
      >
        Stop
      </Button>
      <dialog
        ref={dialog}
        aria-labelledby="stop-title"
        className="m-auto w-[min(26rem,calc(100vw-2rem))] rounded-lg border border-line bg-panel p-5 text-ink shadow-xl backdrop:bg-black/40"
      >
        <h2 id="stop-title" className="font-semibold text-base">
          Stop this machine?
        </h2>
        <p className="mt-2 text-ink-2 text-sm">
          Everything on it is deleted. About <Usd atoms={liveCost(rental, nowMs).unspentAtoms} /> goes back to the wallet that paid, on
          chain, within moments.
        </p>
        <p role="alert" className="mt-2 min-h-5 text-bad text-xs">
          {isFailed ? phase : ''}
        </p>
        <div className="mt-2 flex justify-end gap-2">
          <Button onClick={() => dialog.current?.close()}>Keep it running</Button>
          <Button look="danger" data-testid="stop-confirm" disabled={phase === 'stopping'} onClick={stop}>
            {phase === 'stopping' ? 'Stopping…' : 'Stop and refund'}
          </Button>
        </div>
      </dialog>
    </>
  )
}
