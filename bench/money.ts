// How fast the money path is, beside named peers in the same run. Usage: npm run bench:money [-- rentals|settlement|audit|facilitator ...]
import { cpus, totalmem } from 'node:os'
import { openBenchPostgres } from './bench-database.ts'
import { measureRentals, rentalLines } from './money-rentals.ts'
import { findPgbench } from './tpc-b.ts'

const parts = ['rentals', 'settlement', 'audit', 'facilitator'] as const
type Part = (typeof parts)[number]
const asked = process.argv.slice(2)
const unknown = asked.find((name) => !parts.includes(name as Part))
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}": ${parts.join(', ')}.`)
  process.exit(2)
}
const isAsked = (part: Part) => asked.length === 0 || asked.includes(part)

const rounds = Number(process.env.ROUNDS ?? 5)
const seconds = Number(process.env.SECONDS ?? 10)
const connections = 16

const pgbench = findPgbench()
if (isAsked('rentals') && !pgbench) {
  console.error(
    'pgbench is not here, and paid rentals are measured beside it: install it (Debian: apt-get install postgresql) and run this again.',
  )
  process.exit(1)
}

const postgres = await openBenchPostgres()
try {
  console.log(
    `${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}, PostgreSQL ${postgres.version}`,
  )
  if (isAsked('rentals') && pgbench) console.table(rentalLines(await measureRentals(postgres, pgbench, { rounds, seconds, connections })))
} finally {
  await postgres.stop()
}
