// The server is killed for real at every named point of a rental; afterwards the rental proceeds once and the money moved once.

import type { CreatedRental } from '@flow402/protocol/rental'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { CrashName } from '../../lib/crash.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openRealHouse, type RealHouse, rentedFrom } from '../support/real-house.ts'

let house: RealHouse
beforeAll(async () => {
  house = await openRealHouse()
})
afterAll(() => house?.close())
afterEach(() => house.killServer())

const beforePaid: CrashName[] = ['claimed', 'signed', 'broadcast', 'landed']
const afterPaid: CrashName[] = ['paid', 'assigned']
const whileSettling: CrashName[] = ['transfer_signed', 'transfer_sent']

test.each([...beforePaid, ...afterPaid, ...whileSettling])(
  'killed at "%s": after the restart one rental, one payment, every atom accounted for',
  async (point) => {
    await house.killServer()
    await house.startServer(point)
    const before = await house.balances()
    const request = house.request()
    const header = await house.sign('/api/rentals', request)

    const first = await house.post('/api/rentals', request, header).catch(() => undefined)
    if (beforePaid.includes(point)) expect(first).toBeUndefined()
    if (whileSettling.includes(point)) {
      const rented = rentedFrom((await first?.json()) as CreatedRental)
      await house.until(rented, 'running')
      await house.stop(rented).catch(() => undefined)
    }
    expect(await house.serverEnd()).toBe('SIGKILL')

    await house.startServer()
    const again = await house.post('/api/rentals', request, header)
    expect(again.status).toBe(201)
    const rented = rentedFrom((await again.json()) as CreatedRental)
    if (!whileSettling.includes(point)) {
      await house.until(rented, 'running')
      expect(await house.containers()).toHaveLength(1)
      await house.stop(rented)
    }
    const settled = await house.until(rented, 'settled')
    const after = await house.balances()
    expect(before.renter - after.renter).toBe(BigInt(settled.chargedAtoms))
    expect(after.provider - before.provider).toBe(BigInt(settled.payoutAtoms))
    expect(after.fee - before.fee).toBe(BigInt(settled.feeAtoms))
    expect(after.escrow).toBe(0n)
    expect(await house.books()).toEqual(emptyBooks)
    expect(await house.db.selectFrom('payment').select('id').where('rental_id', '=', rented.id).execute()).toHaveLength(1)
  },
)
