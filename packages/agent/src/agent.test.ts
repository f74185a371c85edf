// Tests of the whole program: real containers on a private engine, a test market with its own key, the agent as a process.
import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, verify } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { newId } from '@flow402/protocol/id'
import { encodeRecord, leafHash } from '@flow402/rust-lib/statement'
import { SignJWT } from 'jose'
import { pack } from 'tar-stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ensureBaseImage, findStaticBusybox } from './base-image.ts'
import { startContainer } from './container.ts'
import { enginePaths } from './engine.ts'
import { openHome } from './home.ts'
import { dockerRuntime } from './runtimes/docker.ts'
import type { Runtime } from './runtimes/runtime.ts'
import { openTestMarket, smallSpec, type TestMarket } from './test-market.ts'
import { isMounted } from './volume.ts'

const main = join(import.meta.dirname, 'main.ts')
let dir: string
let market: TestMarket
let agent: ChildProcess
let runtime: Runtime

function start(...args: string[]): ChildProcess & { output: () => string } {
  const child = spawn(process.execPath, [main, ...args, '--home', dir], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  child.stderr.on('data', (chunk) => {
    output += chunk
  })
  return Object.assign(child, { output: () => output })
}
const exited = (child: ChildProcess) =>
  new Promise<number | null>((resolve) =>
    child.exitCode !== null || child.signalCode ? resolve(child.exitCode) : child.once('exit', resolve),
  )

async function runAgent(): Promise<void> {
  const connections = market.connections
  agent = start('run')
  await market.until('the agent', () => market.connections > connections)
}
async function killAgent(signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
  agent.kill(signal)
  await exited(agent)
}

/** A rental that is ready. */
async function ready(paidSeconds = 120, spec: Parameters<TestMarket['order']>[0]['spec'] = {}): Promise<string> {
  const rentalId = newId('rental')
  await market.order({ rentalId, revision: 1, desired: 'running', paidSeconds, spec })
  await market.phase(rentalId, 'ready')
  return rentalId
}
async function stop(rentalId: string, revision = 9) {
  await market.order({ rentalId, revision, desired: 'ended', paidSeconds: 0 })
  return market.phase(rentalId, 'removed')
}
const container = (rentalId: string, epoch = 1) => runtime.inspect(`flow402-${rentalId}-${epoch}`)
const readyAtOf = (rentalId: string) => Number(market.statuses(rentalId).find(({ phase }) => phase === 'ready')?.readyAt)

/** Checks hashes, signatures, order and windows of a whole chain; answers its last second. */
function checkedUsage(rentalId: string, epoch = 1): number {
  const chain = market.usage(rentalId).filter(({ record }) => record.epoch === epoch)
  let prevHash = '0'.repeat(64)
  let second = 0
  for (const [index, { record, hash, signature }] of chain.entries()) {
    const digest = Buffer.from(leafHash(encodeRecord(record)))
    expect(record).toMatchObject({
      rentalId,
      nodeId: market.nodeId,
      seq: index + 1,
      fromSecond: second,
      prevHash,
      final: index === chain.length - 1,
    })
    expect(hash).toBe(digest.toString('hex'))
    const key = { key: { kty: 'OKP', crv: 'Ed25519', x: market.nodeKey() }, format: 'jwk' as const }
    expect(verify(null, digest, key, Buffer.from(signature, 'base64url'))).toBe(true)
    prevHash = hash
    second = record.toSecond
  }
  expect(chain.length).toBeGreaterThan(0)
  return second
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'flow402-agent-'))
  market = await openTestMarket()
  const setup = start(
    'setup',
    '--market',
    market.url,
    '--token',
    market.token,
    '--name',
    'test',
    '--region',
    'here',
    '--payout',
    '1'.repeat(32),
    '--price-atoms-per-hour',
    '1000',
    '--units',
    '4',
  )
  expect(await exited(setup), setup.output()).toBe(0)
  await runAgent()
  const engine =
    process.env.DOCKER_HOST?.replace(/^unix:\/\//, '') ??
    [enginePaths(openHome(dir)).socket, '/var/run/docker.sock'].find((path) => existsSync(path))
  runtime = dockerRuntime(String(engine))
})

afterAll(async () => {
  await killAgent('SIGTERM')
  await exited(start('engine', 'stop'))
  await market.close()
  rmSync(dir, { recursive: true, force: true })
})

test('a second setup of the same home says so and keeps the enrolment', async () => {
  const config = readFileSync(join(dir, 'config.json'), 'utf8')
  const again = start(
    'setup',
    '--market',
    market.url,
    '--token',
    market.token,
    '--name',
    'x',
    '--region',
    'yy',
    '--payout',
    '1'.repeat(32),
    '--price-atoms-per-hour',
    '1',
  )
  expect(await exited(again)).toBe(0)
  expect(again.output()).toContain('already enrolled')
  expect(readFileSync(join(dir, 'config.json'), 'utf8')).toBe(config)
})

test('a second agent of the same home refuses to run', async () => {
  const second = start('run')
  expect(await exited(second)).toBe(2)
  expect(second.output()).toContain('another agent')
})

test('the self-test proves an out-of-memory kill and is the first report', () => {
  const report = market.reports[0]
  expect(report).toMatchObject({ kind: 'doctor', n: 1, report: { ok: true, isolation: 'container' } })
  if (report?.kind === 'doctor') expect(report.report.checks.map(({ name }) => name)).toContain('out-of-memory kill')
})

test('a lease runs, answers, and ends with a signed final usage before it is removed', async () => {
  const rentalId = await ready(120, { env: { GREETING: 'hello' }, sshPublicKey: 'ssh-ed25519 AAAA test' })
  const echoed = await market.exec(rentalId, ['sh', '-c', 'cat; echo $GREETING; pwd; echo oops >&2; exit 7'], { stdin: 'from stdin\n' })
  expect(echoed).toEqual({ exitCode: 7, stdout: 'from stdin\nhello\n/workspace\n', stderr: 'oops\n', truncated: false })
  expect((await market.exec(rentalId, ['cat', '/workspace/.ssh/authorized_keys'])).stdout).toBe('ssh-ed25519 AAAA test\n')
  expect((await market.exec(rentalId, ['node', '-p', '6*7'])).stdout).toBe('42\n')
  expect(await market.exec(rentalId, ['no-such-program'])).toMatchObject({ exitCode: 127, stdout: '' })
  await delay(1200)
  const removed = await stop(rentalId)
  expect(removed).toMatchObject({ end: 'ordered', readyAt: expect.any(Number) })
  expect(await container(rentalId)).toBeNull()
  expect(existsSync(join(dir, 'volumes', `${rentalId}-1`))).toBe(false)
  expect(checkedUsage(rentalId)).toBeGreaterThanOrEqual(1)
  const kinds = market.reports.flatMap((report) =>
    report.kind === 'usage' && report.usage.record.rentalId === rentalId
      ? ['usage']
      : report.kind === 'lease' && report.status.rentalId === rentalId
        ? [report.status.phase]
        : [],
  )
  expect(kinds).toEqual(['accepted', 'creating', 'starting', 'ready', 'usage', 'draining', 'removed'])
  const late = await market.request('POST', `/leases/${rentalId}/exec`, { argv: ['true'] }, await market.streamToken(rentalId, 'exec'))
  expect([late.status, late.json()]).toEqual([409, expect.objectContaining({ code: 'rental_cannot' })])
})

test('exec ends a program and its children at the timeout, and cuts output at 1 MiB', async () => {
  const rentalId = await ready()
  const slow = await market.request(
    'POST',
    `/leases/${rentalId}/exec`,
    { argv: ['sh', '-c', 'sleep 77 & sleep 77'], timeoutMs: 300 },
    await market.streamToken(rentalId, 'exec'),
  )
  expect([slow.status, slow.json()]).toEqual([504, expect.objectContaining({ code: 'timeout' })])
  expect((await market.exec(rentalId, ['sh', '-c', 'ps | grep -c "[s]leep 77"'])).stdout).toBe('0\n')
  const loud = await market.exec(rentalId, ['sh', '-c', 'yes | head -c 3000000; echo end >&2'])
  expect(loud).toMatchObject({ exitCode: 0, truncated: true, stderr: 'end\n' })
  expect(loud.stdout).toHaveLength(1024 * 1024)
  await stop(rentalId)
})

test('a command is the workload: its output is the log, its exit ends the lease, and the log stays readable', async () => {
  const rentalId = newId('rental')
  const command = ['sh', '-c', 'echo one; sleep 0.2; echo two >&2; sleep 0.8; echo three; exit 5']
  await market.order({ rentalId, revision: 1, desired: 'running', paidSeconds: 60, spec: { command } })
  await market.phase(rentalId, 'ready')
  const followed = await market.request('GET', `/leases/${rentalId}/logs?follow=1`, undefined, await market.streamToken(rentalId, 'logs'))
  expect(followed.text).toBe('one\ntwo\nthree\n')
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ end: 'exited', exitCode: 5 })
  expect(checkedUsage(rentalId)).toBeGreaterThanOrEqual(1)
  expect(checkedUsage(rentalId)).toBeLessThanOrEqual((Date.now() - readyAtOf(rentalId)) / 1000)
  const kept = await market.request('GET', `/leases/${rentalId}/logs?tail=2`, undefined, await market.streamToken(rentalId, 'logs'))
  expect(kept.text).toBe('two\nthree\n')
})

test('an image that holds nothing of ours runs: its own program, exec, terminal and deadline', async () => {
  const image = 'flow402-test/empty:1'
  const tar = pack()
  tar.entry({ name: 'echo', mode: 0o755 }, readFileSync(String(findStaticBusybox())))
  tar.finalize()
  await runtime.importImage(tar, image, ['ENV PATH=/', 'USER 1000'])
  const rentalId = newId('rental')
  await market.order({ rentalId, revision: 1, desired: 'running', paidSeconds: 60, spec: { image, command: ['echo', 'a b', '*'] } })
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ end: 'exited', exitCode: 0 })
  const logs = await market.request('GET', `/leases/${rentalId}/logs`, undefined, await market.streamToken(rentalId, 'logs'))
  expect(logs.text).toBe('a b *\n')
  const machine = await ready(6, { image })
  expect((await market.exec(machine, ['/.flow402/busybox', 'id', '-u'])).stdout).toBe('0\n')
  const stream = market.open(
    'POST',
    `/leases/${machine}/terminal?terminal=${newId('terminal')}&cols=80&rows=24`,
    await market.streamToken(machine, 'terminal'),
  )
  const shown = new Promise<void>((resolve) => {
    let seen = ''
    stream.on('data', (chunk) => {
      seen += chunk
      if (seen.includes('42')) resolve()
    })
  })
  stream.write('echo $((6*7))\n')
  await shown
  expect(await market.phase(machine, 'removed')).toMatchObject({ end: 'paid_until' })
})

test('a terminal is a shell on a tty that resizes and survives a broken line', async () => {
  const rentalId = await ready()
  const terminalId = newId('terminal')
  const token = await market.streamToken(rentalId, 'terminal')
  const attach = (until: RegExp, type: string) =>
    new Promise<{ seen: string; stream: ReturnType<TestMarket['open']> }>((resolve) => {
      const stream = market.open('POST', `/leases/${rentalId}/terminal?terminal=${terminalId}&cols=100&rows=30`, token)
      let seen = ''
      stream.setEncoding('utf8')
      stream.on('data', (chunk) => {
        seen += chunk
        if (until.test(seen)) resolve({ seen, stream })
      })
      stream.write(type)
    })
  const first = await attach(/100:\d+/, 'keep=mine; stty size | cut -d" " -f2 | tr "\\n" ":"; echo $$\n')
  first.stream.destroy()
  const resized = await market.request('POST', `/leases/${rentalId}/terminal/resize`, { terminalId, cols: 132, rows: 40 }, token)
  expect(resized.status).toBe(204)
  const second = await attach(/now mine/, 'echo now $keep\n')
  expect(second.seen).toContain('100:')
  const end = new Promise((resolve) => second.stream.on('end', resolve))
  second.stream.write('exit\n')
  await end
  await stop(rentalId)
})

test('allocating twice the memory kills only that process; the lease and its neighbour live on', async () => {
  const [rentalId, neighbour] = await Promise.all([ready(), ready()])
  const eaten = await market.exec(rentalId, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=256M', 'count=1'])
  expect(eaten.exitCode).toBe(137)
  expect((await market.exec(rentalId, ['echo', 'alive'])).stdout).toBe('alive\n')
  expect((await market.exec(neighbour, ['echo', 'alive'])).stdout).toBe('alive\n')
  await Promise.all([stop(rentalId), stop(neighbour)])
})

test('a fork bomb is stopped by the pids limit and does not outlive its lease', async () => {
  const rentalId = await ready()
  const bomb = await market.exec(rentalId, ['sh', '-c', 'i=0; while [ $i -lt 600 ]; do sleep 60 & i=$((i+1)); done; echo all'])
  expect(bomb.stdout).not.toContain('all')
  expect(bomb.stderr).toMatch(/fork/)
  expect((await container(rentalId))?.state).toBe('running')
  await stop(rentalId)
})

test('neither the host nor the engine can be reached from inside, and the init cannot be tampered with', async () => {
  const server = createServer((socket) => socket.end('reached'))
  await new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve))
  const { port } = server.address() as { port: number }
  const rentalId = await ready()
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family }) => family === 'IPv4')
  for (const { address } of own) {
    expect((await market.exec(rentalId, ['sh', '-c', `nc -w 1 ${address} ${port} </dev/null`])).stdout).toBe('')
  }
  expect((await market.exec(rentalId, ['sh', '-c', 'ls /var/run/docker.sock /run/docker.sock /run/flow402* 2>/dev/null'])).stdout).toBe('')
  for (const attack of [
    'echo 1 >/.flow402/deadline',
    'touch /etc/x',
    'dd if=/proc/1/mem of=/dev/null bs=1 count=1',
    'mount -t tmpfs x /mnt',
    'chroot / true',
    'rm /.flow402/nap',
  ]) {
    expect((await market.exec(rentalId, ['sh', '-c', attack])).exitCode, attack).not.toBe(0)
  }
  await market.exec(rentalId, ['sh', '-c', 'kill -9 1; kill -STOP 1'])
  server.close()
  expect((await container(rentalId))?.state).toBe('running')
  // TERM to PID 1 is the renter's own wish to end
  await market.exec(rentalId, ['sh', '-c', 'kill -TERM 1'])
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ end: 'exited', exitCode: 143 })
})

test('the disk quota is a hard limit', async () => {
  const rentalId = await ready()
  const full = await market.exec(rentalId, ['dd', 'if=/dev/zero', 'of=/workspace/x', 'bs=1M', 'count=200'])
  expect(full.exitCode).not.toBe(0)
  expect(full.stderr).toMatch(/No space left/)
  await stop(rentalId)
})

test('paid time ends by itself, an extension moves the end, and no second above is billed', async () => {
  const [short, extended] = await Promise.all([ready(4), ready(4)])
  await market.order({ rentalId: extended, revision: 2, desired: 'running', paidSeconds: 9 })
  expect(await market.phase(short, 'removed')).toMatchObject({ end: 'paid_until' })
  expect(checkedUsage(short)).toBe(4)
  expect((await container(extended))?.state).toBe('running')
  expect(await market.phase(extended, 'removed')).toMatchObject({ end: 'paid_until' })
  expect(checkedUsage(extended)).toBe(9)
})

test('stale orders change nothing, a higher epoch replaces a lower one', async () => {
  const rentalId = await ready(120)
  await market.order({ rentalId, revision: 5, desired: 'running', paidSeconds: 130 })
  expect(await market.order({ rentalId, revision: 4, desired: 'ended', paidSeconds: 0 })).toMatchObject({ phase: 'ready' })
  await market.order({ rentalId, epoch: 2, revision: 1, desired: 'running', paidSeconds: 60 })
  await market.phase(rentalId, 'ready', 2)
  expect(await container(rentalId, 1)).toBeNull()
  expect(market.statuses(rentalId).find(({ epoch, phase }) => epoch === 1 && phase === 'removed')).toMatchObject({ end: 'ordered' })
  expect(await market.order({ rentalId, epoch: 1, revision: 99, desired: 'ended', paidSeconds: 0 })).toMatchObject({
    epoch: 2,
    phase: 'ready',
  })
  checkedUsage(rentalId, 1)
  await market.order({ rentalId, epoch: 2, revision: 2, desired: 'ended', paidSeconds: 60 })
  await market.phase(rentalId, 'removed', 2)
})

test('an order to end what never was is answered with removed', async () => {
  const rentalId = newId('rental')
  await market.order({ rentalId, revision: 1, desired: 'ended', paidSeconds: 0 })
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ readyAt: null, end: 'ordered' })
})

test('forged orders and tokens are refused', async () => {
  const rentalId = await ready()
  const order = { rentalId, epoch: 1, revision: 50, desired: 'ended' as const, paidSeconds: 0, spec: smallSpec }
  const stranger = generateKeyPairSync('ed25519').privateKey
  const hmac = await new SignJWT(order)
    .setProtectedHeader({ alg: 'HS256' })
    .setAudience(market.nodeId)
    .sign(Buffer.from(market.nodeKey(), 'base64url'))
  for (const forged of [
    await market.signOrder(order, market.nodeId, stranger),
    await market.signOrder(order, newId('node')),
    hmac,
    'a.b.c',
  ]) {
    const answer = await market.request('PUT', `/leases/${rentalId}`, { order: forged })
    expect([answer.status, answer.json()]).toEqual([401, expect.objectContaining({ code: 'unauthorized' })])
  }
  const elsewhere = await market.request('PUT', `/leases/${newId('rental')}`, { order: await market.signOrder(order) })
  expect(elsewhere.status).toBe(401)
  const tokens = [
    {},
    await market.streamToken(rentalId, 'logs'),
    await market.streamToken(newId('rental'), 'exec'),
    await market.streamToken(rentalId, 'exec', newId('node')),
  ]
  for (const headers of tokens) {
    const answer = await market.request('POST', `/leases/${rentalId}/exec`, { argv: ['true'] }, headers as Record<string, string>)
    expect(answer.status).toBe(401)
  }
  const unknown = newId('rental')
  expect(
    (await market.request('POST', `/leases/${unknown}/exec`, { argv: ['true'] }, await market.streamToken(unknown, 'exec'))).status,
  ).toBe(404)
  expect((await container(rentalId))?.state).toBe('running')
  await stop(rentalId, 60)
})

test('an image that cannot be had fails the lease with a reason', async () => {
  const rentalId = newId('rental')
  await market.order({ rentalId, revision: 1, desired: 'running', paidSeconds: 60, spec: { image: '127.0.0.1:9/none:1' } })
  expect(await market.phase(rentalId, 'failed')).toMatchObject({
    end: 'image_unavailable',
    detail: expect.stringContaining('127.0.0.1:9/none:1'),
  })
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ readyAt: null })
  expect(market.usage(rentalId)).toEqual([])
})

test('with the agent killed the container ends by itself when its time is over', async () => {
  const rentalId = await ready(3, { command: ['sh', '-c', 'trap "" TERM; while :; do sleep 1; done'] })
  await killAgent()
  const startedMs = Date.now()
  while ((await container(rentalId))?.state === 'running' && Date.now() - startedMs < 15_000) await delay(100)
  expect(await container(rentalId)).toMatchObject({ state: 'ended', exitCode: 124 })
  await runAgent()
  expect(await market.phase(rentalId, 'removed')).toMatchObject({ end: 'paid_until' })
  expect(checkedUsage(rentalId)).toBe(3)
})

test('a killed agent finds its containers again and goes on metering without gap or double', async () => {
  const rentalId = await ready(600)
  const { pid } = (await container(rentalId)) ?? {}
  await killAgent()
  await delay(1500)
  await runAgent()
  expect((await container(rentalId))?.pid).toBe(pid)
  expect((await market.exec(rentalId, ['echo', 'adopted'])).stdout).toBe('adopted\n')
  const secondsAtLeast = (Date.now() - readyAtOf(rentalId)) / 1000 - 1
  await stop(rentalId)
  expect(checkedUsage(rentalId)).toBeGreaterThanOrEqual(secondsAtLeast)
  expect(checkedUsage(rentalId)).toBeLessThanOrEqual((Date.now() - readyAtOf(rentalId)) / 1000)
})

test('an agent that is told to stop leaves paid containers running', async () => {
  const rentalId = await ready(600)
  await killAgent('SIGTERM')
  expect(agent.exitCode).toBe(0)
  expect((await container(rentalId))?.state).toBe('running')
  await runAgent()
  await stop(rentalId)
})

test('a kill in the middle of a start converges', async () => {
  const rentals = await Promise.all(
    Array.from({ length: 4 }, async (_, index) => {
      const rentalId = newId('rental')
      await market.order({ rentalId, revision: 1, desired: 'running', paidSeconds: 300 })
      await delay(index * 15)
      return rentalId
    }),
  )
  await killAgent()
  await runAgent()
  await Promise.all(rentals.map((rentalId) => market.phase(rentalId, 'ready')))
  for (const rentalId of rentals) expect((await market.exec(rentalId, ['echo', 'up'])).stdout).toBe('up\n')
  const stopping = rentals.map((rentalId) => market.order({ rentalId, revision: 2, desired: 'ended', paidSeconds: 300 }))
  await Promise.all(stopping)
  await killAgent()
  await runAgent()
  await Promise.all(rentals.map((rentalId) => market.phase(rentalId, 'removed')))
  for (const rentalId of rentals) checkedUsage(rentalId)
})

test('what belongs to no lease is removed at the start', async () => {
  const rentalId = newId('rental')
  await killAgent()
  const home = openHome(dir)
  const left = join(dir, 'volumes', `${rentalId}-1`)
  const { ref: image } = await ensureBaseImage(runtime, String(findStaticBusybox()))
  const name = `flow402-${rentalId}-1`
  const plan = {
    name,
    dir: left,
    image,
    labels: { 'flow402.home': home.id },
    command: null,
    env: {},
    sshPublicKey: null,
    ramMb: 64,
    cpuMillis: 500,
    diskMb: 16,
    network: 'none',
  }
  await startContainer({ runtime, installedInit: join(dir, 'init'), volumes: true, cpus: 1 }, plan)
  await runAgent()
  expect(await runtime.inspect(name)).toBeNull()
  expect(isMounted(join(left, 'workspace'))).toBe(false)
  expect(readdirSync(join(dir, 'volumes'))).toEqual([])
})

test('reports that were not acknowledged are sent again after a broken line, in order', async () => {
  market.acknowledging = false
  const rentalId = await ready()
  const before = market.reports.length
  const connections = market.connections
  market.disconnect()
  await market.until('a new line', () => market.connections > connections)
  market.acknowledging = true
  await market.until('the same reports', () =>
    market.reports
      .slice(before)
      .some((report) => report.kind === 'lease' && report.status.rentalId === rentalId && report.status.phase === 'ready'),
  )
  const again = market.reports
    .slice(before)
    .flatMap((report) => (report.kind === 'lease' && report.status.rentalId === rentalId ? [report.status.phase] : []))
  expect(again.slice(0, 4)).toEqual(['accepted', 'creating', 'starting', 'ready'])
  market.disconnect()
  await market.until('a third line', () => market.connections > connections + 1)
  await stop(rentalId)
})
