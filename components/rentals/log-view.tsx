// Logs: what the workload writes, followed live; reconnects by itself while the rental runs.
'use client'
import { canRental, type RentalState } from '@flow402/protocol/rental'
import { MarketError } from '@flow402/sdk/market-error'
import { useEffect, useRef, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'

const mostCharacters = 200_000
const retryMs = 2000

/** Keeps the end in view unless the reader has scrolled up. */
export function LogView({ rentalId, state, accessToken }: { rentalId: string; state: RentalState; accessToken: string }) {
  const { client } = useMarket()
  const [text, setText] = useState('')
  const [status, setStatus] = useState('Connecting')
  const box = useRef<HTMLPreElement>(null)
  const isAtEnd = useRef(true)
  const canRead = canRental(state, 'logs')
  const isRunning = state === 'running'

  useEffect(() => {
    if (!canRead) return
    const stop = new AbortController()
    const follow = async () => {
      const call = { params: { id: rentalId }, accessToken, signal: stop.signal }
      while (!stop.signal.aborted) {
        try {
          setStatus(isRunning ? 'Following' : 'Complete')
          let isFresh = true
          for await (const piece of client.followLogs({ ...call, tail: 1000 })) {
            const start = isFresh
            isFresh = false
            setText((before) => (start ? piece : before + piece).slice(-mostCharacters))
          }
          if (!isRunning) return
        } catch (error) {
          if (stop.signal.aborted) return
          if (!isRunning) return setStatus(error instanceof MarketError ? error.detail : 'The logs are gone with the machine')
          setStatus(error instanceof MarketError ? `${error.detail}; trying again` : 'Interrupted; trying again')
        }
        await new Promise((resolve) => setTimeout(resolve, retryMs))
      }
    }
    void follow()
    return () => stop.abort()
  }, [client, rentalId, accessToken, canRead, isRunning])

  // biome-ignore lint/correctness/useExhaustiveDependencies: every new text must scroll
  useEffect(() => {
    if (box.current && isAtEnd.current) box.current.scrollTop = box.current.scrollHeight
  }, [text])

  return (
    <div className="relative flex h-full min-h-24 flex-col">
      <pre
        ref={box}
        data-testid="logs"
        role="log"
        aria-label="Logs of the workload"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrolling region must be reachable by keyboard
        tabIndex={0}
        onScroll={({ currentTarget }) => {
          isAtEnd.current = currentTarget.scrollHeight - currentTarget.scrollTop - currentTarget.clientHeight < 24
        }}
        className="min-h-0 flex-1 overflow-auto whitespace-pre-wrap break-words px-4 py-3 font-mono text-xs leading-5"
      >
        {text || (
          <span className="text-ink-3">
            {!canRead ? 'Logs appear once the machine runs.' : isRunning ? 'Nothing has been written yet.' : 'Nothing was written.'}
          </span>
        )}
      </pre>
      {canRead && (
        <span className="absolute top-2 right-3 rounded-sm border border-line bg-panel px-1.5 text-2xs text-ink-3" aria-live="polite">
          {status}
        </span>
      )}
    </div>
  )
}
