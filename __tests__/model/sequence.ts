// One sequence: its own machine, offer and wallets in a shared world; its commands call the real verbs, its model watches.
import { newId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import { signMockPayment } from '@flow402/sdk/pay-mock'
import type { Scheduler } from 'fast-check'
import { endDueRentals } from '../../lib/metering/end-due-rentals.ts'
import { stopRental } from '../../lib/metering/stop-rental.ts'
import { markNodeSeen } from '../../lib/nodes/mark-node-seen.ts'
import { acceptExtension, acceptRental } from '../../lib/payments/accept-payment.ts'
import { checkReserves } from '../../lib/payments/check-reserves.ts'
import type { MockLanded } from '../../lib/payments/mock-chain.ts'
import { reconcilePayments } from '../../lib/payments/reconcile-payments.ts'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { assignRentals } from '../../lib/provisioning/assign-rentals.ts'
import type { NodeLink } from '../../lib/provisioning/node-link.ts'
import { sendAllOrders, sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { quoteExtension, quoteRental, type SignedQuote } from '../../lib/rentals/quote-rental.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooks } from '../../lib/settlement/close-books.ts'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { reversePayments } from '../../lib/settlement/reverse-payments.ts'
import { sendTransfers } from '../../lib/settlement/send-transfers.ts'
import { settleRentals } from '../../lib/settlement/settle-rentals.ts'
import type { Command, Part, Worker } from './commands.ts'
import { workers } from './commands.ts'
import { machineKey, openMachine } from './machine.ts'
import { isQuiet, openModel, Violation, whatIsOpen } from './model.ts'
import type { Seen } from './observe.ts'
import { Dead, dustAtoms, feeBps, type Process, type World } from './world.ts'

const price = 59_999n
const unitsTotal = 4
const purses = [10_000_000n, 10_000_000n, 12_000n]

type Quoted = SignedQuote & { request: { offerId: string; units: number; minutes: number } | { minutes: number }; challenge: string }
type Sent = { quoted: Quoted; header: string }
type Schedule = Scheduler['schedule'] | undefined

/** One turn of each of the market's workers. */
export const turnsOf = (world: World): Record<Worker, (deps: Process['deps']) => Promise<unknown>> => ({
  payments: reconcilePayments,
  assign: assignRentals,
  orders: sendUnsentOrders,
  time: (deps) => endDueRentals(deps, world.startedAtMs),
  escrow: (deps) => scanEscrow(deps),
  reversals: reversePayments,
  reserves: checkReserves,
  books: async (deps) => {
    await checkStatements(deps)
    await closeBooks(deps)
  },
  payouts: payOutEarnings,
  transfers: sendTransfers,
  receipts: settleRentals,
})

export type Sequence = Awaited<ReturnType<typeof openSequence>>

/** What a sequence needs of those it shares its world with: how time passes for all, and the way to every machine. */
export type Company = { link: NodeLink; pass(ms: number): Promise<void> }

let sequences = 0

/** Opens a sequence: a machine with an offer, and wallets with money. */
export async function openSequence(world: World, company: Company) {
  const n = ++sequences
  const nodeId = newId('node', world.now())
  const offerId = newId('offer', world.now())
  const provider = `provider-${n}`
  const wallets = purses.map((atoms, index) => ({ name: `wallet-${n}-${index}`, atoms }))
  for (const { name, atoms } of wallets) world.chain.give(name, atoms)
  const key = machineKey()
  await world.sql(
    `with n as (
      insert into node (id, name, region, public_key, payout_address, status, last_seen_at, created_at, payout_interval_seconds)
      values ($1, 'model', 'test', $2, $3, 'listed', $4, $4, $5) returning id
    ) insert into offer (id, node_id, kind, units_total, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes,
      published, created_at) select $6, id, 'ram', $7, 1024, 250, 1024, $8, 1, 60, true, $4 from n`,
    [nodeId, key.publicKey, provider, new Date(world.now()), n % 3 === 0 ? 60 : 0, offerId, unitsTotal, price],
  )
  const machine = openMachine(nodeId, key.privateKey, world.now)
  const strays: string[] = []
  const quotes: Quoted[] = []
  const sent: Sent[] = []
  let seen: Seen = { unitsReserved: 0, rentals: new Map(), payments: new Map(), transfers: new Map(), sums: [] }
  const truth = {
    find: world.chain.find,
    findByMemo: (memo: string) => world.chain.findByMemo(world.escrow, memo, 0),
    finalizedHeight: world.chain.finalizedHeight,
  }
  const model = openModel({ price, feeBps, unitsTotal, dustAtoms, truth, dropped: world.dropped, usedUp: machine.usedUp })
  model.heard(world.now())

  const pick = <T>(all: readonly T[], which: number): T | undefined => all[which % Math.max(1, all.length)]
  /** The newest first, so that small numbers choose what was just made. */
  const pickNewest = <T>(all: readonly T[], which: number): T | undefined => pick(all.toReversed(), which)
  const rentals = () => [...seen.rentals.values()].toSorted((a, b) => (a.id < b.id ? -1 : 1))
  const walletName = (which: number) => pick(wallets, which)?.name ?? ''

  const payoutHoldMs = n % 4 === 0 ? 20_000 : 0
  function process(options: Parameters<World['process']>[0], schedule: Schedule): Process {
    return world.process({ ...options, payoutHoldMs, link: company.link, ...(schedule ? { schedule: (answer) => schedule(answer) } : {}) })
  }

  async function addQuote(signed: SignedQuote, request: Quoted['request']): Promise<Quoted> {
    const { quote, token } = signed
    const { paymentId, rentalId, kind, units, minutes, amountAtoms, exp } = quote
    model.quoted({ paymentId, rentalId, kind, units, minutes, amount: BigInt(amountAtoms), expMs: exp * 1000 })
    const quoted = { quote, token, request, challenge: await world.rails.local.challenge(quote, token, 'http://market.test') }
    quotes.push(quoted)
    return quoted
  }

  async function quote(units: number, minutes: number): Promise<Quoted | undefined> {
    const request = { offerId, units, minutes }
    const { deps } = process({}, undefined)
    const signed = await expected(quoteRental(deps, request))
    return signed && addQuote(signed, request)
  }

  async function send(to: Process, { quoted, header }: Sent): Promise<void> {
    if (quoted.quote.kind === 'rent')
      await acceptRental(to.deps, quoted.request as { offerId: string; units: number; minutes: number }, header)
    else await acceptExtension(to.deps, quoted.quote.rentalId, quoted.request as { minutes: number }, header)
  }

  async function pay(part: Omit<Part & { do: 'pay' }, 'do'>, quoted: Quoted | undefined, schedule: Schedule): Promise<void> {
    if (!quoted) return
    const { fault, times, rail, death, isSentTwice } = part
    const options = {
      payer: walletName(part.wallet),
      maxAmountAtoms: 1n << 62n,
      nonce: String(sent.length),
      ...(fault && { fault, ...(times && { times }) }),
    }
    const payment = { quoted, header: await signMockPayment(quoted.challenge, options) }
    sent.push(payment)
    if (fault === 'dropped_after_confirmed') world.dropped.add(digestOf(payment.header))
    const replicas = [process({ death, rail, isPatient: false }, schedule)]
    if (isSentTwice) replicas.push(process({ rail, isPatient: false }, schedule))
    await Promise.all(replicas.map((to) => expected(send(to, payment))))
  }

  async function again(part: Part & { do: 'again' }, schedule: Schedule): Promise<void> {
    const first = pickNewest(sent, part.which)
    const other = pick(quotes, part.which)
    if (!first || !other) return
    const to = process({ death: part.death, rail: part.rail, isPatient: false }, schedule)
    if (part.how === 'same') return send(to, first)
    if (part.how === 'other_request') return send(to, { quoted: other, header: first.header })
    // What was signed for one quote, in the wrapping of another.
    const wrapped = JSON.parse(atob(first.header))
    wrapped.accepted.extra.quote = other.token
    return send(to, { quoted: other, header: btoa(JSON.stringify(wrapped)) })
  }

  async function extend(part: Part & { do: 'extend' }, schedule: Schedule): Promise<void> {
    const running = rentals().filter(({ status }) => status === 'running')
    const rental = pickNewest(running.length > 0 ? running : rentals(), part.which)
    if (!rental) return
    const request = { minutes: part.minutes }
    const signed = await expected(quoteExtension(process({}, undefined).deps, rental.id, request))
    if (signed) await pay(part, await addQuote(signed, request), schedule)
  }

  const turns = turnsOf(world)

  async function work(worker: Worker, to: Process): Promise<void> {
    await turns[worker](to.deps)
  }

  /** Runs one part; problems and deaths are answers, anything else is a finding. */
  async function runPart(part: Part, schedule: Schedule): Promise<void> {
    await expected(
      (async () => {
        if (part.do === 'pay') return pay(part, pickNewest(quotes, part.which), schedule)
        if (part.do === 'again') return again(part, schedule)
        if (part.do === 'extend') return extend(part, schedule)
        if (part.do === 'tell') return machine.tell(process({ death: part.death }, schedule))
        if (part.do === 'work') return work(part.worker, process({ death: part.death }, schedule))
        const rental = pickNewest(rentals(), part.which)
        if (!rental) return
        model.stopAsked(rental.id)
        await stopRental(process({ death: part.death }, schedule).deps, rental.id)
      })(),
    )
  }

  async function rent(command: Command & { do: 'rent' }): Promise<void> {
    const { units, minutes, isReady, ...suffering } = command
    const quoted = await quote(units, minutes)
    if (!quoted) return
    await expected(pay({ ...suffering, which: 0 }, quoted, undefined))
    const to = process({}, undefined)
    await work('assign', to)
    if (!isReady) return
    machine.ready(quoted.quote.rentalId)
    await machine.tell(to)
  }

  function stray({ wallet, atoms, memo }: Command & { do: 'stray' }): void {
    const from = walletName(wallet)
    const quoted = pickNewest(quotes, 0)
    const transfer = [...seen.transfers.keys()][0]
    const words = { none: null, words: 'thank you', quote: quoted?.quote.paymentId, payment: [...seen.payments.keys()][0], transfer }[memo]
    const exact = memo === 'quote' ? quoted?.quote.amountAtoms : memo === 'payment' ? [...seen.payments.values()][0]?.amount : undefined
    const amount = atoms === 50_000 && exact !== undefined ? BigInt(exact) : BigInt(atoms)
    strays.push(world.chain.transfer(from, world.escrow, amount, words ?? null))
  }

  function fork({ which, isAll, isForEver }: Command & { do: 'fork' }): void {
    world.stats.forks++
    const mine = pickNewest(sent, which)
    const gone = isAll ? world.chain.fork(undefined, isForEver) : mine ? world.chain.fork(digestOf(mine.header), isForEver) : []
    for (const signature of gone) world.dropped.add(signature)
  }

  async function node(is: 'away' | 'back' | 'vanished'): Promise<void> {
    if (is === 'vanished') machine.vanish()
    machine.connection.isOpen = is === 'back'
    if (is !== 'back') return
    const to = process({}, undefined)
    await markNodeSeen(to.deps, nodeId)
    model.heard(world.now())
    await sendAllOrders(to.deps, nodeId)
    await machine.tell(to)
  }

  async function round(): Promise<void> {
    const to = process({}, undefined)
    for (const worker of workers) await work(worker, to)
    await machine.tell(to)
  }

  async function run(command: Command, scheduler: Scheduler | undefined): Promise<void> {
    world.passMs(7)
    if (command.do === 'quote') return void (await quote(command.units, command.minutes))
    if (command.do === 'rent') return rent(command)
    if (command.do === 'pass') return company.pass(command.ms)
    if (command.do === 'round') return round()
    if (command.do === 'stray') return stray(command)
    if (command.do === 'fork') return fork(command)
    if (command.do === 'outgoing') return world.rails.local.plan(command.fault)
    if (command.do === 'account') return world.chain.setAccount(walletName(command.wallet), command.state)
    if (command.do === 'node') return node(command.is)
    if (command.do === 'ready' || command.do === 'use' || command.do === 'exit') return onMachine(command)
    if (command.do !== 'together') return runPart(command, undefined)
    const all = Promise.all(command.parts.map((part) => runPart(part, scheduler?.schedule.bind(scheduler))))
    await (scheduler ? scheduler.waitFor(all) : all)
  }

  async function onMachine(command: Command & { do: 'ready' | 'use' | 'exit' }): Promise<void> {
    const rentalId = pickNewest([...machine.leases.keys()], command.which)
    if (rentalId === undefined) return
    if (command.do === 'ready') machine.ready(rentalId)
    if (command.do === 'use') machine.use(rentalId, command.moreSeconds)
    if (command.do === 'exit') machine.end(rentalId, 'exited')
    await machine.tell(process({}, undefined))
  }

  /** What this sequence's wallets sent to the escrow, as the chain has it. */
  const received = (): MockLanded[] =>
    wallets.flatMap(({ name }) =>
      world.chain.history(name, null, 1_000).filter((each) => each.from === name && each.to === world.escrow && !each.hasFailed),
    )

  /** Everybody has what is theirs; answers what the market took. */
  function compare(): bigint {
    const inEscrow = received()
    const { refunds, payout, fee } = model.end(seen, inEscrow)
    for (const { name, atoms } of wallets) {
      const spent = inEscrow.filter(({ from }) => from === name).reduce((total, { amountAtoms }) => total + amountAtoms, 0n)
      equal(`the balance of ${name}`, world.chain.balanceOf(name), atoms - spent + (refunds.get(name) ?? 0n))
    }
    equal('what the provider has', world.chain.balanceOf(provider), payout)
    for (const { id } of seen.transfers.values()) {
      const made = world.chain.findByName(world.escrow, id, 0).filter((each) => each.from === world.escrow && !each.hasFailed)
      if (made.length !== 1) throw new Violation(`P6: transfer ${id} was made ${made.length} times`)
    }
    const signatures = [...seen.payments.values()].flatMap(({ status, signature }) =>
      status === 'settled' && signature ? [signature] : [],
    )
    if (new Set(signatures).size !== signatures.length) throw new Violation('P1: one transaction paid twice')
    return fee
  }

  return {
    nodeId,
    offerId,
    machine,
    run,
    compare,
    received,
    heard: () => model.heard(world.now()),
    /** What its refunds may answer: stray receipts, payments, and the transactions that were to pay. */
    debts: () => [...strays, ...sent.flatMap(({ header, quoted }) => [digestOf(header), quoted.quote.paymentId])],
    isIdle: () => sent.length + strays.length === 0,
    /** Takes what the database says of it now, and holds it against the model. */
    step(now: Seen): void {
      // What the machine signed is what it told, in this order, heard or not.
      for (const signed of machine.takeSigned()) model.used(signed)
      seen = now
      model.step(seen, world.now())
    },
    seen: () => seen,
    isQuiet: () => isQuiet(seen),
    whatIsOpen: () => whatIsOpen(seen),
    /** Everything well again, and every rental stopped. */
    async stopAll(): Promise<void> {
      for (const { name } of wallets) world.chain.setAccount(name, 'open')
      await node('back')
      for (const { id, status } of rentals()) {
        if (status === 'requested' || status === 'expired' || status === 'settled') continue
        model.stopAsked(id)
        await stopRental(process({}, undefined).deps, id)
      }
    },
  }
}

/** The answer, or undefined when the market said no or its process died. Anything else is not expected. */
async function expected<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work
  } catch (error) {
    if (error instanceof Problem || error instanceof Dead) return undefined
    throw error
  }
}

function equal(what: string, is: bigint, should: bigint): void {
  if (is !== should) throw new Violation(`L6: ${what} is ${is}, it should be ${should}`)
}

function digestOf(header: string): string {
  return JSON.parse(atob(header)).payload.digest
}
