// The check of arrows is worth something only if a wrong arrow makes it fail: one is planted per rule, in files that are removed again.
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { checks, runCheck } from '../scripts/check.ts'
import { cloneDir } from '../scripts/state.ts'

/** Folder of the planted file, what it wrongly imports, and the rule that must say so. */
const wrong: [folder: string, imported: string, rule: string][] = [
  ['packages/protocol/src', 'node:fs', 'protocol-knows-only-zod'],
  ['packages/sdk/src', '../../../lib/env.ts', 'packages-know-nothing-of-the-house'],
  ['packages/agent/src', 'kysely', 'packages-know-nothing-of-the-house'],
  ['packages/agent/src/doors', 'dockerode', 'the-engine-only-in-runtimes'],
  ['lib/offers', '../rentals/get-rental.ts', 'lib-offers-knows-only-earlier-steps'],
  ['lib/settlement', '../wiring.ts', 'steps-are-given-what-they-use'],
  ['lib/db', '../offers/get-offer.ts', 'the-ground-knows-no-step'],
  ['lib/rentals', '@flow402/sdk/client', 'lib-knows-no-door-and-no-client'],
  ['lib/nodes', 'kysely', 'sql-only-in-stores'],
  ['lib/ledger', '@solana/kit', 'the-chain-only-behind-the-rail-and-in-the-payer'],
  ['components/ui', '../../lib/house.ts', 'components-never-lib'],
  ['api/offers', '../../lib/offers/store.ts', 'doors-and-pages-call-verbs-never-stores'],
  ['gateway', '@flow402/localnet/start', 'test-money-never-in-the-house'],
]
const planted = wrong.map(([folder], index) => join(folder, `planted-wrong-import-${index}.ts`))

afterEach(() => {
  for (const file of planted) rmSync(join(cloneDir, file), { force: true })
})

test('a wrong import, even one of types only, fails the check and is named with its rule', async () => {
  for (const [index, [, imported]] of wrong.entries())
    writeFileSync(join(cloneDir, planted[index] ?? ''), `import type * as wrong from '${imported}'\nexport type Wrong = typeof wrong\n`)
  const arrows = checks.find(({ name }) => name === 'arrows')
  if (!arrows) throw new Error('there is no check of arrows')
  const { ok, output } = await runCheck(arrows)
  expect(ok).toBe(false)
  for (const [index, [, , rule]] of wrong.entries()) expect(output).toContain(`${rule}: ${planted[index]}`)
})
