// Rentals: the table of moves is the whole life, and every paid rental can reach its end.
import { expect, test } from 'vitest'
import { canRental, ImageRef, moves, nextState, RentalRequest, type RentalState } from './rental.ts'

function reachable(from: RentalState): Set<RentalState> {
  const seen = new Set<RentalState>([from])
  for (const state of seen) for (const next of Object.values(moves[state]) as RentalState[]) seen.add(next)
  return seen
}

test('every state that holds money leads to settled, and to nowhere without it', () => {
  for (const state of ['paid', 'starting', 'running', 'ending'] as const) {
    expect(reachable(state).has('settled')).toBe(true)
    expect(reachable(state).has('expired')).toBe(false)
  }
})

test('ended is ended: nothing leaves settled or expired', () => {
  expect(moves.settled).toEqual({})
  expect(moves.expired).toEqual({})
  expect(nextState('settled', 'stop')).toBeUndefined()
})

test('exec and terminal exist only while it runs; a receipt only once it is settled', () => {
  const states = Object.keys(moves) as RentalState[]
  expect(states.filter((state) => canRental(state, 'exec'))).toEqual(['running'])
  expect(states.filter((state) => canRental(state, 'receipt'))).toEqual(['settled'])
})

test.each(['debian:12', 'ghcr.io/owner/image:1.2', 'localhost:5000/a/b@sha256:abcdef'])('%s is an image', (image) => {
  expect(ImageRef.safeParse(image).success).toBe(true)
})

test.each(['', '-x', 'a b', 'a;rm', '$(x)', '../x', 'A', 'x\n'])('%j is no image', (image) => {
  expect(ImageRef.safeParse(image).success).toBe(false)
})

test('a request with a field that is not in the interface is refused', () => {
  const request = { offerId: `ofr_${'0'.repeat(32)}`, units: 1, minutes: 1 }
  expect(RentalRequest.safeParse(request).success).toBe(true)
  expect(RentalRequest.safeParse({ ...request, amountAtoms: '1' }).success).toBe(false)
  for (const units of [0, -1, 1.5, Number.NaN, '1']) expect(RentalRequest.safeParse({ ...request, units }).success).toBe(false)
})
