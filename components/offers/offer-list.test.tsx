// @vitest-environment jsdom
// Tests of the offer list: every state says what is going on, and an offer that cannot be rented says why.
import { newId } from '@flow402/protocol/id'
import type { Offer } from '@flow402/protocol/offer'
import { cleanup, fireEvent, render, screen, within } from '@testing-library/react'
import { afterEach, expect, test, vi } from 'vitest'
import { offerQueryOf, readOfferFilters } from './offer-filters.ts'
import { OfferList } from './offer-list.tsx'

afterEach(cleanup)

const offer = (change: Partial<Offer> = {}): Offer => ({
  id: newId('offer'),
  nodeId: newId('node'),
  nodeName: 'attic-nuc',
  kind: 'ram',
  region: 'eu-central',
  unitsTotal: 16,
  unitsAvailable: 12,
  perUnit: { ramMb: 1024, cpuMillis: 250, diskMb: 2048 },
  priceAtomsPerHour: '1000',
  currency: 'USDC',
  minMinutes: 1,
  maxMinutes: 1440,
  isolation: 'container',
  network: 'none',
  online: true,
  ...change,
})
const list = (offers: Offer[]) => render(<OfferList state={{ kind: 'ready', offers }} hasFilters={false} clearFilters={() => {}} />)

test('an offer shows the price per hour before the price per minute, what a unit is and what is free', () => {
  const one = offer()
  list([one])
  const row = screen.getByTestId('offer-row')
  expect(row.textContent).toMatch(/\$0\.001\/GB-hour≈\$0\.0000166\/min/)
  expect(row.textContent).toContain('1 GB RAM')
  expect(row.textContent).toContain('0.25 vCPU · 2 GB disk')
  expect(row.textContent).toContain('12 of 16 free')
  expect(within(row).getByTestId('rent-link').getAttribute('href')).toBe(`/offers/${one.id}`)
})

test('a graphics card is sold by its name and memory', () => {
  list([
    offer({
      kind: 'gpu',
      perUnit: { ramMb: 32_768, cpuMillis: 8000, diskMb: 102_400, gpuName: 'RTX 4090', vramMb: 24_576 },
      priceAtomsPerHour: '390000',
    }),
  ])
  expect(screen.getByTestId('offer-row').textContent).toMatch(
    /RTX 4090 24 GB.*8 vCPU · 32 GB RAM · 100 GB disk.*\$0\.39\/GPU-hour\$0\.0065\/min/,
  )
})

test('sold out and offline offers stay in the list but cannot be rented', () => {
  list([offer({ unitsAvailable: 0 }), offer({ online: false })])
  expect(screen.queryAllByTestId('rent-link')).toHaveLength(0)
  expect(screen.getByTitle('Every unit is rented right now').textContent).toBe('Rented')
  expect(screen.getByTitle('The machine is not reachable right now').textContent).toBe('Offline')
})

test('an empty market and an empty search are told apart, and filters can be cleared', () => {
  const clear = vi.fn()
  const { rerender } = render(<OfferList state={{ kind: 'ready', offers: [] }} hasFilters={false} clearFilters={clear} />)
  expect(screen.getByText('No machine is offered yet')).toBeTruthy()
  rerender(<OfferList state={{ kind: 'ready', offers: [] }} hasFilters clearFilters={clear} />)
  fireEvent.click(screen.getByRole('button', { name: 'Clear filters' }))
  expect(clear).toHaveBeenCalledOnce()
})

test('loading is announced and a failure can be retried', () => {
  const retry = vi.fn()
  const { rerender } = render(<OfferList state={{ kind: 'loading' }} hasFilters={false} clearFilters={() => {}} />)
  expect(screen.getByRole('status').textContent).toBe('Loading offers')
  rerender(<OfferList state={{ kind: 'failed', reason: 'The market does not answer', retry }} hasFilters={false} clearFilters={() => {}} />)
  expect(screen.getByText('The market does not answer')).toBeTruthy()
  fireEvent.click(screen.getByRole('button', { name: 'Try again' }))
  expect(retry).toHaveBeenCalledOnce()
})

test('filters of the address become the query of the API, and unknown values are no filter', () => {
  expect(offerQueryOf(readOfferFilters({ kind: 'gpu', region: 'eu', available: '1' }))).toEqual({
    limit: 50,
    kind: 'gpu',
    region: 'eu',
    online: 'true',
  })
  expect(offerQueryOf(readOfferFilters({ kind: 'cpu', region: ['a', 'b'], available: 'yes' }))).toEqual({ limit: 50 })
})
