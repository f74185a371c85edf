// The tunnel: machines dial in, prove their key, and from then on the market speaks HTTP/2 to them over that one WebSocket.
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import http2, { type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import type { Duplex } from 'node:stream'
import { heartbeatMs, Report, TunnelHello, tunnelProtocol } from '@flow402/protocol/lease'
import type { SignedUsage } from '@flow402/protocol/usage'
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws'

const handshakeWithinMs = 10_000
const pingEveryMs = 5_000
const missedPingsAtMost = 3
const streamWindowBytes = 1024 * 1024
const sessionWindowBytes = 8 * 1024 * 1024
const reportBytesAtMost = 256 * 1024
/** How many usage records are taken in together at most. */
const usagesAtMost = 256

/**
 * What the tunnel tells the rest of the market. `takeReport` and `takeUsages` resolve once what was reported is committed: only then is it
 * acknowledged. `takeUsages` gets the usage that came together, with nothing else between.
 */
export type TunnelEvents = {
  authenticate(hello: { nodeId: string; signature: string }, nonce: string): Promise<void>
  connected(nodeId: string): Promise<void>
  takeReport(nodeId: string, report: Report): Promise<void>
  takeUsages(nodeId: string, usages: readonly SignedUsage[]): Promise<void>
}

/** The machines that are connected to this process. */
export type Tunnels = {
  handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void
  /** The session of a node, if it is connected here. */
  session(nodeId: string): ClientHttp2Session | undefined
  close(): void
}

/** Opens the door for machines. A second connection of the same node replaces the first: the newest is the one that lives. */
export function openTunnels(events: () => TunnelEvents): Tunnels {
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 1024 * 1024 })
  const nodes = new Map<string, { socket: WebSocket; session: ClientHttp2Session }>()

  async function receive(socket: WebSocket, request: IncomingMessage): Promise<void> {
    request.socket.setNoDelay(true)
    watch(socket)
    const nodeId = await shakeHands(socket, events())
    const wire = createWebSocketStream(socket)
    wire.on('error', () => socket.terminate())
    socket.send(JSON.stringify({ type: 'welcome', heartbeatMs }))
    const session = http2.connect('http://node', {
      createConnection: () => wire,
      settings: { initialWindowSize: streamWindowBytes, enablePush: false },
    })
    session.once('connect', () => session.setLocalWindowSize(sessionWindowBytes))
    session.on('error', () => socket.terminate())
    const replaced = nodes.get(nodeId)
    nodes.set(nodeId, { socket, session })
    replaced?.socket.close(4409, 'replaced by a newer connection')
    socket.once('close', () => {
      session.destroy()
      if (nodes.get(nodeId)?.socket === socket) nodes.delete(nodeId)
      log('node_disconnected', { node: nodeId })
    })
    log('node_connected', { node: nodeId })
    await events().connected(nodeId)
    await readReports(session, nodeId, events())
  }

  return {
    handleUpgrade(request, socket, head) {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => webSocket.terminate())
        receive(webSocket, request).catch((error: Error) => {
          log('tunnel_refused', { message: error.message })
          webSocket.close(4401, 'refused')
          setTimeout(() => webSocket.terminate(), 1_000).unref()
        })
      })
    },
    session: (nodeId) => nodes.get(nodeId)?.session,
    close() {
      for (const { socket } of nodes.values()) socket.close(1001, 'the market restarts')
      server.close()
    },
  }
}

/** Challenge, hello, welcome. Resolves with the node that proved its key, rejects otherwise or after 10 s. */
async function shakeHands(socket: WebSocket, events: TunnelEvents): Promise<string> {
  const nonce = randomBytes(24).toString('base64url')
  const answer = new Promise<unknown>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('no hello in time')), handshakeWithinMs)
    socket.once('message', (data) => {
      clearTimeout(timer)
      try {
        resolve(JSON.parse(String(data)))
      } catch {
        reject(new Error('the hello is not JSON'))
      }
    })
    socket.once('close', () => {
      clearTimeout(timer)
      reject(new Error('closed before the hello'))
    })
  })
  socket.send(JSON.stringify({ type: 'challenge', protocol: tunnelProtocol, nonce }))
  const hello = TunnelHello.parse(await answer)
  if (hello.protocol !== tunnelProtocol) throw new Error(`the agent speaks tunnel protocol ${hello.protocol}`)
  await events.authenticate(hello, nonce)
  return hello.nodeId
}

/** Ends connections whose other side went away without a word. */
function watch(socket: WebSocket): void {
  let missed = 0
  socket.on('pong', () => {
    missed = 0
  })
  const timer = setInterval(() => {
    if (missed++ >= missedPingsAtMost) return socket.terminate()
    socket.ping()
  }, pingEveryMs)
  socket.once('close', () => clearInterval(timer))
}

/**
 * Reads the node's reports in their order; usage that arrived together is taken in together. Each is acknowledged after it is committed, so a
 * crash here loses none. What arrives while reports are taken in waits in the stream, within its window, and comes together next time.
 */
async function readReports(session: ClientHttp2Session, nodeId: string, events: TunnelEvents): Promise<void> {
  const stream = session.request({ ':method': 'POST', ':path': '/reports', 'content-type': 'application/x-ndjson' }, { endStream: false })
  stream.on('error', () => session.destroy())
  stream.setEncoding('utf8')
  let unfinished = ''
  try {
    for await (const text of stream as AsyncIterable<string>) {
      const lines = `${unfinished}${text}`.split('\n')
      unfinished = lines.pop() ?? ''
      if ([...lines, unfinished].some((line) => line.length > reportBytesAtMost)) throw new Error('a report is too large')
      const { reports, wrong } = readLines(lines)
      for (const together of takenTogether(reports)) {
        await takeWithPatience(events, nodeId, together)
        if (stream.writable) stream.write(`${JSON.stringify({ ack: together.at(-1)?.n })}\n`)
      }
      if (wrong !== undefined) throw wrong
    }
  } catch (error) {
    log('reports_refused', { node: nodeId, message: (error as Error).message })
  } finally {
    closeStream(stream)
    session.close()
  }
}

/** The reports up to the first line that is none. */
function readLines(lines: readonly string[]): { reports: Report[]; wrong?: unknown } {
  const reports: Report[] = []
  try {
    for (const line of lines) reports.push(Report.parse(JSON.parse(line)))
    return { reports }
  } catch (wrong) {
    return { reports, wrong }
  }
}

/** Usage reports that follow each other, up to so many; every other report by itself. */
function* takenTogether(reports: readonly Report[]): Generator<readonly Report[]> {
  let from = 0
  for (let to = 1; to <= reports.length; to++) {
    const isOneMore = reports[from]?.kind === 'usage' && reports[to]?.kind === 'usage' && to - from < usagesAtMost
    if (isOneMore) continue
    yield reports.slice(from, to)
    from = to
  }
}

/** A report that cannot be committed now (the database is away) closes the connection after three tries; the node sends it again. */
async function takeWithPatience(events: TunnelEvents, nodeId: string, reports: readonly Report[]): Promise<void> {
  const usages = reports.flatMap((report) => (report.kind === 'usage' ? [report.usage] : []))
  for (let attempt = 1; ; attempt++) {
    try {
      if (usages.length > 0) return await events.takeUsages(nodeId, usages)
      for (const report of reports) await events.takeReport(nodeId, report)
      return
    } catch (error) {
      if (attempt >= 3) throw error
      await new Promise((resolve) => setTimeout(resolve, 100 * attempt))
    }
  }
}

function closeStream(stream: ClientHttp2Stream): void {
  if (!stream.closed) stream.close(http2.constants.NGHTTP2_CANCEL)
}

function log(event: string, fields: Record<string, unknown>): void {
  console.log(JSON.stringify({ level: 'info', event, ...fields }))
}
