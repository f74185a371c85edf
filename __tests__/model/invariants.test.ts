// Invariants by name, over the model's world: leases whose time is over, units that come back once, and states that time alone ends.
import { randomUUID } from 'node:crypto'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { inTransaction } from '../../lib/db/client.ts'
import { putBackPayment, setPaymentSubmitted, takeUndecidedPayments } from '../../lib/payments/store.ts'
import { saveScan, takeScan } from '../../lib/payments/store-escrow.ts'
import { setTransferOwedAgain, setTransferSigned, takeTransfers } from '../../lib/payments/store-transfers.ts'
import { dropUnits } from '../../lib/rentals/store.ts'
import { freshDatabase } from '../support/database.ts'
import { type Command, workers } from './commands.ts'
import { linkTo, look, pass, runGroup } from './group.ts'
import { openSequence, type Sequence, turnsOf } from './sequence.ts'
import { openWorld, type World } from './world.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let world: World
const log = console.error
beforeEach(async () => {
  console.error = () => undefined
  database = await freshDatabase()
  world = await openWorld(database.url)
})
afterEach(async () => {
  console.error = log
  await world.close()
  await database.drop()
})

const rent = (more: Partial<Command & { do: 'rent' }> = {}): Command => ({
  do: 'rent',
  units: 2,
  minutes: 10,
  wallet: 0,
  isReady: true,
  rail: 'local',
  ...more,
})

async function open(): Promise<Sequence> {
  const all: Sequence[] = []
  const sequence = await openSequence(world, { link: linkTo(all), pass: (ms) => pass(world, all, ms) })
  all.push(sequence)
  return sequence
}
async function run(sequence: Sequence, ...commands: Command[]): Promise<void> {
  for (const command of commands) {
    await sequence.run(command, undefined)
    await look(world, [sequence])
  }
}
const lease = (token: string) => ({ token, nowMs: world.now(), leaseMs: 10_000, limit: 10 })
const countOf = async (table: string) => Number((await world.sql<{ n: bigint }>(`select count(*) as n from ${table}`))[0]?.n)

test('J1: every committed change is one event, and to act on all events again changes nothing', async () => {
  await runGroup(world, [
    [rent(), { do: 'extend', which: 0, minutes: 5, wallet: 1, rail: 'local' }, { do: 'stray', wallet: 1, atoms: 5_000, memo: 'none' }],
  ])
  const before = await Promise.all(['event', 'ledger_transaction', 'ledger_entry', 'transfer', 'earning'].map(countOf))
  const balance = world.chain.balanceOf(world.escrow)
  const { deps } = world.process()
  for (let replay = 0; replay < 3; replay++) {
    world.passMs(400_000)
    for (const worker of workers) await turnsOf(world)[worker](deps)
  }
  expect(await Promise.all(['event', 'ledger_transaction', 'ledger_entry', 'transfer', 'earning'].map(countOf))).toEqual(before)
  expect(before[0]).toBeGreaterThan(10)
  expect(world.chain.balanceOf(world.escrow)).toBe(balance)
})

test('J2: a worker whose lease on a payment went to another writes nothing', async () => {
  await run(await open(), rent({ death: { point: 'claimed' } }))
  world.passMs(60_000)
  const { db } = world.process().deps
  const [old, fresh] = [randomUUID(), randomUUID()]
  const [payment] = await takeUndecidedPayments(db, lease(old))
  world.passMs(11_000)
  expect(await takeUndecidedPayments(db, lease(fresh))).toHaveLength(1)
  expect(await setPaymentSubmitted(db, payment?.id ?? '', old, 'signature')).toBe(false)
  await putBackPayment(db, payment?.id ?? '', old, { atMs: 0, lastError: 'from the dead' })
  const rows = await world.sql('select status, work_token, signature from payment')
  expect(rows).toEqual([{ status: 'claimed', work_token: fresh, signature: null }])
})

test('J2: a worker whose lease on a transfer or on the scan went to another writes nothing', async () => {
  await run(
    await open(),
    { do: 'stray', wallet: 0, atoms: 5_000, memo: 'none' },
    { do: 'pass', ms: 20_000 },
    { do: 'work', worker: 'escrow' },
  )
  const { db } = world.process().deps
  const [old, fresh] = [randomUUID(), randomUUID()]
  const [transfer] = await takeTransfers(db, { ...lease(old), onlyRefunds: false })
  expect(await takeScan(db, lease(old))).toBeDefined()
  world.passMs(11_000)
  expect(await takeTransfers(db, { ...lease(fresh), onlyRefunds: false })).toHaveLength(1)
  expect(await takeScan(db, lease(fresh))).toBeDefined()
  const signed = { signature: 's', wire: 'w', lastValidBlockHeight: 1n }
  expect(await inTransaction(db, (tx) => setTransferSigned(tx, transfer?.id ?? '', old, signed))).toBeUndefined()
  expect(await inTransaction(db, (tx) => setTransferOwedAgain(tx, transfer?.id ?? '', old, 'from the dead'))).toBe(false)
  expect(await saveScan(db, old, { doneTo: 'from the dead', top: null, before: null }, world.now())).toBe(false)
  const rows = await world.sql('select transfer.status, transfer.work_token, done_to <> $1 as untouched from transfer, escrow_scan', [
    'from the dead',
  ])
  expect(rows).toEqual([{ status: 'owed', work_token: fresh, untouched: true }])
})

test('R2: units that two hands give back at once come back once', async () => {
  const sequence = await open()
  await run(sequence, rent())
  const [id = ''] = sequence.seen().rentals.keys()
  const hands = [world.process().deps, world.process().deps]
  const given = await Promise.all(hands.map(({ db }) => inTransaction(db, (tx) => dropUnits(tx, id))))
  expect(given.filter((units) => units !== undefined)).toEqual([{ offerId: sequence.offerId, units: 2 }])
})

/** How each state that is no end is reached; then everything but time is gone. */
const waiting: { state: string; commands: Command[] }[] = [
  { state: 'payment claimed', commands: [rent({ death: { point: 'claimed' } })] },
  { state: 'payment submitted', commands: [rent({ fault: 'never_lands' })] },
  { state: 'payment settled', commands: [rent({ isReady: false, fault: 'dropped_after_confirmed' })] },
  { state: 'rental requested', commands: [rent({ death: { point: 'broadcast' } })] },
  { state: 'rental starting', commands: [rent({ isReady: false })] },
  { state: 'rental running', commands: [rent()] },
  { state: 'rental ending', commands: [rent(), { do: 'stop', which: 0 }] },
  {
    state: 'transfer owed',
    commands: [
      rent({ isReady: false }),
      { do: 'stop', which: 0 },
      { do: 'pass', ms: 700_000 },
      { do: 'work', worker: 'escrow' },
      { do: 'work', worker: 'time' },
      { do: 'work', worker: 'books' },
    ],
  },
  {
    state: 'transfer signed',
    commands: [
      { do: 'stray', wallet: 0, atoms: 5_000, memo: 'none' },
      { do: 'pass', ms: 20_000 },
      { do: 'work', worker: 'escrow' },
      { do: 'outgoing', fault: 'transfer_lost' },
      { do: 'work', worker: 'transfers' },
    ],
  },
]
test.each(waiting)('R3: time alone ends "$state", though its machine, its renter and its worker are gone', async ({ state, commands }) => {
  const sequence = await open()
  await run(sequence, ...commands, { do: 'node', is: 'vanished' })
  const [noun = '', status] = state.split(' ')
  const rows = () => world.sql<{ id: string; status: string }>(`select id, status::text as status from ${noun}`)
  const before = (await rows()).filter((row) => row.status === status)
  expect(before.length, `${state} was not reached: ${JSON.stringify(await rows())}`).toBeGreaterThan(0)
  const { deps } = world.process()
  for (let turn = 0; turn < 14; turn++) {
    world.passMs(turn % 2 === 0 ? 100_000 : 300_000)
    for (const worker of workers) await turnsOf(world)[worker](deps)
    world.passMs(5_000)
    await turnsOf(world).escrow(deps)
  }
  await look(world, [sequence])
  expect(sequence.whatIsOpen()).toEqual([])
  expect((await rows()).filter((row) => row.status === status && before.some(({ id }) => id === row.id && status !== 'settled'))).toEqual(
    [],
  )
})
