// What the model runs found, each in its smallest form and without chance.
import { expect, test } from 'vitest'
import { finalizeMovement } from '../../lib/payments/finalize-movement.ts'
import { freshDatabase } from '../support/database.ts'
import { compareReserves } from './group.ts'
import { openSequence } from './sequence.ts'
import { openWorld } from './world.ts'

test('L8: a payment that is booked while the scan reads its transaction is final, and chain and books agree', async () => {
  const database = await freshDatabase()
  const world = await openWorld(database.url)
  try {
    const link = { isConnected: () => false } as unknown as Parameters<typeof openSequence>[1]['link']
    const sequence = await openSequence(world, { link, pass: async (ms) => world.passMs(ms) })
    await sequence.run({ do: 'rent', units: 1, minutes: 1, wallet: 0, isReady: false, rail: 'local' }, undefined)
    world.passMs(20_000)
    const { movements } = await world.rails.local.scanEscrow({ doneTo: null, top: null, before: null }, 0, 0n)
    expect(movements.map(({ deltaAtoms }) => deltaAtoms)).toEqual([1_000n])
    // The scan asked what is known before the payment was booked, and goes on with that answer.
    for (const movement of movements) expect(await finalizeMovement(world.process().deps, movement, undefined)).toBe('payment')
    const [row] = await world.sql(`select slot is not null as seen, finalized_at is not null as final
      from payment join escrow_movement on escrow_movement.signature = payment.signature`)
    expect(row).toEqual({ seen: true, final: true })
    await compareReserves(world)
  } finally {
    await world.close()
    await database.drop()
  }
})
