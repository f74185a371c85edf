// A group of sequences in one world at one time: their commands take turns, their workers meet, and all come to rest together.
import type { Scheduler } from 'fast-check'
import { checkReserves } from '../../lib/payments/check-reserves.ts'
import type { NodeLink } from '../../lib/provisioning/node-link.ts'
import type { Command, Worker } from './commands.ts'
import { Violation } from './model.ts'
import { observe } from './observe.ts'
import { openSequence, type Sequence, turnsOf } from './sequence.ts'
import { feeAddress, type World } from './world.ts'

/** How time passes while everything comes to rest, in ms; the last one again and again. */
const restMs = [4_000, 35_000, 130_000, 190_000, 310_000]
const roundsToRest = 16
/** Commands that the database does not notice. */
const unseen = new Set<Command['do']>(['quote', 'stray', 'fork', 'outgoing', 'account'])

/** Errors that a verb logged instead of throwing, and that no crash explains. */
const logged: string[] = []

/** Hears what a verb logs as an error instead of throwing it; deaths and lost races are no findings. */
export function listen(): void {
  console.error = (line: unknown) => {
    const text = String(line)
    if (/process is dead|rental_moved_meanwhile|The rental changed while/.test(text)) return
    if (/"level":"error"/.test(text) && !/payment_reversed/.test(text)) logged.push(text)
  }
}

/** Runs a group to its end; throws Violation. Answers how many commands ran. */
export async function runGroup(world: World, lists: readonly (readonly Command[])[], scheduler?: Scheduler): Promise<number> {
  logged.length = 0
  world.openRails()
  const feeBefore = world.chain.balanceOf(feeAddress)
  const all: Sequence[] = []
  const company = { link: linkTo(all), pass: (ms: number) => pass(world, all, ms) }
  for (const _ of lists) all.push(await openSequence(world, company))
  for (let turn = 0; lists.some((commands) => turn < commands.length); turn++)
    for (const [index, sequence] of all.entries()) {
      const command = lists[index]?.[turn]
      if (!command) continue
      await sequence.run(command, scheduler)
      if (!unseen.has(command.do)) await look(world, all)
    }
  const fee = await rest(world, all)
  if (world.chain.balanceOf(feeAddress) - feeBefore !== fee)
    throw new Violation(`L6: the market took ${world.chain.balanceOf(feeAddress) - feeBefore}, it should be ${fee}`)
  return lists.reduce((total, commands) => total + commands.length, 0)
}

/** The way to whichever machine is asked for. */
export function linkTo(all: Sequence[]): NodeLink {
  const machineOf = (nodeId: string) => all.find((sequence) => sequence.nodeId === nodeId)?.machine
  const refuse = async () => {
    throw new Error('no workload is behind these machines')
  }
  return {
    isConnected: (nodeId) => machineOf(nodeId)?.connection.isOpen ?? false,
    async putLease(nodeId, _rentalId, signed) {
      const machine = machineOf(nodeId)
      if (!machine?.connection.isOpen) throw new Error('the machine is not there')
      machine.take(signed)
    },
    exec: refuse,
    logs: refuse,
    terminal: refuse,
    resizeTerminal: refuse,
  }
}

/** Time passes for all; machines that are there are heard of, and end what is used up. */
export async function pass(world: World, all: Sequence[], ms: number): Promise<void> {
  world.passMs(ms)
  const there = all.filter(({ machine }) => machine.connection.isOpen)
  for (const { machine } of all) machine.endWhatIsUsedUp()
  await world.sql('update node set last_seen_at = $2 where id = any($1)', [there.map(({ nodeId }) => nodeId), new Date(world.now())])
  for (const sequence of there) sequence.heard()
}

/** Takes what the database says of all, and holds it against their models. */
export async function look(world: World, all: Sequence[]): Promise<void> {
  const seen = await observe(
    world,
    all.map(({ offerId }) => offerId),
    all.flatMap((sequence) => sequence.debts()),
  )
  for (const sequence of all) sequence.step(seen(sequence.offerId))
  if (logged[0] !== undefined) throw new Violation(`error: ${logged[0]}`)
}

/** Everything well again: what is open must come to its end by itself, and then everybody has what is theirs. Answers what the market took. */
async function rest(world: World, all: Sequence[]): Promise<bigint> {
  if (all.every((sequence) => sequence.isIdle())) return 0n
  for (const sequence of all) await sequence.stopAll()
  await look(world, all)
  for (let turn = 0; ; turn++) {
    await restOnce(world, all, restMs[Math.min(turn, restMs.length - 1)] ?? 0)
    await look(world, all)
    const open = [...all.flatMap((sequence) => sequence.whatIsOpen()), ...(await waitsFor(world, all))]
    if (open.length === 0 && world.chain.isAtRest()) break
    if (turn === roundsToRest) throw new Violation(`R3: it never comes to rest: ${open.join(', ')}`)
  }
  await compareEvents(world, all)
  await compareReserves(world)
  return all.reduce((total, sequence) => total + sequence.compare(), 0n)
}

async function restOnce(world: World, all: Sequence[], ms: number): Promise<void> {
  const turns = turnsOf(world)
  const to = world.process({ link: linkTo(all) })
  const work = (worker: Worker) => turns[worker](to.deps)
  const tell = async () => {
    for (const { machine } of all) await machine.tell(to)
  }
  await pass(world, all, ms)
  await tell()
  const payments = all.flatMap((sequence) => [...sequence.seen().payments.values()])
  const live = all
    .flatMap((sequence) => [...sequence.seen().rentals.values()])
    .filter(({ status }) => status !== 'settled' && status !== 'expired')
  if (payments.some(({ status }) => status === 'claimed' || status === 'submitted')) await work('payments')
  if (payments.some(({ status, finalizedAt }) => status === 'settled' && finalizedAt === null)) await work('reversals')
  if (live.some(({ usageClosedAt, unitsHeld }) => unitsHeld || usageClosedAt === null)) {
    for (const worker of ['assign', 'time', 'orders'] as const) await work(worker)
    await tell()
  }
  await work('escrow')
  if (live.length > 0) await work('books')
  await work('payouts')
  await work('transfers')
  world.passMs(4_000)
  await work('escrow')
  if (live.length > 0) await work('receipts')
}

/** What the rows of the sequences do not show: money that nobody read of yet or that waits, and payouts that are not due yet. */
async function waitsFor(world: World, all: Sequence[]): Promise<string[]> {
  const rows = await world.sql<{ what: string }>(
    `select 'receipt ' || mine as what from unnest($2::text[]) as mine
       where not exists (select from escrow_movement where signature = mine and slot is not null and fate <> 'waiting')
     union all select 'earning ' || external_id from earning where node_id = any($1) and (
       transfer_id is null or exists (select from transfer where transfer.id = earning.transfer_id and status <> 'confirmed'))`,
    [all.map(({ nodeId }) => nodeId), all.flatMap((sequence) => sequence.received().map(({ signature }) => signature))],
  )
  return rows.map(({ what }) => what)
}

/** J1: the events of each thing are its states, each once, in one unbroken line. */
async function compareEvents(world: World, all: Sequence[]): Promise<void> {
  const nouns = all.flatMap((sequence) => {
    const { rentals, payments, transfers } = sequence.seen()
    return [...rentals.values(), ...payments.values(), ...transfers.values()]
  })
  const rows = await world.sql<{ noun_id: string; from_status: string | null; to_status: string }>(
    'select noun_id, from_status, to_status from event where noun_id = any($1) order by id',
    [nouns.map(({ id }) => id)],
  )
  const lines = Map.groupBy(rows, ({ noun_id }) => noun_id)
  for (const { id, status } of nouns) {
    const line = lines.get(id) ?? []
    const isWhole = line.every((event, index) => event.from_status === (line[index - 1]?.to_status ?? null))
    if (!isWhole || line.at(-1)?.to_status !== status)
      throw new Violation(
        `J1: the events of ${id} (${status}) are ${line.map((each) => `${each.from_status}>${each.to_status}`).join(' ')}`,
      )
  }
}

/** L8: what the escrow holds is what the books say. A worker that died may still have the scan in its hand: after its lease it is free. */
export async function compareReserves(world: World): Promise<void> {
  for (let tries = 0; ; tries++) {
    const check = await checkReserves(world.process().deps)
    if (check?.differenceAtoms === 0n) return
    if (check || tries === 2) throw new Violation(`L8: chain and books differ by ${check?.differenceAtoms}: ${check?.detail}`)
    world.passMs(61_000)
  }
}
