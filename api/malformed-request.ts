// What is no request for the API is answered on the bare connection, as problem+json like everything else.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { Problem } from '@flow402/protocol/problem'

/** Node's reasons not to read a request, as statuses; anything else that it cannot parse is 400. */
const statuses: Record<string, { status: number; detail: string }> = {
  HPE_HEADER_OVERFLOW: { status: 431, detail: 'The address and the headers are larger than 32 KiB together' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: 408, detail: 'The request did not arrive in time' },
}

/** Answers what the HTTP parser refused and closes. For the server's `clientError` event. */
export function refuseMalformed(error: Error & { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, detail } = statuses[error.code ?? ''] ?? { status: 400, detail: 'This is not an HTTP request' }
  answerBare(socket, new Problem('invalid_request', { status, detail }))
}

/** Answers a request for an upgrade that nobody serves, and closes. */
export function refuseUpgrade(socket: Duplex): void {
  answerBare(socket, new Problem('not_found'))
}

function answerBare(socket: Duplex, problem: Problem): void {
  const body = problem.toBody()
  const text = JSON.stringify(body)
  const lines = [
    `HTTP/1.1 ${body.status} ${STATUS_CODES[body.status]}`,
    'content-type: application/problem+json',
    `content-length: ${Buffer.byteLength(text)}`,
    'cache-control: no-store',
    'connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${text}`)
}
