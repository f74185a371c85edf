// The audit's judgement: which figures are right, in words. Pure.
import type { AuditCode, AuditLine } from '@flow402/protocol/audit'
import { formatUsdc } from '@flow402/protocol/money'
import type { Wrong } from './store.ts'
import type { sumEscrowPostings, sumRentals, sumTransactions } from './store-books.ts'
import type { readCatalog, readNewestCheck } from './store-catalog.ts'
import type { readEvents, readHolds, readPayments, readRentals, readStatements, readTransfers } from './store-states.ts'

/** What the audit's questions were answered, all at one instant. */
export type AuditFacts = {
  entries: Awaited<ReturnType<typeof sumTransactions>>
  books: Awaited<ReturnType<typeof sumEscrowPostings>>
  rentals: Awaited<ReturnType<typeof sumRentals>>
  events: Awaited<ReturnType<typeof readEvents>>
  holds: Awaited<ReturnType<typeof readHolds>>
  payments: Awaited<ReturnType<typeof readPayments>>
  transfers: Awaited<ReturnType<typeof readTransfers>>
  courses: Awaited<ReturnType<typeof readRentals>>
  statements: Awaited<ReturnType<typeof readStatements>>
  catalog: Awaited<ReturnType<typeof readCatalog>>
  check: Awaited<ReturnType<typeof readNewestCheck>>
}

const count = (value: bigint | number) => value.toLocaleString('en-US')
const usd = (atoms: bigint) => formatUsdc(atoms)
const many = (value: bigint | number, one: string, more = `${one}s`) => `${count(value)} ${BigInt(value) === 1n ? one : more}`

/** Every invariant with its figure. `nowMs` is only for ages. */
export function auditLines(facts: AuditFacts, nowMs: number): AuditLine[] {
  return [...ledgerLines(facts), reserveLine(facts, nowMs), ...paymentLines(facts, nowMs), ...courseLines(facts, nowMs)]
}

function ledgerLines({ entries, rentals, catalog }: AuditFacts): AuditLine[] {
  const { accounts } = rentals
  const sums = rentals.currencies.map(({ currency, atoms }) => `${currency} ${usd(BigInt(atoms))}`).join(', ')
  const total = Object.entries(accounts).filter(([name, atoms]) => name === 'escrow' || atoms !== 0n)
  const divided = `${usd(rentals.payoutAtoms)} to providers + ${usd(rentals.feeAtoms)} fees`
  return [
    line(
      'L1',
      'every transaction sums to zero',
      `${many(entries.entries, 'entry', 'entries')} in ${many(entries.transactions, 'transaction')}, sum ${sums || 'nothing yet'}`,
      [
        bad(entries.unbalanced, 'transactions do not sum to zero'),
        ...rentals.currencies
          .filter(({ atoms }) => atoms !== '0')
          .map(({ currency, atoms }) => `all of ${currency} sums to ${usd(BigInt(atoms))}`),
      ],
    ),
    line(
      'L2',
      'the books are insert-only',
      `${catalog.tableCount} tables and the rights of ${catalog.role}, ${catalog.triggerCount} triggers`,
      [...catalog.rights.map((right) => `the role may ${right}`), ...catalog.triggers.map((name) => `no trigger ${name}, or it is off`)],
    ),
    line(
      'L3',
      'no account is on its wrong side',
      `${many(rentals.subjects, 'subject')}: ${total.map(([name, atoms]) => `${name} ${usd(name === 'escrow' ? atoms : -atoms)}`).join(', ')}`,
      [bad(rentals.wrongSide, 'subjects have an account on its wrong side')],
    ),
    line('L4', 'one posting per cause', `${catalog.ledgerUniqueCount} unique constraints, ${count(catalog.duplicates)} duplicates`, [
      ...catalog.ledgerUniques.map((name) => `no unique constraint on ${name}`),
      ...(catalog.duplicates > 0n ? [`${count(catalog.duplicates)} causes are booked twice`] : []),
    ]),
    line(
      'L5',
      'paid = held + earned + fee + refund + gone',
      `${many(rentals.rentals, 'rental')}, ${usd(rentals.paidAtoms)} paid, ${usd(-accounts.held)} held, ${count(rentals.closed)} closed`,
      [bad(rentals.unclosed, 'rentals do not close')],
    ),
    line(
      'L6',
      'refunded + charged = paid after close',
      `${usd(rentals.refundedAtoms)} refunded + ${usd(rentals.chargedAtoms)} charged in ${many(rentals.closed, 'rental')}`,
      [bad(rentals.misdivided, 'rentals are divided wrongly')],
    ),
    line('L7', 'the charge follows from the seconds', `${count(rentals.closed)} recomputed: ${divided}`, [
      bad(rentals.mischarged, 'rentals are charged wrongly'),
    ]),
  ]
}

function reserveLine({ check, books }: AuditFacts, nowMs: number): AuditLine {
  const moved = `${many(books.movements, 'movement')} against the books${books.unseen > 0n ? `, ${count(books.unseen)} not final yet` : ''}`
  const wrong = [bad(books.misbooked, 'movements differ from the books'), bad(books.unexplained, 'movements left the escrow unexplained')]
  if (!check) return line('L8', 'the escrow holds what is owed', `never compared with the chain yet; ${moved}`, wrong)
  const difference =
    check.differenceAtoms === 0n ? '' : `the chain differs from the books by ${usd(check.differenceAtoms)}: payouts are frozen`
  const waiting = check.waitingAtoms === 0n ? '' : ` + waiting ${usd(check.waitingAtoms)}`
  const figure = `slot ${check.slot}: chain ${usd(check.chainAtoms)} = books ${usd(check.ledgerAtoms)}${waiting}, ${age(nowMs, check.at)} ago; ${moved}`
  return line('L8', 'the escrow holds what is owed', difference ? figure.replace(' = ', ' against ') : figure, [difference, ...wrong])
}

function paymentLines({ books, events, holds, payments, transfers, catalog }: AuditFacts, nowMs: number): AuditLine[] {
  const states = Object.entries(payments.byStatus).map(([status, n]) => `${count(n)} ${status}`)
  const debts = transfers.byStatus.map(({ status, count: n, atoms }) => `${count(n)} ${status} ${usd(atoms)}`)
  const oldest = transfers.oldestDebtAt ? `, oldest debt ${age(nowMs, transfers.oldestDebtAt)}` : ''
  const { unmatched, dust, refunded } = transfers
  return [
    line(
      'P1',
      'a payment settles once',
      `${many(books.settledPayments, 'settled payment')} and their charges, ${many(holds.holds, 'hold')}, ${count(holds.open)} open ${usd(holds.openAtoms)}`,
      [
        bad(books.charges, 'payments and charges differ'),
        bad(holds.wrong, 'holds did not end as they must'),
        bad(payments.doubled, 'payments share a message or a signature'),
        ...catalog.moneyUniques.map((name) => `no unique constraint on ${name}`),
      ],
    ),
    line('P2', 'nothing runs unpaid, nothing paid is lost', `${count(payments.byStatus.settled ?? 0n)} payments of the exact price`, [
      bad(payments.unpaid, 'rentals differ from what was paid for them'),
    ]),
    line(
      'P3',
      'states as their evidence allows',
      states.length > 0
        ? `${states.join(', ')}${payments.oldestUndecidedAt ? `, oldest undecided ${age(nowMs, payments.oldestUndecidedAt)}` : ''}`
        : 'no payment yet',
      [
        bad(payments.impossible, 'payments are in a state that their evidence does not allow'),
        bad(events.walked, 'payments went a way that does not exist'),
        bad(payments.forgotten, 'payments are undecided and nobody knows why'),
      ],
    ),
    line(
      'P5',
      'nothing received is dropped',
      `${count(unmatched.count)} unmatched ${usd(unmatched.atoms)}, ${count(refunded.count)} given back ${usd(refunded.atoms)}, ${count(dust.count)} dust ${usd(dust.atoms)}${transfers.waiting > 0n ? `, ${count(transfers.waiting)} waiting` : ''}`,
      [bad(transfers.unreturned, 'receipts are neither used nor owed back')],
    ),
    line(
      'P6',
      'a transfer goes out once',
      `${debts.join(', ') || 'no transfer yet'}${oldest}${transfers.lastError ? ` (${transfers.lastError.slice(0, 60)})` : ''}`,
      [
        bad(transfers.impossible, 'transfers are in a state that their evidence does not allow'),
        bad(books.transfers, 'transfers differ from the books'),
      ],
    ),
    line('P7', 'nothing leaves before its payment is final', `${many(payments.unfinal, 'payment')} not final yet`, [
      bad(transfers.early, 'transfers left too early'),
    ]),
  ]
}

function courseLines({ courses, statements, events, catalog }: AuditFacts, nowMs: number): AuditLine[] {
  const waiting = courses.waiting.map(({ status, count: n, oldestAt }) => `${count(n)} ${status} (oldest ${age(nowMs, oldestAt)})`)
  return [
    line(
      'R1',
      'never oversold',
      `${many(courses.offers, 'offer')}, ${count(courses.unitsReserved)} of ${many(courses.unitsTotal, 'unit')} taken`,
      [bad(courses.miscounted, 'offers count their units wrongly')],
    ),
    line('R3', 'every state moves on', waiting.join(', ') || 'every rental is settled or expired', [
      bad(courses.stuck, 'rentals wait for a payment that is decided'),
    ]),
    line('M1', 'metered within paid and passed time', `${count(courses.meteredSeconds)} s metered`, [
      bad(courses.overmetered, 'rentals are metered beyond it'),
    ]),
    line('S1', 'books close on a checked statement', `${many(statements.stated, 'bill')} on ${many(statements.records, 'signed record')}`, [
      bad(statements.unstated, 'bills were booked without their statement'),
      bad(statements.refused, 'statements do not hold, and their books stay open'),
    ]),
    line('J1', 'each change has its event', `${many(events.events, 'event')} for ${many(events.rows, 'row')}`, [
      bad(events.wrong, 'rows are not where their newest event says'),
      ...catalog.eventTriggers.map((name) => `no trigger ${name}, or it is off`),
    ]),
  ]
}

function line(code: AuditCode, title: string, figure: string, wrong: string[]): AuditLine {
  const said = wrong.filter((text) => text !== '')
  return { code, title, figure, holds: said.length === 0, wrong: said }
}

function bad({ count: n, examples }: Wrong, what: string): string {
  return n === 0n ? '' : `${count(n)} ${what}: ${examples.join(', ')}${n > BigInt(examples.length) ? ', …' : ''}`
}

/** How long ago, in the largest unit that is not zero. */
function age(nowMs: number, at: Date): string {
  const seconds = Math.max(0, Math.round((nowMs - at.getTime()) / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} d`
}
