// The launcher of PostgreSQL: a fresh one, one left by a killed run, one that was given, and a clone in a closed folder.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, expect, inject, test, vi } from 'vitest'
import { runStatements } from '../__tests__/support/statements.ts'
import { removePostgres, startPostgres } from './postgres.ts'
import { isAlive } from './state.ts'

const folders: string[] = []

afterEach(async () => {
  vi.unstubAllEnvs()
  for (const folder of folders.splice(0)) {
    await removePostgres(join(folder, 'postgres'))
    rmSync(folder, { recursive: true, force: true })
  }
})

/** mkdtemp makes it 0700: like a clone under /root, its inside cannot be reached by the user that PostgreSQL runs as. */
function closedFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'flow402-launcher-'))
  folders.push(folder)
  return join(folder, 'postgres')
}

const withoutUrl = () => vi.stubEnv('DATABASE_URL', undefined)

test('a fresh PostgreSQL answers on loopback with a password, keeps its data over a restart, and leaves no process', async () => {
  withoutUrl()
  const dataDir = closedFolder()
  const first = await startPostgres({ dataDir, durable: false })
  expect(new URL(first.url).hostname).toBe('127.0.0.1')
  await runStatements(first.url, 'create table kept (word text)', `insert into kept values ('grün')`)
  const [settings] = await runStatements(
    first.url,
    `select current_setting('listen_addresses') as listens, current_setting('server_encoding') as encoding, current_setting('unix_socket_directories') as sockets`,
  )
  expect(settings).toEqual({ listens: '127.0.0.1', encoding: 'UTF8', sockets: '' })

  const wrong = new URL(first.url)
  wrong.password = 'wrong'
  await expect(runStatements(wrong.href, 'select 1')).rejects.toThrow(/password authentication failed/)

  await first.stop()
  expect(isAlive(first.pid)).toBe(false)
  const second = await startPostgres({ dataDir, durable: false })
  expect(await runStatements(second.url, 'select word from kept')).toEqual([{ word: 'grün' }])
})

test('a PostgreSQL whose parent was killed is taken over with its data, not started twice', async () => {
  withoutUrl()
  const dataDir = closedFolder()
  const program = `const { startPostgres } = await import(process.argv[1]); const { pid, url } = await startPostgres({ dataDir: process.argv[2], durable: false }); console.log(JSON.stringify({ pid, url })); setInterval(() => {}, 1000)`
  const parent = spawn(process.execPath, ['--input-type=module', '-e', program, new URL('./postgres.ts', import.meta.url).href, dataDir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [line] = await once(createInterface({ input: parent.stdout }), 'line')
  const orphan = JSON.parse(String(line)) as { pid: number; url: string }
  await runStatements(orphan.url, 'create table kept (word text)')
  parent.kill('SIGKILL')
  await once(parent, 'exit')

  const taken = await startPostgres({ dataDir, durable: false })
  expect(taken).toMatchObject({ pid: orphan.pid, url: orphan.url, source: 'found running' })
  await runStatements(taken.url, 'select * from kept')
  await taken.stop()
  expect(isAlive(orphan.pid)).toBe(false)
})

test('DATABASE_URL wins: nothing is started, and stopping leaves it running', async () => {
  const url = inject('adminDatabaseUrl')
  vi.stubEnv('DATABASE_URL', url)
  const dataDir = closedFolder()
  const given = await startPostgres({ dataDir })
  expect(given).toMatchObject({ url, source: 'DATABASE_URL' })
  expect(existsSync(dataDir)).toBe(false)
  await given.stop()
  await runStatements(url, 'select 1')
})

test('a DATABASE_URL that does not answer is an error that names it and keeps its password back', async () => {
  vi.stubEnv('DATABASE_URL', 'postgres://someone:secret@127.0.0.1:1/nowhere')
  const failure = await startPostgres({ dataDir: closedFolder() }).catch((error: Error) => error.message)
  expect(failure).toMatch(/127\.0\.0\.1:1\/nowhere.*DATABASE_URL/)
  expect(failure).not.toContain('secret')
})

test('the password file can be read by its owner only', async () => {
  withoutUrl()
  const dataDir = closedFolder()
  const postgres = await startPostgres({ dataDir, durable: false })
  const [row] = await runStatements(postgres.url, `select current_setting('data_directory') as data`)
  expect(statSync(join(String(row?.data), '..', 'password')).mode & 0o777).toBe(0o600)
})
