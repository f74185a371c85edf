// Fault 57: the schema changes while the market works, and a long report stands in the way of its locks.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect } from 'vitest'
import { migrateDatabase } from '../../scripts/migrate.ts'
import { cloneDir } from '../../scripts/state.ts'
import { fault, tally } from '../support/faults.ts'
import type { Answered } from '../support/house.ts'
import { openReplicaHouse, type Replica, type ReplicaHouse } from '../support/replica-house.ts'

const reportMs = 4_000
const renters = 4

let house: ReplicaHouse
let dir: string
beforeAll(async () => {
  house = await openReplicaHouse({ terms: { unitsTotal: 200 } })
  dir = mkdtempSync(join(tmpdir(), 'flow402-migrations-'))
  cpSync(join(cloneDir, 'db/migrations'), dir, { recursive: true })
})
afterAll(async () => {
  await house?.close()
  rmSync(dir, { recursive: true, force: true })
})

const statusAndCode = ({ status, body }: Answered) => (body.code ? `${status} ${body.code}` : `${status}`)

fault(57, 'a migration under traffic', async () => {
  const answers: string[] = []
  const took: number[] = []
  let isOver = false
  const renting = Array.from({ length: renters }, async (_, index) => {
    const to = house.replicas[index % house.replicas.length] as Replica
    while (!isOver) {
      const startedAt = performance.now()
      const quoted = await house.quote(house.request(), to)
      const answer = await house.pay(quoted, await house.sign(quoted), to)
      took.push(performance.now() - startedAt)
      answers.push(statusAndCode(answer))
      if (answer.status === 201) await house.stop(quoted.paid.rentalId, to)
    }
  })
  const report = new pg.Client({ connectionString: house.databaseUrl })
  await report.connect()
  try {
    await sleep(500)
    // Reads everything and takes its time: the migration cannot have its locks meanwhile.
    await report.query('begin')
    await report.query('select count(*) from rental, offer limit 1')
    const reading = sleep(reportMs).then(() => report.query('rollback'))

    const startedAt = performance.now()
    const expand = `-- Up Migration
      alter table rental add column planted_note text;
      alter table offer add column planted_rank integer not null default 0;
      alter table payment add column planted_note text;
      -- Down Migration
      select 1;`
    writeFileSync(join(dir, '9001_expand.sql'), expand)
    expect(await migrateDatabase(house.databaseUrl, { dir })).toEqual(['9001_expand'])
    const expandedMs = Math.round(performance.now() - startedAt)
    await reading
    const during = answers.length
    await sleep(1_000)
    expect(answers.length).toBeGreaterThan(during)

    // Nobody used them: they can go while the same processes work on.
    const contract = `-- Up Migration
      alter table rental drop column planted_note;
      alter table offer drop column planted_rank;
      alter table payment drop column planted_note;
      -- Down Migration
      select 1;`
    writeFileSync(join(dir, '9002_contract.sql'), contract)
    expect(await migrateDatabase(house.databaseUrl, { dir })).toEqual(['9002_contract'])
    await sleep(1_000)
    isOver = true
    await Promise.all(renting)
    expect(expandedMs).toBeGreaterThan(reportMs - 600)
    expect(new Set(answers)).toEqual(new Set(['201']))
    const longestMs = Math.round(Math.max(...took))
    const { payments, landedIn } = await house.checkEmpty()
    return `expanded after ${expandedMs} ms behind a report of ${reportMs} ms, contracted again: ${tally(answers)} meanwhile, the longest ${longestMs} ms; ${payments} payments, ${landedIn} transfers`
  } finally {
    isOver = true
    await Promise.allSettled(renting)
    await report.end()
  }
})
