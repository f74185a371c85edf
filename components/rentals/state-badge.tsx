// The state of a rental in one word, with its colour.
import type { RentalState } from '@flow402/protocol/rental'
import { stateWords } from './rental-words.ts'

const tones: Record<RentalState, string> = {
  requested: 'text-warn bg-warn-soft',
  paid: 'text-warn bg-warn-soft',
  starting: 'text-warn bg-warn-soft',
  running: 'text-ok bg-ok-soft',
  ending: 'text-warn bg-warn-soft',
  settled: 'text-ink-2 bg-raised',
  expired: 'text-ink-2 bg-raised',
}

/** `testId` is set where there is one badge for the whole page. */
export function StateBadge({ state, testId }: { state: RentalState; testId?: string }) {
  const isMoving = state === 'paid' || state === 'starting' || state === 'ending' || state === 'requested'
  return (
    <span className={`inline-flex h-6 items-center gap-1.5 rounded-full px-2.5 font-medium text-xs ${tones[state]}`}>
      <span className={`size-1.5 rounded-full bg-current ${isMoving ? 'breathe' : ''}`} aria-hidden="true" />
      <span data-testid={testId} data-state={state}>
        {stateWords[state].name}
      </span>
    </span>
  )
}
