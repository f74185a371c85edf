// Truths that are written in two places are equal: database and protocol, table of endpoints and routes, codes and their documentation.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { DisputeStatus } from '@flow402/protocol/dispute'
import { endpoints } from '@flow402/protocol/endpoints'
import { Isolation } from '@flow402/protocol/node'
import { PaymentState } from '@flow402/protocol/payment'
import { problems } from '@flow402/protocol/problem'
import { EndReason, moves } from '@flow402/protocol/rental'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { buildApi } from '../api/app.ts'
import { advice } from '../app/errors/advice.ts'
import type { House } from '../lib/wiring.ts'
import { generateTypes, typesFile } from '../scripts/generate-types.ts'
import { cloneDir } from '../scripts/state.ts'
import { freshDatabase } from './support/database.ts'
import { runStatements } from './support/statements.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
beforeAll(async () => {
  database = await freshDatabase()
})
afterAll(() => database.drop())

async function enumValues(name: string): Promise<string[]> {
  const rows = await runStatements(database.url, `select unnest(enum_range(null::${name}))::text as value`)
  return rows.map(({ value }) => String(value)).sort()
}

test('every rental status of the database has its moves, and every state of the table is in the database', async () => {
  expect(await enumValues('rental_status')).toEqual(Object.keys(moves).sort())
})

test('no move leads out of the table', () => {
  for (const next of Object.values(moves).flatMap((events) => Object.values(events))) expect(Object.keys(moves)).toContain(next)
})

test('reasons, payment states and isolation are the same words in database and protocol', async () => {
  expect(await enumValues('end_reason')).toEqual([...EndReason.options].sort())
  expect(await enumValues('payment_status')).toEqual([...PaymentState.options].sort())
  expect(await enumValues('isolation')).toEqual([...Isolation.options].sort())
  expect(await enumValues('dispute_status')).toEqual([...DisputeStatus.options].sort())
})

test('the types of the database are what a freshly migrated database gives', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flow402-types-'))
  try {
    const made = join(folder, 'types.ts')
    await generateTypes(database.url, made)
    expect(readFileSync(made, 'utf8')).toBe(readFileSync(typesFile, 'utf8'))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('every problem code is explained in docs/errors.md with its status and its advice, and nothing else is', () => {
  const sections = readFileSync(join(cloneDir, 'docs/errors.md'), 'utf8').split(/^## /m).slice(1)
  const explained = new Map(sections.map((section) => [/^`(\w+)`/.exec(section)?.[1] ?? section, section]))
  expect([...explained.keys()].sort()).toEqual(Object.keys(problems).sort())
  for (const [code, { status, title }] of Object.entries(problems)) {
    expect(explained.get(code)).toContain(`**${status}** ${title}`)
    expect(explained.get(code)).toContain(advice[code as keyof typeof advice])
  }
})

test('every endpoint of the table has a route and a description, and every described route is in the table', () => {
  const api = buildApi({ version: 'test' } as House)
  const routes = new Set(api.routes.map(({ method, path }) => `${method} ${path}`))
  const described = api.getOpenAPI31Document({ openapi: '3.1.0', info: { title: 'Flow402', version: 'test' } }).paths ?? {}
  for (const { method, path } of Object.values(endpoints)) {
    expect(routes).toContain(`${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`)
    expect(described[path]).toHaveProperty(method)
  }
  const written = Object.entries(described).flatMap(([path, item]) => Object.keys(item ?? {}).map((method) => `${method} ${path}`))
  expect(written.sort()).toEqual(
    Object.values(endpoints)
      .map(({ method, path }) => `${method} ${path}`)
      .sort(),
  )
})

test('every endpoint of the table is in docs/API.md', () => {
  const text = readFileSync(join(cloneDir, 'docs/API.md'), 'utf8')
  for (const { method, path } of Object.values(endpoints)) expect(text).toContain(`\`${method.toUpperCase()} ${path}\``)
})

test('the lock file names the optional packages of every platform, so that npm ci works on each of them', () => {
  type Locked = { packages: Record<string, { optionalDependencies?: Record<string, string> }> }
  const { packages } = JSON.parse(readFileSync(join(cloneDir, 'package-lock.json'), 'utf8')) as Locked
  const locked = new Set(Object.keys(packages).map((path) => path.split('node_modules/').at(-1)))
  const wanted = Object.values(packages).flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
  expect(wanted.filter((name) => !locked.has(name))).toEqual([])
})

test('documents link only to files that are there', () => {
  const broken = markdownFiles(cloneDir).flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, target]) => (target ?? '').split('#')[0] ?? '')
      .filter((target) => target !== '' && !/^[a-z]+:/.test(target))
      .filter((target) => !existsSync(join(target.startsWith('/') ? cloneDir : dirname(file), target)))
      .map((target) => `${relative(cloneDir, file)}: ${target}`),
  )
  expect(broken).toEqual([])
})

function markdownFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory())
      return entry.name === 'node_modules' || entry.name.startsWith('.') || entry.name === 'target' ? [] : markdownFiles(path)
    return entry.name.endsWith('.md') ? [path] : []
  })
}
