// The market's side of the link to a machine: orders and streams as HTTP/2 requests through its tunnel.
import http2, { type ClientHttp2Session, type ClientHttp2Stream, type OutgoingHttpHeaders } from 'node:http2'
import { PassThrough, type Readable } from 'node:stream'
import { Problem, type ProblemCode, problems } from '@flow402/protocol/problem'
import { ExecResult } from '@flow402/protocol/rental'
import type { NodeLink } from '../lib/provisioning/node-link.ts'
import type { Tunnels } from './tunnel.ts'

const orderWithinMs = 10_000
const openWithinMs = 10_000
const execGraceMs = 10_000
const defaultExecMs = 30_000
const answerBytesAtMost = 8 * 1024 * 1024

/** Fills the NodeLink port over the tunnels of this process. */
export function linkOver(tunnels: Tunnels): NodeLink {
  function open(nodeId: string, method: string, path: string, headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
    const session: ClientHttp2Session | undefined = tunnels.session(nodeId)
    if (!session || session.closed || session.destroyed) throw new Problem('node_unreachable')
    return session.request({ ':method': method, ':path': path, ...headers }, { endStream: false })
  }

  async function askJson(
    nodeId: string,
    method: string,
    path: string,
    body: unknown,
    timeoutMs: number,
    headers: OutgoingHttpHeaders = {},
  ): Promise<unknown> {
    const stream = open(nodeId, method, path, { 'content-type': 'application/json', ...headers })
    // Both are listened for from the start: a short answer may be over before the head has been looked at.
    const whole = bodyOf(stream, timeoutMs)
    whole.catch(() => undefined)
    stream.end(JSON.stringify(body))
    try {
      const status = await headersOf(stream, timeoutMs)
      const text = await whole
      if (status >= 400) throw nodeProblem(text)
      return JSON.parse(text || 'null')
    } finally {
      cancel(stream)
    }
  }

  return {
    isConnected: (nodeId) => tunnels.session(nodeId) !== undefined,
    async putLease(nodeId, rentalId, order) {
      await askJson(nodeId, 'PUT', `/leases/${rentalId}`, { order }, orderWithinMs)
    },
    async exec(nodeId, rentalId, token, request) {
      const timeoutMs = (request.timeoutMs ?? defaultExecMs) + execGraceMs
      const answer = await askJson(nodeId, 'POST', `/leases/${rentalId}/exec`, request, timeoutMs, { authorization: `Bearer ${token}` })
      return ExecResult.parse(answer)
    },
    async logs(nodeId, rentalId, token, { follow, tail }) {
      const query = new URLSearchParams({ follow: follow ? '1' : '0', ...(tail === undefined ? {} : { tail: String(tail) }) })
      const stream = open(nodeId, 'GET', `/leases/${rentalId}/logs?${query}`, { authorization: `Bearer ${token}` })
      // Read from the start: a short log may be over before the head has been looked at.
      const text = new PassThrough()
      stream.on('error', (error) => text.destroy(error))
      stream.on('close', () => text.end())
      text.on('close', () => cancel(stream))
      stream.pipe(text)
      stream.end()
      const status = await headersOf(stream, openWithinMs)
      if (status >= 400) throw nodeProblem(await bodyOf(text, openWithinMs).catch(() => ''))
      return text
    },
    async terminal(nodeId, rentalId, token, { terminalId, cols, rows }) {
      const query = new URLSearchParams({ terminal: terminalId, cols: String(cols), rows: String(rows) })
      const stream = open(nodeId, 'POST', `/leases/${rentalId}/terminal?${query}`, { authorization: `Bearer ${token}` })
      const status = await headersOf(stream, openWithinMs)
      if (status >= 400) throw nodeProblem(await bodyOf(stream, openWithinMs).catch(() => ''))
      return stream
    },
    async resizeTerminal(nodeId, rentalId, token, size) {
      await askJson(nodeId, 'POST', `/leases/${rentalId}/terminal/resize`, size, openWithinMs, { authorization: `Bearer ${token}` })
    },
  }
}

/** Waits for the answer's head: its status. */
function headersOf(stream: ClientHttp2Stream, timeoutMs: number): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => {
      cancel(stream)
      reject(new Problem('node_unreachable', { detail: 'The machine did not answer in time' }))
    }, timeoutMs)
    const lost = (error?: Error) => {
      clearTimeout(timer)
      reject(
        new Problem('node_unreachable', error instanceof Error ? { detail: `The connection to the machine broke: ${error.message}` } : {}),
      )
    }
    stream.once('response', (headers) => {
      clearTimeout(timer)
      stream.off('close', lost)
      resolve(Number(headers[':status']))
    })
    stream.on('error', lost)
    stream.once('close', lost)
  })
}

function nodeProblem(body: string): Problem {
  try {
    const { code, detail } = JSON.parse(body) as { code?: string; detail?: string }
    // The agent speaks of leases; to a renter a lease that is not there is a machine that cannot serve it.
    if (code && code in problems && code !== 'unauthorized') return new Problem(code as ProblemCode, detail ? { detail } : {})
  } catch {
    // An answer that is no problem says nothing; the general one is given.
  }
  return new Problem('node_unreachable')
}

async function bodyOf(stream: Readable, timeoutMs: number): Promise<string> {
  const timer = setTimeout(() => stream.destroy(), timeoutMs)
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > answerBytesAtMost) throw new Problem('node_unreachable', { detail: 'The machine answered too much' })
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString()
  } catch (error) {
    throw error instanceof Problem ? error : new Problem('node_unreachable')
  } finally {
    clearTimeout(timer)
  }
}

function cancel(stream: ClientHttp2Stream): void {
  if (!stream.closed && !stream.destroyed) stream.close(http2.constants.NGHTTP2_CANCEL)
}
