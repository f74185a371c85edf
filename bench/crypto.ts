// How fast the hashes, trees, signatures and statements are, beside named peers in the same run.
// Usage: npm run bench:crypto [-- --quick] [hashes|merkle|signatures|pricing|statement|browser ...]
import { cpus, loadavg, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import packageJson from '../package.json' with { type: 'json' }
import rustLibJson from '../rust-lib/package.json' with { type: 'json' }
import { measureBrowser } from './crypto/browser.ts'
import { measureHashes } from './crypto/hashes.ts'
import { measureMerkle } from './crypto/merkle.ts'
import { measurePricing } from './crypto/pricing.ts'
import { measureSignatures } from './crypto/signatures.ts'
import { measureStatements } from './crypto/statement.ts'
import { type MadeStatements, makeStatements } from './crypto/statement-files.ts'
import { type Aim, aimLines, type Plan, type Section } from './crypto/table.ts'

const parts: Record<string, (plan: Plan, made: () => Promise<MadeStatements>) => Promise<Section>> = {
  hashes: measureHashes,
  merkle: measureMerkle,
  signatures: measureSignatures,
  pricing: measurePricing,
  statement: async (plan, made) => measureStatements(plan, await made()),
  browser: async (plan, made) => measureBrowser(plan, await made()),
}

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true })
const unknown = positionals.find((name) => !Object.hasOwn(parts, name))
if (unknown !== undefined) {
  console.error(`There is no part "${unknown}": ${Object.keys(parts).join(', ')}.`)
  process.exit(2)
}
const isQuick = values.quick
const plan: Plan = {
  isQuick,
  turns: isQuick ? { rounds: 3, sliceMs: 10, onceMs: 1_000 } : { rounds: 7, sliceMs: 60, onceMs: 10_000 },
}

const load = () =>
  loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')
const { devDependencies } = packageJson
const versions = {
  'OpenSSL ': process.versions.openssl,
  '@noble/hashes ': rustLibJson.dependencies['@noble/hashes'],
  '@noble/curves ': rustLibJson.dependencies['@noble/curves'],
  'hash-wasm ': devDependencies['hash-wasm'],
  'merkletreejs ': devDependencies.merkletreejs,
  '@openzeppelin/merkle-tree ': devDependencies['@openzeppelin/merkle-tree'],
}
console.log(
  `${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpus()[0]?.model}), ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}; load before: ${load()}`,
)
console.log(
  `${Object.entries(versions)
    .map((each) => each.join(''))
    .join(', ')}`,
)
console.log(
  `Medians of ${plan.turns.rounds} rounds in turns, ratios of the rounds.${isQuick ? ' QUICK: small sizes, good for a look and for no claim.' : ''}`,
)

// What was made or started is removed and stopped when this ends, however that is.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

let statements: Awaited<ReturnType<typeof makeStatements>> | undefined
/** Makes the statements when the first part asks for them. */
async function openStatements(): Promise<MadeStatements> {
  statements ??= await makeStatements(isQuick)
  return statements.made
}

const aims: Aim[] = []
try {
  for (const [name, measure] of Object.entries(parts)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue
    const startedAt = performance.now()
    const section = await measure(plan, openStatements)
    console.log(`\n### ${section.title}\n${section.lines.join('\n')}\n\n(${name}: ${Math.round((performance.now() - startedAt) / 1000)} s)`)
    aims.push(...section.aims)
  }
} finally {
  statements?.remove()
}
if (aims.length > 0) console.log(`\n### Aims\n\n${aimLines(aims).join('\n')}`)
console.log(`load after: ${load()}`)
