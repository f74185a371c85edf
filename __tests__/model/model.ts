// The model: what must be true of one sequence after each command and at its end, worked out from what was done and from the chain alone.
import type { MockLanded } from '../../lib/payments/mock-chain.ts'
import type { Seen, SeenPayment, SeenRental } from './observe.ts'

/** Thrown when the market did what cannot be: the invariant's id comes first. */
export class Violation extends Error {}

function hold(isTrue: boolean, what: string): void {
  if (!isTrue) throw new Violation(what)
}

/** What the chain says, asked past the market's own code. */
export type ChainTruth = {
  find(signature: string): MockLanded | undefined
  findByMemo(memo: string): MockLanded[]
  finalizedHeight(): bigint
}

/** A quote as it was agreed: what the market may ask for it, and what it may be. */
type Agreed = {
  paymentId: string
  rentalId: string
  kind: 'rent' | 'extend'
  amount: bigint
  units: number
  minutes: number
  expMs: number
}

const ranks = { requested: 0, paid: 1, starting: 2, running: 3, ending: 4, settled: 5, expired: 6 } as const
const legalPayment: Record<SeenPayment['status'], SeenPayment['status'][]> = {
  claimed: ['claimed', 'submitted', 'settled', 'rejected', 'expired'],
  submitted: ['submitted', 'settled', 'rejected', 'expired'],
  settled: ['settled', 'expired'],
  rejected: ['rejected'],
  expired: ['expired'],
}
const floorSeconds = (ms: number) => Math.max(0, Math.floor(ms / 1000))
const ceilDivide = (value: bigint, by: bigint) => (value + by - 1n) / by

/** The charge in plain arithmetic: whole seconds at a price per hour, rounded down once, over the whole of the rental. */
export function chargeFor(rental: Pick<SeenRental, 'units' | 'price' | 'minutes' | 'metered' | 'startedAt' | 'prepaid'>): bigint {
  if (rental.startedAt === null) return 0n
  const most = rental.minutes * 60
  const seconds = rental.metered < 60 ? Math.min(60, most) : Math.min(rental.metered, most)
  const charge = (BigInt(rental.units) * rental.price * BigInt(seconds)) / 3600n
  return charge > rental.prepaid ? rental.prepaid : charge
}

/**
 * The model of one sequence. `price` and `feeBps` are the market's terms, `unitsTotal` what the machine has, `dropped` the signatures that a
 * fork took away at some time, `usedUp` the rentals that the machine ended by what it knew to be paid for.
 */
export function openModel(terms: {
  price: bigint
  feeBps: number
  unitsTotal: number
  dustAtoms: bigint
  truth: ChainTruth
  dropped: Set<string>
  usedUp: Set<string>
}) {
  const { truth, dropped, usedUp } = terms
  const agreed = new Map<string, Agreed>()
  /** Per rental: where the seconds of each signed usage record end; a machine that forgot everything begins its numbers anew. */
  const told = new Map<string, { seq: number; toSecond: number }[]>()
  const stopped = new Set<string>()
  let before: Seen | undefined
  let lastSeenMs = 0
  let isLostForLong = false

  const model = {
    agreed,
    /** A price was asked for: it must be the ceiling of the whole. */
    quoted(quote: Agreed): void {
      const exact = ceilDivide(BigInt(quote.units) * terms.price * BigInt(quote.minutes * 60), 3600n)
      hold(quote.amount === exact, `P4: ${quote.paymentId} asks ${quote.amount}, the price is ${exact}`)
      agreed.set(quote.paymentId, quote)
    },
    used({ rentalId, seq, toSecond }: { rentalId: string; seq: number; toSecond: number }): void {
      told.set(rentalId, [...(told.get(rentalId) ?? []), { seq, toSecond }])
    },
    stopAsked: (rentalId: string) => void stopped.add(rentalId),
    heard(nowMs: number): void {
      isLostForLong ||= nowMs - lastSeenMs > 360_000 && lastSeenMs > 0
      lastSeenMs = nowMs
    },

    /** After a command: what changed could change, and every sum agrees. */
    step(seen: Seen, nowMs: number): void {
      isLostForLong ||= nowMs - lastSeenMs > 360_000
      capacity(seen)
      for (const payment of seen.payments.values()) checkPayment(payment, before?.payments.get(payment.id), nowMs)
      for (const rental of seen.rentals.values()) checkRental(seen, rental, before?.rentals.get(rental.id), nowMs)
      for (const old of before?.transfers.values() ?? []) {
        const now = seen.transfers.get(old.id)
        hold(now !== undefined, `L2: transfer ${old.id} is gone`)
        if (old.status === 'confirmed') hold(now?.status === 'confirmed', `P6: transfer ${old.id} was confirmed and is ${now?.status}`)
      }
      before = seen
    },

    /** At the end: nothing is open, and everybody has to the atom what the model says. */
    end(seen: Seen, received: MockLanded[]): { refunds: Map<string, bigint>; payout: bigint; fee: bigint } {
      hold(isQuiet(seen), `R3: not at rest: ${whatIsOpen(seen).join(', ')}`)
      hold(seen.unitsReserved === 0, `R2: ${seen.unitsReserved} units are still taken`)
      const refunds = new Map<string, bigint>()
      const owe = (wallet: string, atoms: bigint) => refunds.set(wallet, (refunds.get(wallet) ?? 0n) + atoms)
      const counted = new Map<string, SeenPayment>()
      for (const payment of seen.payments.values()) {
        if (payment.status !== 'settled') continue
        const landed = payment.signature === null ? undefined : truth.find(payment.signature)
        hold(landed !== undefined && !landed.hasFailed, `P2: ${payment.id} is settled, and the chain has nothing`)
        hold(landed?.amountAtoms === payment.amount && landed.memo === payment.id, `P2: ${payment.id} is not what the chain has`)
        if (payment.counted) counted.set(payment.signature ?? '', payment)
      }
      // Whatever reached the escrow bought something or goes back whole, unless it is dust.
      for (const landed of received)
        if (!counted.has(landed.signature) && landed.amountAtoms >= terms.dustAtoms) owe(landed.from, landed.amountAtoms)
      let [payout, fee] = [0n, 0n]
      for (const rental of seen.rentals.values()) {
        if (rental.status !== 'settled') continue
        payout += rental.payout
        fee += rental.fee
        const paid = [...counted.values()].filter((each) => each.rentalId === rental.id)
        hold(sum(paid) === rental.prepaid, `L5: ${rental.id} was paid ${sum(paid)} and has ${rental.prepaid} in its books`)
        for (const [wallet, atoms] of refundsOf(seen, rental, paid)) owe(wallet, atoms)
      }
      return { refunds, payout, fee }
    },
  }

  function capacity(seen: Seen): void {
    const held = [...seen.rentals.values()].filter((rental) => rental.unitsHeld).reduce((total, { units }) => total + units, 0)
    hold(seen.unitsReserved === held, `R1: ${seen.unitsReserved} units are taken, ${held} are held by rentals`)
    hold(held <= terms.unitsTotal, `R1: ${held} of ${terms.unitsTotal} units are sold`)
  }

  function checkPayment(payment: SeenPayment, old: SeenPayment | undefined, nowMs: number): void {
    const quote = agreed.get(payment.id)
    hold(
      quote !== undefined && quote.amount === payment.amount && quote.rentalId === payment.rentalId,
      `P4: ${payment.id} is not as quoted`,
    )
    if (!old) hold((quote?.expMs ?? 0) >= nowMs - 999, `P4: ${payment.id} was claimed after its quote expired`)
    if (old) {
      hold(legalPayment[old.status].includes(payment.status), `P3: ${payment.id} went from ${old.status} to ${payment.status}`)
      hold(old.finalizedAt === null || payment.status === 'settled', `P3: ${payment.id} was final and is ${payment.status}`)
      hold(old.messageHash === payment.messageHash, `P1: ${payment.id} is another message now`)
    }
    hold(!/violates|duplicate key|deadlock|syntax|undefined|not a function/i.test(payment.lastError ?? ''), `error: ${payment.lastError}`)
    if (payment.status === old?.status) return
    if (payment.status === 'settled') {
      const landed = payment.signature === null ? undefined : truth.find(payment.signature)
      const isReal = landed !== undefined && !landed.hasFailed && landed.amountAtoms === payment.amount && landed.memo === payment.id
      hold(isReal || dropped.has(payment.signature ?? ''), `P2: ${payment.id} was booked, and the chain has nothing of it`)
    }
    if (payment.status === 'expired') {
      const height = payment.lastValidHeight ?? 0n
      hold(truth.finalizedHeight() > height, `P3: ${payment.id} was given up at ${truth.finalizedHeight()}, it may land until ${height}`)
      const landed = truth.findByMemo(payment.id).find((each) => each.signature === payment.messageHash && !each.hasFailed)
      hold(landed === undefined, `P3: ${payment.id} was given up, and it is on the chain`)
    }
  }

  function checkRental(seen: Seen, rental: SeenRental, old: SeenRental | undefined, nowMs: number): void {
    const { id, status } = rental
    const payments = [...seen.payments.values()].filter((payment) => payment.rentalId === id)
    const first = payments.find((payment) => payment.kind === 'rent')
    hold(first !== undefined, `P1: ${id} has no payment`)
    if (status === 'expired')
      hold(first?.status === 'rejected' || first?.status === 'expired', `R3: ${id} expired, paid by ${first?.status}`)
    if (status === 'paid' || status === 'starting' || status === 'running')
      hold(first?.status === 'settled', `P2: ${id} is ${status}, and its payment is ${first?.status}`)
    if (ranks[status] < ranks.ending) hold(rental.unitsHeld, `R2: ${id} is ${status} and holds no units`)
    hold(rental.price === terms.price && rental.feeBps === terms.feeBps, `R6: the terms of ${id} changed`)
    if (old) {
      const isForward =
        old.status === 'expired'
          ? status === 'expired'
          : status === 'expired'
            ? old.status === 'requested'
            : ranks[status] >= ranks[old.status]
      hold(isForward, `R3: ${id} went from ${old.status} to ${status}`)
      hold(old.unitsHeld || !rental.unitsHeld, `R2: ${id} took its units again`)
      hold(old.units === rental.units, `R6: ${id} had ${old.units} units and has ${rental.units}`)
      hold(old.booksClosedAt === null || sameBooks(old, rental), `L6: the closed books of ${id} changed`)
    }
    if (rental.endReason !== (old?.endReason ?? null)) checkReason(rental, payments, nowMs)
    checkSeconds(rental, old, nowMs)
    checkSums(seen, rental, payments)
  }

  function checkReason({ id, endReason, paidUntil }: SeenRental, payments: SeenPayment[], nowMs: number): void {
    if (endReason === 'stopped') hold(stopped.has(id), `R3: ${id} was stopped by nobody`)
    if (endReason === 'node_lost') hold(isLostForLong, `R3: ${id} lost a machine that was there`)
    if (endReason === 'time_up') hold(usedUp.has(id) || (paidUntil !== null && nowMs >= paidUntil), `R3: the time of ${id} was not up`)
    if (endReason === 'payment_reversed')
      hold(
        payments.some(
          ({ status, messageHash, signature }) => status === 'expired' && (dropped.has(messageHash) || dropped.has(signature ?? '')),
        ),
        `P3: nothing was taken back from ${id}`,
      )
  }

  /** M1-M3: seconds are those of the newest record that counted, cut to what passed and what was paid. */
  function checkSeconds(rental: SeenRental, old: SeenRental | undefined, nowMs: number): void {
    const { id, metered, records, startedAt } = rental
    hold(startedAt !== null || metered === 0, `M1: ${id} never ran and used ${metered} s`)
    if (startedAt === null) return
    hold(metered <= floorSeconds((rental.endedAt ?? nowMs) - startedAt), `M1: ${id} used more seconds than passed`)
    const isLostNow = rental.endReason === 'node_lost' && old?.endReason !== 'node_lost'
    const isSame = records === (old?.records ?? 0) && !isLostNow
    const newest = records === 0 ? [0] : (told.get(id) ?? []).filter(({ seq }) => seq === records).map(({ toSecond }) => toSecond)
    // What a record was cut to when it came is set right, once, when the statement is made: from then on it follows from the whole course.
    const stated = newest.map((toSecond) => Math.min(toSecond, rental.minutes * 60, floorSeconds((rental.endedAt ?? nowMs) - startedAt)))
    hold(
      rental.booksClosedAt === null || stated.includes(metered),
      `M2: ${id} was billed for ${metered} s, it should be ${stated.join(' or ')}`,
    )
    const isSetRight = rental.usageClosedAt !== null && stated.includes(metered)
    hold(!isSame || metered === (old?.metered ?? 0) || isSetRight, `M3: the seconds of ${id} changed by themselves`)
    if (isSame || isSetRight) return
    const ends = [nowMs, old?.endedAt, rental.endedAt].filter((end) => typeof end === 'number')
    const may = ends.flatMap((end) =>
      [rental.minutes, old?.minutes ?? rental.minutes].flatMap((minutes) =>
        newest.map((toSecond) => Math.min(toSecond, minutes * 60, floorSeconds(end - startedAt))),
      ),
    )
    hold(may.includes(metered), `M2: ${id} used ${metered} s, it should be ${may.join(' or ')}`)
  }

  /** L5, L6 and L7 of one rental. */
  function checkSums(seen: Seen, rental: SeenRental, payments: SeenPayment[]): void {
    const { id, prepaid, charged, fee, payout, refund } = rental
    const account = (name: string) => -(seen.sums.find((each) => each.subject === id && each.account === name)?.atoms ?? 0n)
    const owed = account('held') + account('provider') + account('fee') + account('refund') + account('disputed')
    hold(account('escrow') + owed === 0n, `L1: the entries of ${id} do not add up`)
    const good = payments.filter((payment) => payment.status === 'settled' && payment.counted)
    hold(prepaid === sum(good), `L5: ${id} was paid ${sum(good)} and has ${prepaid} in its books`)
    hold(account('held') === (rental.booksClosedAt === null ? prepaid : 0n), `L5: ${account('held')} are held for ${id} of ${prepaid}`)
    if (rental.booksClosedAt === null) return
    hold(charged + refund === prepaid && charged === payout + fee, `L6: ${id}: ${payout} + ${fee} + ${refund} is not ${prepaid}`)
    const exact = chargeFor(rental)
    hold(charged === exact, `L7: ${id} is charged ${charged}, it should be ${exact}`)
    hold(fee === (exact * BigInt(rental.feeBps)) / 10_000n, `L7: the fee of ${id} is ${fee}`)
    hold(
      payments.every((payment) => payment.status !== 'settled' || payment.finalizedAt !== null),
      `P7: the books of ${id} closed before its payments were final`,
    )
  }

  /** Newest first, each at most what it paid; the model's own sums, and the transfers must say the same. */
  function refundsOf(seen: Seen, rental: SeenRental, paid: SeenPayment[]): [string, bigint][] {
    const made = [...seen.transfers.values()].filter((each) => each.kind === 'refund' && each.rentalId === rental.id)
    const refunded = (payment: SeenPayment) => made.find((each) => each.externalId === payment.id)?.amount ?? 0n
    hold(sum(made) === rental.refund, `L6: the refunds of ${rental.id} are ${sum(made)}, not ${rental.refund}`)
    for (const newer of paid)
      for (const older of paid)
        if ((newer.settledAt ?? 0) > (older.settledAt ?? 0) && refunded(older) > 0n)
          hold(refunded(newer) === newer.amount, `L6: ${older.id} is refunded before ${newer.id}`)
    for (const payment of paid) hold(refunded(payment) <= payment.amount, `L6: ${payment.id} is refunded more than it paid`)
    return paid.map((payment) => [payment.payer, refunded(payment)])
  }

  return model
}

const sum = (all: readonly { amount: bigint }[]) => all.reduce((total, { amount }) => total + amount, 0n)

function sameBooks(a: SeenRental, b: SeenRental): boolean {
  return a.prepaid === b.prepaid && a.charged === b.charged && a.fee === b.fee && a.payout === b.payout && a.refund === b.refund
}

/** What is not at an end yet. */
export function whatIsOpen(seen: Seen): string[] {
  return [
    ...[...seen.payments.values()]
      .filter(({ status, finalizedAt }) => status === 'claimed' || status === 'submitted' || (status === 'settled' && finalizedAt === null))
      .map(({ id, status, lastError }) => `${id} ${status} (${lastError})`),
    ...[...seen.rentals.values()]
      .filter(({ status, unitsHeld }) => (status !== 'settled' && status !== 'expired') || unitsHeld)
      .map(({ id, status, endReason, unitsHeld }) => `${id} ${status} ${endReason} ${unitsHeld ? 'holding units' : ''}`),
    ...[...seen.transfers.values()].filter(({ status }) => status !== 'confirmed').map(({ id, kind, status }) => `${id} ${kind} ${status}`),
  ]
}

export function isQuiet(seen: Seen): boolean {
  return whatIsOpen(seen).length === 0
}
