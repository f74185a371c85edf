// The terminal door: a browser's WebSocket becomes a raw stream to the shell in the container.
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { terminalSubprotocol } from '@flow402/protocol/endpoints'
import { TerminalId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import { type WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'

const idleMs = 30 * 60_000
const pingEveryMs = 10_000
const missedPingsAtMost = 2
const bufferedBytesAtMost = 1024 * 1024
const inputBytesAtMost = 64 * 1024

const Size = z.object({ cols: z.coerce.number().int().min(1).max(1000), rows: z.coerce.number().int().min(1).max(1000) })
type TerminalSize = { terminalId: string; cols: number; rows: number }

/** What the door needs of the market; every call throws a Problem when it may not be. */
export type TerminalVerbs = {
  requireAccess(rentalId: string, token: string | undefined): void
  open(rentalId: string, size: TerminalSize): Promise<Duplex>
  resize(rentalId: string, size: TerminalSize): Promise<void>
}

/** Close codes: 4401 the token is not this rental's, 4409 it does not run, 4503 the machine does not answer, 1000 the shell ended. */
const closeCodes: Partial<Record<string, number>> = {
  unauthorized: 4401,
  rental_not_found: 4401,
  rental_cannot: 4409,
  node_unreachable: 4503,
  invalid_request: 4400,
}

/** Opens the door for terminals. The access token comes as a subprotocol, because browsers cannot set headers and URLs are logged. */
export function openTerminals(verbs: TerminalVerbs) {
  const server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: inputBytesAtMost,
    handleProtocols: (offered) => (offered.has(terminalSubprotocol) ? terminalSubprotocol : false),
  })

  async function serve(socket: WebSocket, request: IncomingMessage, rentalId: string): Promise<void> {
    const early: Buffer[] = []
    const keepEarly = (data: Buffer, isBinary: boolean) => isBinary && early.push(data)
    socket.on('message', keepEarly)
    verbs.requireAccess(rentalId, bearerOf(request))
    const url = new URL(request.url ?? '/', 'http://market')
    const size = Size.extend({ terminalId: TerminalId }).safeParse({
      cols: url.searchParams.get('cols') ?? 80,
      rows: url.searchParams.get('rows') ?? 24,
      terminalId: url.searchParams.get('terminal'),
    })
    if (!size.success) throw new Problem('invalid_request')
    const shell = await verbs.open(rentalId, size.data)
    socket.off('message', keepEarly)
    join(socket, shell, early, (next) => verbs.resize(rentalId, { terminalId: size.data.terminalId, ...next }))
  }

  return {
    handleUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, rentalId: string): void {
      server.handleUpgrade(request, socket, head, (webSocket) => {
        webSocket.on('error', () => webSocket.terminate())
        serve(webSocket, request, rentalId).catch((error: unknown) => {
          const code = error instanceof Problem ? (closeCodes[error.code] ?? 1011) : 1011
          webSocket.close(code, error instanceof Problem ? error.code : 'internal')
        })
      })
    },
    close(): void {
      for (const client of server.clients) client.close(1001, 'the market restarts')
      server.close()
    },
  }
}

function bearerOf(request: IncomingMessage): string | undefined {
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return offered.find((name) => name.startsWith('bearer.'))?.slice('bearer.'.length)
}

/** Binary frames are bytes of the terminal, text frames are a new size. Slow readers hold the shell back, silence ends the stream. */
function join(socket: WebSocket, shell: Duplex, early: Buffer[], resize: (size: { cols: number; rows: number }) => Promise<void>): void {
  let missed = 0
  let idle = setTimeout(end, idleMs)
  const pings = setInterval(() => {
    if (missed++ >= missedPingsAtMost) return socket.terminate()
    socket.ping()
  }, pingEveryMs)
  socket.on('pong', () => {
    missed = 0
  })

  function end(): void {
    socket.close(4408, 'idle')
  }
  function alive(): void {
    clearTimeout(idle)
    idle = setTimeout(end, idleMs)
  }

  shell.on('data', (chunk: Buffer) => {
    alive()
    socket.send(chunk, { binary: true }, () => {
      if (shell.isPaused() && socket.bufferedAmount < bufferedBytesAtMost / 2) shell.resume()
    })
    if (socket.bufferedAmount > bufferedBytesAtMost) shell.pause()
  })
  shell.on('end', () => socket.close(1000, 'the shell ended'))
  shell.on('error', () => socket.close(1011, 'the stream broke'))
  shell.on('close', () => socket.close(1011, 'the stream broke'))
  for (const data of early) shell.write(data)

  socket.on('message', (data: Buffer, isBinary: boolean) => {
    alive()
    if (isBinary) {
      if (shell.writable) shell.write(data)
      return
    }
    const size = Size.safeParse(safeJson(String(data)))
    if (size.success) resize(size.data).catch(() => undefined)
  })
  socket.on('close', () => {
    clearTimeout(idle)
    clearInterval(pings)
    shell.destroy()
  })
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
