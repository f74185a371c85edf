// What may be done to a rental: extend it, stop it; and why not, when it may not.
'use client'
import { canRental, type Rental } from '@flow402/protocol/rental'
import Link from 'next/link'
import { useCallback, useState } from 'react'
import { Button } from '../ui/button.tsx'
import { Panel } from '../ui/panel.tsx'
import { ExtendForm } from './extend-form.tsx'
import { stateWords } from './rental-words.ts'
import { StopButton } from './stop-button.tsx'

type Props = { rental: Rental; accessToken: string; nowMs: number; onChanged: () => void }

/** Both buttons always stand here; a line under them says why one is disabled. */
export function ManagePanel({ rental, accessToken, nowMs, onChanged }: Props) {
  const [isOpen, setOpen] = useState(false)
  const canExtend = canRental(rental.state, 'extend')
  const canStop = canRental(rental.state, 'stop')
  const state = stateWords[rental.state].name.toLowerCase()
  const onExtended = useCallback(() => {
    setOpen(false)
    onChanged()
  }, [onChanged])
  return (
    <Panel title="Manage">
      <div className="grid grid-cols-2 gap-2">
        <Button
          data-testid="extend-button"
          aria-expanded={isOpen && canExtend}
          aria-describedby="manage-reason"
          disabled={!canExtend}
          onClick={() => setOpen(!isOpen)}
        >
          {isOpen && canExtend ? 'Do not extend' : 'Extend'}
        </Button>
        <StopButton rental={rental} accessToken={accessToken} nowMs={nowMs} onStopped={onChanged} />
      </div>
      <p id="manage-reason" className="mt-2 min-h-[1.125rem] text-ink-3 text-xs">
        {canExtend
          ? 'Stopping refunds the unspent rest.'
          : canStop
            ? 'It can be extended once it runs. Stopping now refunds everything.'
            : `The rental is ${state}; nothing can be changed any more. `}
        {!canStop && (
          <Link
            href={`/offers/${rental.offerId}`}
            className="whitespace-nowrap text-ink-2 underline decoration-line-strong underline-offset-2 hover:decoration-ink"
          >
            Rent this again
          </Link>
        )}
      </p>
      {isOpen && canExtend && <ExtendForm rental={rental} accessToken={accessToken} onExtended={onExtended} />}
    </Panel>
  )
}
