// Test market: the smallest market that an agent can talk to, with its own key; for tests only.
import { generateKeyPairSync, randomBytes, verify } from 'node:crypto'
import { createServer } from 'node:http'
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import type { Duplex } from 'node:stream'
import { newId } from '@flow402/protocol/id'
import {
  type LeaseOrder,
  type LeaseSpec,
  type LeaseStatus,
  Report,
  type StreamScope,
  tunnelHelloBytes,
  tunnelProtocol,
} from '@flow402/protocol/lease'
import type { EnrolRequest } from '@flow402/protocol/node'
import type { SignedUsage } from '@flow402/protocol/usage'
import { SignJWT } from 'jose'
import { createWebSocketStream, WebSocketServer } from 'ws'

export const smallSpec: LeaseSpec = {
  image: null,
  command: null,
  env: {},
  sshPublicKey: null,
  ramMb: 128,
  cpuMillis: 1000,
  diskMb: 64,
  gpuUnits: 0,
}

/** Starts it on a free loopback port. Reports are kept in the order of their first arrival, and acknowledged unless `acknowledging` is false. */
export async function openTestMarket() {
  const keys = generateKeyPairSync('ed25519')
  const marketPublicKey = String(keys.publicKey.export({ format: 'jwk' }).x)
  const token = randomBytes(16).toString('hex')
  const nodeId = newId('node')
  let nodeKey = ''
  let session: ClientHttp2Session | null = null
  const reports: Report[] = []
  const waiters = new Set<() => void>()
  const market = { acknowledging: true, connections: 0 }

  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      const asked = JSON.parse(body) as EnrolRequest
      if (request.url !== '/api/nodes/enrol' || asked.token !== token) return response.writeHead(403).end('{"code":"enrolment_refused"}')
      nodeKey = asked.publicKey
      response.writeHead(201, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ nodeId, offerId: newId('offer'), marketPublicKey, tunnelUrl: `${url.replace('http', 'ws')}/api/tunnel` }),
      )
    })
  })
  const sockets = new WebSocketServer({ server, perMessageDeflate: false })
  sockets.on('connection', (socket) => {
    const nonce = randomBytes(16).toString('base64url')
    socket.on('error', () => undefined)
    socket.once('message', (data) => {
      const hello = JSON.parse(String(data)) as { nodeId: string; signature: string }
      const key = { key: { kty: 'OKP', crv: 'Ed25519', x: nodeKey }, format: 'jwk' as const }
      if (!verify(null, tunnelHelloBytes(hello.nodeId, nonce), key, Buffer.from(hello.signature, 'base64url'))) return socket.close(4001)
      const wire = createWebSocketStream(socket)
      wire.on('error', () => undefined)
      socket.send(JSON.stringify({ type: 'welcome', heartbeatMs: 500 }))
      const next = http2.connect('http://node', { createConnection: () => wire as Duplex })
      next.on('error', () => undefined)
      session = next
      market.connections += 1
      const stream = next.request({ ':method': 'POST', ':path': '/reports' })
      stream.on('error', () => undefined)
      const lines = createInterface({ input: stream })
      lines.on('error', () => undefined)
      lines.on('line', (line) => {
        const report = Report.parse(JSON.parse(line))
        reports.push(report)
        if (market.acknowledging) stream.write(`${JSON.stringify({ ack: report.n })}\n`)
        for (const wake of waiters) wake()
      })
    })
    socket.send(JSON.stringify({ type: 'challenge', protocol: tunnelProtocol, nonce }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  const sign = (claims: Record<string, unknown>, subject: string, audience: string = nodeId) =>
    new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA' }).setAudience(audience).setSubject(subject).setIssuedAt()

  function open(method: string, path: string, headers: Record<string, string> = {}): ClientHttp2Stream {
    if (!session || session.destroyed) throw new Error('no agent is connected')
    const stream = session.request({ ':method': method, ':path': path, ...headers })
    stream.on('error', () => undefined)
    return stream
  }
  async function request(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const stream = open(method, path, headers)
    let text = ''
    let code = 0
    stream.on('response', (answer) => {
      code = Number(answer[':status'])
    })
    stream.on('data', (chunk) => {
      text += chunk
    })
    const closed = new Promise<void>((resolve) => stream.on('close', resolve))
    stream.end(body === undefined ? undefined : JSON.stringify(body))
    await closed
    if (code === 0) throw new Error(`${method} ${path}: the stream closed without an answer (${stream.rstCode})`)
    return { status: code, text, json: () => JSON.parse(text) as never }
  }
  async function until<T>(what: string, look: () => T | undefined | false, ms = 20_000): Promise<T> {
    const found = look()
    if (found) return found
    return new Promise<T>((resolve, reject) => {
      const timer = setTimeout(() => {
        waiters.delete(wake)
        const last = reports.slice(-12).map((report) => (report.kind === 'lease' ? report.status : report.kind))
        reject(new Error(`waited ${ms} ms for ${what}; last reports: ${JSON.stringify(last)}`))
      }, ms)
      const wake = () => {
        const now = look()
        if (!now) return
        clearTimeout(timer)
        waiters.delete(wake)
        resolve(now)
      }
      waiters.add(wake)
    })
  }

  const streamToken = async (rentalId: string, scope: StreamScope, audience?: string) => ({
    authorization: `Bearer ${await sign({ scope }, rentalId, audience).setExpirationTime('30s').sign(keys.privateKey)}`,
  })
  const statuses = (rentalId: string): LeaseStatus[] =>
    reports.flatMap((report) => (report.kind === 'lease' && report.status.rentalId === rentalId ? [report.status] : []))
  const usage = (rentalId: string): SignedUsage[] => {
    const all = reports.flatMap((report) => (report.kind === 'usage' && report.usage.record.rentalId === rentalId ? [report.usage] : []))
    return [...new Map(all.map((one) => [`${one.record.epoch}/${one.record.seq}/${one.hash}`, one])).values()]
  }

  return Object.assign(market, {
    url,
    token,
    nodeId,
    nodeKey: () => nodeKey,
    reports,
    request,
    open,
    until,
    streamToken,
    statuses,
    usage,
    signOrder: (order: LeaseOrder, audience?: string, key = keys.privateKey) => sign(order, order.rentalId, audience).sign(key),
    async order(order: Omit<LeaseOrder, 'spec' | 'epoch'> & { spec?: Partial<LeaseSpec>; epoch?: number }) {
      const whole: LeaseOrder = { epoch: 1, ...order, spec: { ...smallSpec, ...order.spec } }
      const answer = await request('PUT', `/leases/${order.rentalId}`, { order: await sign(whole, order.rentalId).sign(keys.privateKey) })
      if (answer.status !== 200) throw new Error(`order refused: ${answer.status} ${answer.text}`)
      return answer.json() as LeaseStatus
    },
    phase: (rentalId: string, phase: LeaseStatus['phase'], epoch = 1) =>
      until(`${rentalId} to be ${phase}`, () => statuses(rentalId).find((status) => status.phase === phase && status.epoch === epoch)),
    async exec(rentalId: string, argv: string[], more: { stdin?: string; timeoutMs?: number } = {}) {
      const answer = await request('POST', `/leases/${rentalId}/exec`, { argv, ...more }, await streamToken(rentalId, 'exec'))
      if (answer.status !== 200) throw new Error(`exec: ${answer.status} ${answer.text}`)
      return answer.json() as { exitCode: number; stdout: string; stderr: string; truncated: boolean }
    },
    disconnect() {
      for (const socket of sockets.clients) socket.terminate()
      session = null
    },
    async close() {
      for (const socket of sockets.clients) socket.terminate()
      sockets.close()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  })
}

export type TestMarket = Awaited<ReturnType<typeof openTestMarket>>
