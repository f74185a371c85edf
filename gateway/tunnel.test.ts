// The tunnel's reports: usage that comes together goes in together, everything in its order, and nothing is acknowledged before it is committed.
import { generateKeyPairSync, sign } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { keepTunnel } from '@flow402/agent/tunnel'
import { newId } from '@flow402/protocol/id'
import { type Report, ReportAck } from '@flow402/protocol/lease'
import type { SignedUsage } from '@flow402/protocol/usage'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { openTunnels, type TunnelEvents, type Tunnels } from './tunnel.ts'

const nodeId = newId('node')
const key = generateKeyPairSync('ed25519')

let server: Server
let tunnels: Tunnels
let stream: ServerHttp2Stream | undefined
const acks: number[] = []
const taken: (string | number[])[] = []
let commit: () => Promise<void>
const stop = { abort: () => undefined as unknown, done: Promise.resolve() }

const events: TunnelEvents = {
  authenticate: async () => undefined,
  connected: async () => undefined,
  async takeReport(_, report) {
    taken.push(report.kind)
    await commit()
  },
  async takeUsages(_, usages) {
    taken.push(usages.map(({ record }) => record.seq))
    await commit()
  },
}

beforeEach(async () => {
  acks.length = 0
  taken.length = 0
  commit = async () => undefined
  vi.spyOn(console, 'log').mockImplementation(() => undefined)
  tunnels = openTunnels(() => events)
  server = createServer()
  server.on('upgrade', (request, socket, head) => tunnels.handleUpgrade(request, socket, head))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  const controller = new AbortController()
  const identity = { publicKey: 'x', sign: (bytes: Uint8Array) => sign(null, bytes, key.privateKey).toString('base64url') }
  stop.done = keepTunnel(
    {
      url,
      nodeId,
      identity,
      say: () => undefined,
      onSession: (session) => {
        session.on('stream', (opened) => {
          opened.respond({ ':status': 200 })
          opened.on('error', () => undefined)
          createInterface({ input: opened }).on('line', (line) => acks.push(ReportAck.parse(JSON.parse(line)).ack))
          stream = opened
        })
        return () => {
          stream = undefined
        }
      },
    },
    controller.signal,
  )
  stop.abort = () => controller.abort()
  await expect.poll(() => stream).toBeDefined()
})
afterEach(async () => {
  // The market hangs up first: what a stopping agent still had to say would find a closed door.
  tunnels.session(nodeId)?.destroy()
  await expect.poll(() => tunnels.session(nodeId) === undefined).toBe(true)
  stop.abort()
  await stop.done
  tunnels.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  vi.restoreAllMocks()
})

const usage = (n: number): Report => {
  const record = {
    rentalId: newId('rental'),
    nodeId,
    epoch: 1,
    seq: n,
    fromSecond: 0,
    toSecond: 60,
    at: 1,
    prevHash: '0'.repeat(64),
    final: false,
  }
  return { kind: 'usage', n, usage: { record, hash: '0'.repeat(64), signature: 'é'.repeat(40) } satisfies SignedUsage }
}
const heartbeat = (n: number): Report => ({ kind: 'heartbeat', n, at: 1 })
const told = (...reports: Report[]) => reports.map((report) => `${JSON.stringify(report)}\n`).join('')

test('usage that arrives together is taken in together, in its place among the other reports', async () => {
  stream?.write(told(heartbeat(1), usage(2), usage(3), usage(4), heartbeat(5), usage(6)))
  await expect.poll(() => acks).toEqual([1, 4, 5, 6])
  expect(taken).toEqual(['heartbeat', [2, 3, 4], 'heartbeat', [6]])
})

test('nothing is acknowledged before it is committed, and what comes meanwhile comes together next time', async () => {
  let release = () => undefined as unknown
  commit = () => new Promise((resolve) => (release = () => resolve(undefined)))
  stream?.write(told(usage(1)))
  await expect.poll(() => taken).toEqual([[1]])
  for (let n = 2; n <= 40; n++) stream?.write(told(usage(n)))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect([acks, taken.length]).toEqual([[], 1])
  commit = async () => undefined
  release()
  await expect.poll(() => acks.at(-1)).toBe(40)
  expect(taken.flat()).toEqual(Array.from({ length: 40 }, (_, index) => index + 1))
  expect(taken.length).toBeLessThan(10)
})

test('a report that comes in pieces, between two letters of one character too, is one report', async () => {
  const bytes = Buffer.from(told(usage(1), heartbeat(2)))
  for (let at = 0; at < bytes.length; at += 101) {
    stream?.write(bytes.subarray(at, at + 101))
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await expect.poll(() => acks).toEqual([1, 2])
  expect(taken).toEqual([[1], 'heartbeat'])
})

test('what came before a line that is no report counts; the line ends the connection', async () => {
  const first = stream
  stream?.write(`${told(usage(1), usage(2))}what?\n${told(usage(3))}`)
  await expect.poll(() => first?.closed).toBe(true)
  expect(taken).toEqual([[1, 2]])
})

test('what cannot be committed is tried again whole, and never acknowledged in part', async () => {
  let failures = 2
  commit = async () => {
    if (failures-- > 0) throw new Error('the database is away')
  }
  stream?.write(told(usage(1), usage(2)))
  await expect.poll(() => acks).toEqual([2])
  expect(taken).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ])
})
