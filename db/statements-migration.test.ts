// The way to statements: a market that ran before there were any keeps every rental on a way to its end.
import { randomBytes } from 'node:crypto'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { runStatements } from '../__tests__/support/statements.ts'
import { openDatabase } from '../lib/db/client.ts'
import { closeBooks } from '../lib/settlement/close-books.ts'
import { migrateDatabase } from '../scripts/migrate.ts'
import { cloneDir } from '../scripts/state.ts'

const name = `test_${randomBytes(6).toString('hex')}`
let url: string
let dir: string
beforeAll(async () => {
  const admin = inject('adminDatabaseUrl')
  await runStatements(admin, `create database ${name}`)
  url = Object.assign(new URL(admin), { pathname: `/${name}` }).href
  dir = mkdtempSync(join(tmpdir(), 'flow402-migrations-'))
  for (const file of ['0001_rent-a-machine.sql', '0002_money-that-cannot-be-lost.sql'])
    cpSync(join(cloneDir, 'db/migrations', file), join(dir, file))
})
afterAll(async () => {
  await runStatements(inject('adminDatabaseUrl'), `drop database if exists ${name} with (force)`)
  rmSync(dir, { recursive: true, force: true })
})

const node = `'nod_' || repeat('1', 32)`
const offer = `'ofr_' || repeat('1', 32)`
const states = ['requested', 'paid', 'starting', 'running', 'ending', 'settled', 'expired']

test('rentals that have run before settle without a statement; those that begin to run afterwards need one', async () => {
  await migrateDatabase(url, { dir })
  await runStatements(
    url,
    `insert into node (id, name, region, public_key, payout_address, created_at) values (${node}, 'n', 'r', 'k', 'a', now())`,
    `insert into offer (id, node_id, kind, units_total, ram_mb, cpu_millis, disk_mb, price_atoms_per_hour, min_minutes, max_minutes, created_at)
     values (${offer}, ${node}, 'ram', 9, 1, 1, 1, 60000, 1, 1000, now())`,
    ...states.map(
      (state, index) =>
        `insert into rental (id, offer_id, node_id, status, end_reason, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb,
           price_atoms_per_hour, currency, fee_bps, payout_address, env, epoch, created_at, started_at, ended_at, usage_closed_at, metered_seconds)
         select 'rnt_' || repeat('${index}', 32), ${offer}, ${node}, '${state}', case when ${index} = 4 then 'stopped'::end_reason end, 1, 10, 1000,
           'ram', 1, 1, 1, 60000, 'USDC', 500, 'a', '{}', 1, now(), case when ${index} in (3, 4, 5) then now() - interval '5 min' end,
           case when ${index} = 4 then now() end, case when ${index} = 4 then now() end, case when ${index} = 4 then 300 else 0 end`,
    ),
  )
  await migrateDatabase(url)
  expect(await runStatements(url, 'select status::text, usage_version as version from rental order by id')).toEqual(
    states.map((status, index) => ({ status, version: index < 3 ? 2 : 1 })),
  )
  const db = openDatabase(url, { max: 1 })
  try {
    const deps = { db, now: Date.now, rail: { feeAddress: () => 'fee' }, payoutHoldMs: 0 }
    expect(await closeBooks(deps)).toBe(1)
    // One that is paid now ends like any other of today: not without its statement.
    await runStatements(
      url,
      `update rental set status = 'ending', end_reason = 'stopped', ended_at = now(), usage_closed_at = now() where status = 'starting'`,
    )
    expect(await closeBooks(deps)).toBe(0)
  } finally {
    await db.destroy()
  }
  expect(await runStatements(url, `select column_default from information_schema.columns where column_name = 'usage_version'`)).toEqual([
    { column_default: '2' },
  ])
})
