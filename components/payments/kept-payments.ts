// Payments that were signed and sent but not answered yet: kept in this browser, so that closing the page never loses a paid rental.
'use client'
import { RentalId } from '@flow402/protocol/id'
import type { SignedPayment } from '@flow402/sdk/pay'
import { readStored, useStored, writeStored } from '../ui/browser-store.ts'

const storageKey = 'flow402.payments'
export type KeptPayment = SignedPayment<'requestRental'>
const none: readonly KeptPayment[] = []

function parse(value: unknown): readonly KeptPayment[] {
  if (!Array.isArray(value)) return none
  return value.filter((entry): entry is KeptPayment => RentalId.safeParse(entry?.rentalId).success && typeof entry.header === 'string')
}

/** Keeps a signed payment until its answer came. */
export function keepPayment(signed: KeptPayment): void {
  const others = readStored(storageKey, parse, none).filter((entry) => entry.paymentId !== signed.paymentId)
  writeStored(storageKey, [...others, signed])
}

/** Forgets a payment whose outcome is known. */
export function dropPayment(paymentId: string): void {
  const kept = readStored(storageKey, parse, none)
  if (kept.some((entry) => entry.paymentId === paymentId)) {
    writeStored(
      storageKey,
      kept.filter((entry) => entry.paymentId !== paymentId),
    )
  }
}

/** The payments without an answer, live. */
export function useKeptPayments(): readonly KeptPayment[] {
  return useStored(storageKey, parse, none)
}
