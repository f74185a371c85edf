// The audit: clean books are clean, every kind of damage is found as what it is, and its arithmetic is the arithmetic that charged.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { auditCodes } from '@flow402/protocol/audit'
import { billedSeconds, chargeAtoms, splitPrepaid } from '@flow402/protocol/money'
import fc from 'fast-check'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { plantBooks, plantedId } from '../../__tests__/support/planted-books.ts'
import { runStatements } from '../../__tests__/support/statements.ts'
import { auditText } from '../../scripts/audit.ts'
import { cloneDir } from '../../scripts/state.ts'
import { type Db, openDatabase } from '../db/client.ts'
import { runAudit } from './run-audit.ts'
import { chargeSql, feeSql } from './store-books.ts'

const settled = 45

/** `npm run audit` as a process of its own. */
function auditProgram(databaseUrl: string) {
  vi.stubEnv('DATABASE_URL', databaseUrl)
  try {
    return spawnSync(process.execPath, [join(cloneDir, 'scripts/audit.ts')], { encoding: 'utf8', cwd: cloneDir })
  } finally {
    vi.unstubAllEnvs()
  }
}

describe('books with some of everything', () => {
  let database: Awaited<ReturnType<typeof freshDatabase>>
  let db: Db
  const open = async () => {
    database = await freshDatabase()
    await plantBooks(database.url, settled)
    db = openDatabase(database.url, { max: 4 })
  }
  beforeEach(open)
  const close = async () => {
    await db.destroy()
    await database.drop()
  }

  test('are clean, line by line in the order of the codes, with figures, on one screen, and the program exits 0', async () => {
    const report = await runAudit({ db, now: Date.now })
    expect(report.lines.flatMap(({ code, wrong }) => wrong.map((text) => `${code} ${text}`))).toEqual([])
    expect(report.lines.map(({ code }) => code)).toEqual([...auditCodes])
    expect(report.holds).toBe(true)
    expect(report.entries).toBe(45 * 12 + 2 + 6 + 2)
    const figure = (code: string) => report.lines.find((line) => line.code === code)?.figure
    expect(figure('L3')).toContain('escrow 0.020777')
    expect(figure('L5')).toContain('0.47 paid, 0.01 held')
    expect(figure('P5')).toContain('1 unmatched 0.000777')
    const text = auditText(report).split('\n')
    expect(text.length).toBeLessThan(24)
    const ran = auditProgram(database.url)
    expect(ran.stderr).toBe('')
    expect(ran.stdout).toContain('Every invariant holds.')
    expect(ran.status).toBe(0)
    await close()
  })

  test('cannot be said to be clean when they cannot be read: the program exits 2', async () => {
    await close()
    const ran = auditProgram(database.url)
    expect(ran.stderr).toContain('could not be made')
    expect(ran.status).toBe(2)
  })

  const nth = (prefix: 'rnt' | 'pay' | 'trf', n: number) => plantedId(database.url, prefix, n)
  const book = (kind: string, ...entries: [string, string, number][]) => [
    `insert into ledger_transaction (id, kind, external_id, created_at) values ('ltx_planted', '${kind}', 'planted', now())`,
    ...entries.map(
      ([account, subject, atoms]) =>
        `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms) values ('ltx_planted', '${account}', '${subject}', 'USDC', ${atoms})`,
    ),
  ]

  const damages: [code: string, what: string, statements: () => Promise<string[]> | string[]][] = [
    ['L1', 'an entry without its other half', () => book('opening', ['capital', 'market', -5])],
    ['L2', 'the application may change entries', () => ['grant update on ledger_entry to flow402_app']],
    ['L2', 'the application may change one column', () => ['grant update (amount_atoms) on ledger_entry to flow402_app']],
    ['L2', 'the trigger against changes is off', () => ['alter table ledger_entry disable trigger ledger_entry_insert_only']],
    ['L2', 'the trigger that balances is gone', () => ['drop trigger ledger_entry_balances on ledger_entry']],
    ['L3', 'somebody owes us fees', () => book('opening', ['fee', 'somebody', 5], ['capital', 'somebody', -5])],
    ['L4', 'a cause may be booked twice', () => ['alter table ledger_transaction drop constraint ledger_transaction_kind_external_id_key']],
    [
      'L5',
      'a running rental has earned already',
      async () => {
        const running = await nth('rnt', settled + 1)
        return book('settle', ['held', running, 1], ['provider', running, -1])
      },
    ],
    [
      'L5',
      'a rental says that more was paid for it',
      async () => [`update rental set prepaid_atoms = 10001 where id = '${await nth('rnt', settled + 1)}'`],
    ],
    [
      'L6',
      'an atom less is refunded than was left',
      async () => [`update rental set refund_atoms = 4999 where id = '${await nth('rnt', settled + 2)}'`],
    ],
    [
      'L7',
      'a second less was metered than is charged',
      async () => {
        const first = await nth('rnt', 1)
        return [
          `update rental set metered_seconds = 299 where id = '${first}'`,
          `update statement set metered_seconds = 299 where rental_id = '${first}'`,
        ]
      },
    ],
    [
      'L8',
      'the chain moved an atom more than the books say',
      async () => [`update escrow_movement set delta_atoms = 10001 where external_id = '${await nth('pay', 1)}'`],
    ],
    [
      'L8',
      'money left the escrow that nobody sent',
      () => [
        `insert into escrow_movement (signature, fate, delta_atoms, slot, landed_at, created_at) values ('thief', 'unexplained', -5, 102, now(), now())`,
      ],
    ],
    [
      'L8',
      'the newest comparison found a difference',
      () => [
        `insert into reserve_check (slot, chain_atoms, ledger_atoms, waiting_atoms, difference_atoms, created_at) values (103, 5, 6, 0, -1, now())`,
      ],
    ],
    [
      'P1',
      'a settled payment has no posted hold',
      async () => [`delete from ledger_hold_end where external_id = '${await nth('pay', 1)}'`],
    ],
    [
      'P1',
      'a payment was settled by another transaction than is booked',
      async () => [`update payment set signature = 'other' where id = '${await nth('pay', 1)}'`],
    ],
    [
      'P1',
      'two payments are booked with each other’s transaction',
      async () => {
        const [one, two] = [await nth('pay', 1), await nth('pay', 2)]
        return [
          `update ledger_transaction set signature = other.signature from ledger_transaction other
           where ledger_transaction.kind = 'charge' and other.kind = 'charge'
             and (ledger_transaction.external_id, other.external_id) in (('${one}', '${two}'), ('${two}', '${one}'))`,
        ]
      },
    ],
    ['P1', 'a transaction may pay twice', () => ['alter table payment drop constraint payment_message_hash_key']],
    [
      'P2',
      'a rental runs for less than its price',
      async () => [`update rental set price_atoms_per_hour = 60001 where id = '${await nth('rnt', settled + 1)}'`],
    ],
    [
      'P2',
      'a rental has more minutes than were paid',
      async () => [`update rental set minutes = 11 where id = '${await nth('rnt', settled + 1)}'`],
    ],
    [
      'P3',
      'an expired payment was settled',
      async () => [`update payment set finalized_at = now() where id = '${await nth('pay', settled + 4)}'`],
    ],
    [
      'P3',
      'an undecided payment is forgotten',
      async () => [`update payment set created_at = now() - interval '1 hour' where id = '${await nth('pay', settled + 3)}'`],
    ],
    [
      'P5',
      'money that came for nothing is owed to nobody',
      () => [
        `delete from event where noun_id in (select id from transfer where amount_atoms = 777)`,
        'delete from transfer where amount_atoms = 777',
      ],
    ],
    [
      'P6',
      'a transfer is owed and has a signature',
      async () => [`update transfer set signature = 'early' where id = '${await nth('trf', settled + 2)}'`],
    ],
    [
      'P6',
      'a refund went out with another transaction than is booked',
      async () => [`update transfer set signature = 'other' where id = '${await nth('trf', 1)}'`],
    ],
    [
      'P6',
      'a refund is booked as a fee',
      async () => [`update ledger_transaction set kind = 'fee' where kind = 'refund' and external_id = '${await nth('trf', 1)}'`],
    ],
    [
      'P7',
      'a payout left before its payment was final',
      async () => [`update payment set finalized_at = null where id = '${await nth('pay', 1)}'`],
    ],
    ['R1', 'a unit is taken that nobody has', () => ['update offer set units_reserved = 3']],
    [
      'R3',
      'a rental waits for a payment that never was',
      () => [
        `insert into rental select (jsonb_populate_record(rental, jsonb_build_object('id', 'rnt_' || repeat('0', 32), 'units_held', false))).* from rental where status = 'requested'`,
        `insert into event (noun, noun_id, to_status) values ('rental', 'rnt_' || repeat('0', 32), 'requested')`,
      ],
    ],
    [
      'M1',
      'more seconds are metered than passed',
      async () => [`update rental set metered_seconds = 599 where id = '${await nth('rnt', settled + 1)}'`],
    ],
    ['S1', 'books were closed without a statement', async () => [`delete from statement where rental_id = '${await nth('rnt', 1)}'`]],
    [
      'S1',
      'books were closed on a statement of other figures',
      async () => [`update statement set prepaid_atoms = 10001 where rental_id = '${await nth('rnt', 1)}'`],
    ],
    [
      'S1',
      'books were closed on a statement that does not hold',
      async () => [`update statement set fault = 'signature', detail = 'x' where rental_id = '${await nth('rnt', 1)}'`],
    ],
    ['L2', 'a statement may change after its books were closed', () => ['drop trigger statement_kept on statement']],
    [
      'J1',
      'a change has lost its event',
      async () => [`delete from event where noun_id = '${await nth('rnt', 1)}' and to_status = 'settled'`],
    ],
    [
      'J1',
      'a change in the middle has lost its event',
      async () => [`delete from event where noun_id = '${await nth('rnt', 1)}' and to_status = 'running'`],
    ],
    ['L2', 'postings may be about rentals that are not there', () => ['drop trigger ledger_transaction_refers on ledger_transaction']],
    ['L2', 'a rental may vanish from under its payments', () => ['alter table rental disable trigger rental_stays']],
    [
      'P1',
      'a signature may pay twice, but for some',
      () => [
        'drop index payment_signature_key',
        `create unique index payment_signature_key on payment (signature) where signature is not null and kind = 'rent'`,
      ],
    ],
    ['J1', 'changes write no events any more', () => ['alter table payment disable trigger payment_change_event']],
  ]

  test.each(damages)('%s alone fails when %s', async (code, _what, statements) => {
    await runStatements(database.url, 'set session_replication_role = replica', ...(await statements()))
    const report = await runAudit({ db, now: Date.now })
    expect(report.lines.filter((line) => !line.holds).map((line) => [line.code, line.wrong.length > 0])).toEqual([[code, true]])
    expect(report.holds).toBe(false)
    await close()
  })

  test('rows from before there were events are right as they are', async () => {
    const [old, ended] = [await nth('rnt', 1), await nth('rnt', settled + 2)]
    await runStatements(
      database.url,
      'set session_replication_role = replica',
      `delete from event where noun_id = '${old}' or (noun_id = '${ended}' and to_status <> 'ending')`,
      `update rental set created_at = now() - interval '1 year' where id in ('${old}', '${ended}')`,
    )
    expect((await runAudit({ db, now: Date.now })).holds).toBe(true)
    await close()
  })

  test('what is booked and not yet on a finalized block is right, and is counted', async () => {
    await runStatements(
      database.url,
      `update escrow_movement set slot = null where external_id in ('${await nth('pay', 1)}', '${await nth('trf', 1)}')`,
    )
    const report = await runAudit({ db, now: Date.now })
    expect(report.holds).toBe(true)
    expect(report.lines.find(({ code }) => code === 'L8')?.figure).toContain('2 not final yet')
    await close()
  })

  test('one wrong atom makes the program say which invariant it is and exit 1', async () => {
    const id = await nth('rnt', settled + 2)
    await runStatements(database.url, 'set session_replication_role = replica', `update rental set refund_atoms = 4999 where id = '${id}'`)
    const ran = auditProgram(database.url)
    expect(ran.stdout).toContain(id)
    expect(ran.stdout).toContain('Not right: L6.')
    expect(ran.status).toBe(1)
    await close()
  })
})

describe('the arithmetic', () => {
  let database: Awaited<ReturnType<typeof freshDatabase>>
  let db: Db
  beforeAll(async () => {
    database = await freshDatabase()
    db = openDatabase(database.url, { max: 1 })
  })
  afterAll(async () => {
    await db.destroy()
    await database.drop()
  })

  test('of L7 in SQL is that of packages/protocol/money, for every price, size and time', async () => {
    const rental = fc.record({
      units: fc.integer({ min: 1, max: 100_000 }),
      price: fc.bigInt({ min: 1n, max: 10n ** 15n }),
      minutes: fc.integer({ min: 1, max: 200_000 }),
      metered: fc.integer({ min: 0, max: 13_000_000 }),
      hasRun: fc.boolean(),
      prepaid: fc.bigInt({ min: 0n, max: 10n ** 18n }),
      feeBps: fc.integer({ min: 0, max: 10_000 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(rental, { minLength: 1, maxLength: 50 }), async (rentals) => {
        const column = <K extends keyof (typeof rentals)[number]>(name: K) => sql`${rentals.map((each) => String(each[name]))}`
        const { rows } = await sql<{ charge: string; fee: string }>`
          select charge::text, ${feeSql}::text as fee from (
            select *, ${chargeSql} as charge from (
              select units::int, price::bigint as price_atoms_per_hour, minutes::int, metered::int as metered_seconds,
                case when ran then now() end as started_at, prepaid::bigint as prepaid_atoms, bps::int as fee_bps, n
              from unnest(${column('units')}::text[], ${column('price')}::text[], ${column('minutes')}::text[], ${column('metered')}::text[],
                ${column('hasRun')}::bool[], ${column('prepaid')}::text[], ${column('feeBps')}::text[])
                with ordinality as given (units, price, minutes, metered, ran, prepaid, bps, n)
            ) sold
          ) charged order by n`.execute(db)
        const expected = rentals.map(({ units, price, minutes, metered, hasRun, prepaid, feeBps }) => {
          const split = splitPrepaid(prepaid, chargeAtoms(units, price, billedSeconds(metered, hasRun, minutes * 60)), feeBps)
          return { charge: split.chargedAtoms.toString(), fee: split.feeAtoms.toString() }
        })
        expect(rows).toEqual(expected)
      }),
      { numRuns: 200 },
    )
  })
})
