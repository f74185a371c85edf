// The rentals that this browser knows, with their access tokens: nobody else has them, there is no account.
'use client'
import { RentalId } from '@flow402/protocol/id'
import { readStored, useStored, writeStored } from '../ui/browser-store.ts'

const storageKey = 'flow402.rentals'

/** One rental of this browser; `label` is what it was when rented, for lists while the market does not answer. */
export type KeptRental = { id: string; accessToken: string; label: string }
const none: readonly KeptRental[] = []

function parse(value: unknown): readonly KeptRental[] {
  if (!Array.isArray(value)) return none
  return value.filter((entry): entry is KeptRental => RentalId.safeParse(entry?.id).success && typeof entry.accessToken === 'string')
}

/** Keeps a rental, newest first; keeping one again only renews its token. */
export function keepRental(rental: KeptRental): void {
  const kept = readStored(storageKey, parse, none)
  const known = kept.find((entry) => entry.id === rental.id)
  writeStored(storageKey, [{ ...rental, label: rental.label || known?.label || '' }, ...kept.filter((entry) => entry.id !== rental.id)])
}

/** Forgets a rental; without its token it cannot be reached from here any more. */
export function forgetRental(id: string): void {
  writeStored(
    storageKey,
    readStored(storageKey, parse, none).filter((entry) => entry.id !== id),
  )
}

/** The rentals of this browser, live. */
export function useKeptRentals(): readonly KeptRental[] {
  return useStored(storageKey, parse, none)
}

/** Takes `#token=` from the address into the store and cleans the address, so that the token does not stay in the history. */
export function takeTokenFromAddress(id: string): void {
  const token = new URLSearchParams(window.location.hash.slice(1)).get('token')
  if (!token) return
  keepRental({ id, accessToken: token, label: '' })
  window.history.replaceState(null, '', window.location.pathname + window.location.search)
}
