// The terminal's connection: one WebSocket at a time, opened again with growing pauses, always to the same shell.
import { terminalPath, terminalSubprotocol } from '@flow402/protocol/endpoints'

/** What the screen says of the connection. `ended` and `refused` are final until a new terminal id is taken. */
export type TerminalStatus =
  | { kind: 'connecting' }
  | { kind: 'open' }
  | { kind: 'waiting'; retryAtMs: number }
  | { kind: 'ended' }
  | { kind: 'refused'; reason: string }

export type TerminalConnection = { send: (bytes: Uint8Array) => void; resize: (cols: number, rows: number) => void; close: () => void }

type Options = {
  origin: string
  rentalId: string
  terminalId: string
  accessToken: string
  size: () => { cols: number; rows: number }
  onOutput: (bytes: Uint8Array) => void
  /** Called before the first output of a re-attachment: the shell replays its last output. */
  onReattach: () => void
  onStatus: (status: TerminalStatus) => void
}

const closedBadToken = 4401
const closedNotRunning = 4409
const closedShellEnded = 1000

/** Opens the connection and keeps it open; sizes go as JSON text, everything else as bytes. */
export function openTerminal(options: Options): TerminalConnection {
  let socket: WebSocket | null = null
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  let hasBeenOpen = false
  let isClosed = false

  const connect = () => {
    options.onStatus({ kind: 'connecting' })
    const { cols, rows } = options.size()
    const url = new URL(terminalPath(options.rentalId), options.origin)
    url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
    url.search = new URLSearchParams({ terminal: options.terminalId, cols: String(cols), rows: String(rows) }).toString()
    const mine = new WebSocket(url, [terminalSubprotocol, `bearer.${options.accessToken}`])
    socket = mine
    mine.binaryType = 'arraybuffer'
    mine.onopen = () => {
      failures = 0
      if (hasBeenOpen) options.onReattach()
      hasBeenOpen = true
      options.onStatus({ kind: 'open' })
    }
    mine.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) options.onOutput(new Uint8Array(data))
    }
    mine.onclose = ({ code, reason }) => {
      if (isClosed || socket !== mine) return
      if (code === closedShellEnded) options.onStatus({ kind: 'ended' })
      else if (code === closedBadToken)
        options.onStatus({ kind: 'refused', reason: reason || 'The access token is not valid for this rental' })
      else if (code === closedNotRunning) options.onStatus({ kind: 'refused', reason: reason || 'The rental is not running' })
      else {
        const pauseMs = Math.min(8000, 400 * 2 ** failures)
        failures += 1
        options.onStatus({ kind: 'waiting', retryAtMs: Date.now() + pauseMs })
        timer = setTimeout(connect, pauseMs)
      }
    }
  }
  connect()
  return {
    send: (bytes) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(bytes as Uint8Array<ArrayBuffer>)
    },
    resize: (cols, rows) => {
      if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ cols, rows }))
    },
    close: () => {
      isClosed = true
      clearTimeout(timer)
      socket?.close(1000)
    },
  }
}
