// Words for rentals: every state and every reason for an end, and what it means for the money.
import type { EndReason, Rental, RentalState } from '@flow402/protocol/rental'

export const stateWords: Record<RentalState, { name: string; meaning: string }> = {
  requested: { name: 'Requested', meaning: 'The payment is on its way to the chain.' },
  paid: { name: 'Paid', meaning: 'The payment has arrived. The machine is being told.' },
  starting: { name: 'Starting', meaning: 'The container is being prepared. Nothing is billed until it is ready.' },
  running: { name: 'Running', meaning: 'Billed by the second until you stop it or the paid time ends.' },
  ending: { name: 'Ending', meaning: 'The machine is being cleared, then the money is divided and sent.' },
  settled: { name: 'Settled', meaning: 'All money has been sent; the receipt below shows where.' },
  expired: { name: 'Expired', meaning: 'The payment never reached the chain. Nothing was charged.' },
}

export const endWords: Record<EndReason, string> = {
  stopped: 'You stopped it.',
  time_up: 'The paid time is over.',
  node_lost: 'The machine stopped answering. Only the seconds it had confirmed are billed.',
  start_failed: 'The machine could not start the container. Nothing is billed.',
  start_timeout: 'The machine was not ready within ten minutes. Nothing is billed.',
  exited: 'The command finished by itself.',
  image_unavailable: 'The image could not be fetched. Nothing is billed.',
  payment_reversed: 'The chain took the payment back before it was final. Nothing is billed; pay again to rent again.',
}

/** The steps on the way of a rental, in order. */
export const steps = ['paid', 'starting', 'running', 'ending', 'settled'] as const

/** How far each step is: a rental that never ran skips `running`. */
export function stepStatus(rental: Pick<Rental, 'state' | 'startedAt'>, step: (typeof steps)[number]): 'done' | 'now' | 'next' | 'skipped' {
  const at = steps.indexOf(rental.state as (typeof steps)[number])
  const mine = steps.indexOf(step)
  if (rental.state === step) return step === 'settled' ? 'done' : 'now'
  if (at < mine) return 'next'
  if (step === 'running' && rental.startedAt === null) return 'skipped'
  return 'done'
}
