// npm run up and npm run demo as a newcomer runs them: one command raises the market, another rents from it, a signal ends all of it.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { removePostgres } from '../../scripts/postgres.ts'
import { cloneDir, type RunningHouse } from '../../scripts/state.ts'

const state = mkdtempSync(join(tmpdir(), 'flow402-up-'))
let up: ReturnType<typeof start>

/** Starts one of the commands with a state of its own, so that a market that runs from this clone is left alone. */
function start(script: string) {
  const env = { ...process.env, FLOW402_STATE_DIR: state, PORT: '0', NO_COLOR: '1', DATABASE_URL: undefined }
  const child: ChildProcess = spawn(process.execPath, [join(cloneDir, script)], { cwd: '/', env, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      printed += chunk
    })
  }
  const ended = once(child, 'close').then(([code]) => code as number | null)
  return {
    child,
    ended,
    printed: () => printed,
    async until(words: string): Promise<void> {
      while (!printed.includes(words)) {
        if (child.exitCode !== null) throw new Error(`it ended before it said "${words}":\n${printed}`)
        await delay(50)
      }
    },
  }
}

const running = () => JSON.parse(readFileSync(join(state, 'run.json'), 'utf8')) as RunningHouse

/** Processes that name the state folder: everything of this market but PostgreSQL's own children. */
function processesOfMarket(): string[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
      return command.includes(state) ? [`${pid} ${command}`] : []
    } catch {
      return []
    }
  })
}

beforeAll(async () => {
  up = start('scripts/up.ts')
  await up.until('Flow402 is ready')
}, 300_000)

afterAll(async () => {
  up.child.kill('SIGTERM')
  await up.ended
  // Its data may lie outside: PostgreSQL's user cannot reach a closed folder.
  await removePostgres(join(state, 'postgres'))
  rmSync(state, { recursive: true, force: true })
})

test('one command raises the whole market: health is 200 with the local node and its offer, and it says what runs where', async () => {
  const { url, rpcUrl, faucetUrl } = running()
  const health = await fetch(`${url}/api/health`)
  expect(health.status).toBe(200)
  expect(await health.json()).toMatchObject({ status: 'ok', checks: { database: { ok: true }, chain: { ok: true }, node: { ok: true } } })
  for (const place of [url, rpcUrl, faucetUrl, join(state, 'logs')]) expect(up.printed()).toContain(place)
  expect((await fetch(url)).headers.get('content-type')).toContain('text/html')
})

test('a second one in the same place says that it already runs, and starts nothing', async () => {
  const second = start('scripts/up.ts')
  expect(await second.ended).toBe(1)
  expect(second.printed()).toContain(`already runs in this clone: ${running().url}`)
})

test('a port that is taken is an error that names PORT', async () => {
  const otherState = mkdtempSync(join(tmpdir(), 'flow402-up-'))
  const port = new URL(running().url).port
  const env = { ...process.env, FLOW402_STATE_DIR: otherState, PORT: port }
  const child = spawn(process.execPath, [join(cloneDir, 'scripts/up.ts')], { env, stdio: ['ignore', 'ignore', 'pipe'] })
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printed += chunk
  })
  const [code] = await once(child, 'close')
  rmSync(otherState, { recursive: true, force: true })
  expect(code).toBe(1)
  expect(printed).toMatch(new RegExp(`Port ${port} is taken.*PORT=`))
})

test('the demo rents with the stock client, and every sum holds', async () => {
  const demo = start('scripts/demo.ts')
  const code = await demo.ended
  expect(demo.printed()).toContain('✓ escrow is back where it was')
  expect(demo.printed()).toContain('✓ prepaid = payout + fee + refund')
  expect(demo.printed()).not.toContain('✗')
  expect(code).toBe(0)
})

test('a server that is killed is started again, and says so', async () => {
  const { server } = JSON.parse(readFileSync(join(state, 'services.json'), 'utf8')) as Record<string, number>
  if (!server) throw new Error('no server is noted')
  process.kill(server, 'SIGKILL')
  await up.until('server: runs again')
  expect(up.printed()).toContain('server ended unexpectedly (signal SIGKILL)')
})

test('SIGTERM ends everything that was started, the container engine included', async () => {
  expect(processesOfMarket().length).toBeGreaterThan(0)
  up.child.kill('SIGTERM')
  expect(await up.ended).toBe(0)
  expect(processesOfMarket()).toEqual([])
})
