// How fast the money path is, beside named peers in the same run. Usage: npm run bench:money [-- rentals|settlement|audit|facilitator ...]
import { spawn } from 'node:child_process'
import { cpus, loadavg, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { openBenchPostgres } from './bench-database.ts'
import { auditLine, measureAudit } from './money-audit.ts'
import { measureRentals, rentalLines } from './money-rentals.ts'
import { measureSettlement, settlementLines } from './money-settlement.ts'
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

const rounds = 5
const seconds = 8
const connections = 16

const pgbench = findPgbench()
if (isAsked('rentals') && !pgbench) {
  console.error('pgbench is not here, and paid rentals are measured beside it: install it (Debian: apt-get install postgresql-15).')
  process.exit(1)
}

/** Prints a table; numbers with as many digits as they deserve. */
function show(title: string, lines: Record<string, string | number>[]): void {
  const brief = (value: string | number) => (typeof value === 'string' ? value : Number(value.toPrecision(value >= 100 ? 6 : 3)))
  const whole = (name: string, value: string | number) =>
    typeof value === 'number' && /(perSecond|Micros)$/.test(name) ? Math.round(value) : brief(value)
  console.log(`\n${title}`)
  console.table(lines.map((line) => Object.fromEntries(Object.entries(line).map(([name, value]) => [name, whole(name, value)]))))
}

/** The facilitator's benchmark is a program of its own: both contenders in one process, with nothing else in it. */
function runFacilitator(): Promise<void> {
  const program = fileURLToPath(new URL('facilitator.ts', import.meta.url))
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program], { stdio: 'inherit' })
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`the facilitator's benchmark ended with ${code}`))))
  })
}

const load = () =>
  loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')
console.log(
  `${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; load before: ${load()}`,
)
if (isAsked('rentals') || isAsked('settlement') || isAsked('audit')) {
  const postgres = await openBenchPostgres()
  try {
    console.log(`PostgreSQL ${postgres.version}, fsync and synchronous_commit on; medians of ${rounds} rounds, taking turns with the peer`)
    if (isAsked('rentals') && pgbench)
      show(
        `Paid rentals, ${connections} connections, ${seconds} s each`,
        rentalLines(await measureRentals(postgres, pgbench, { rounds, seconds, connections })),
      )
    if (isAsked('settlement')) show('Settlement', settlementLines(await measureSettlement(postgres, { rounds, rentals: 100_000 })))
    if (isAsked('audit')) show('Audit', [auditLine(await measureAudit(postgres, { rounds, entries: 1_000_000 }))])
  } finally {
    await postgres.stop()
  }
}
if (isAsked('facilitator')) await runFacilitator()
console.log(`load after: ${load()}`)
