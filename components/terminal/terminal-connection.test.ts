// Tests of the terminal's connection against a real WebSocket server: the way in, bytes, resizes, reconnecting and the closing codes.
import type { AddressInfo } from 'node:net'
import { newId } from '@flow402/protocol/id'
import { afterEach, expect, test } from 'vitest'
import { type WebSocket, WebSocketServer } from 'ws'
import { openTerminal, type TerminalConnection, type TerminalStatus } from './terminal-connection.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function serve(onOpen: (socket: WebSocket, nth: number, url: string, protocols: string) => void) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'flow402.terminal' })
  let nth = 0
  server.on('connection', (socket, request) =>
    onOpen(socket, ++nth, request.url ?? '', String(request.headers['sec-websocket-protocol']).replaceAll(' ', '')),
  )
  await new Promise((resolve) => server.once('listening', resolve))
  closers.push(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function open(origin: string): {
  connection: TerminalConnection
  statuses: TerminalStatus[]
  output: string[]
  reattached: () => number
  ids: string[]
} {
  const statuses: TerminalStatus[] = []
  const output: string[] = []
  const ids = [newId('rental'), newId('terminal')]
  let reattached = 0
  const connection = openTerminal({
    origin,
    rentalId: ids[0] as string,
    terminalId: ids[1] as string,
    accessToken: 'secret',
    size: () => ({ cols: 80, rows: 24 }),
    onOutput: (bytes) => output.push(new TextDecoder().decode(bytes)),
    onReattach: () => {
      reattached += 1
    },
    onStatus: (status) => statuses.push(status),
  })
  closers.push(() => connection.close())
  return { connection, statuses, output, reattached: () => reattached, ids }
}

test('it opens with the token as a subprotocol and the shell and size in the query, then carries bytes and sizes', async () => {
  const got: unknown[] = []
  const origin = await serve((socket, _nth, url, protocols) => {
    got.push(url, protocols)
    socket.on('message', (data, isBinary) => got.push(isBinary ? `bytes:${data}` : JSON.parse(String(data))))
    socket.send(Buffer.from('# '))
  })
  const { connection, output, ids } = open(origin)
  await expect.poll(() => output).toEqual(['# '])
  connection.send(new TextEncoder().encode('ls\n'))
  connection.resize(100, 30)
  await expect.poll(() => got).toHaveLength(4)
  expect(got).toEqual([
    `/api/rentals/${ids[0]}/terminal?terminal=${ids[1]}&cols=80&rows=24`,
    'flow402.terminal,bearer.secret',
    'bytes:ls\n',
    { cols: 100, rows: 30 },
  ])
})

test('a lost connection comes back to the same shell', async () => {
  const urls: string[] = []
  const origin = await serve((socket, nth, url) => {
    urls.push(url)
    if (nth === 1) socket.terminate()
  })
  const { statuses, reattached } = open(origin)
  await expect.poll(() => urls).toHaveLength(2)
  await expect.poll(() => statuses.at(-1)).toEqual({ kind: 'open' })
  expect(urls[0]).toBe(urls[1])
  expect(reattached()).toBe(1)
})

test.each([
  [1000, 'ended'],
  [4401, 'refused'],
  [4409, 'refused'],
])('closing code %i is final', async (code, kind) => {
  let opened = 0
  const origin = await serve((socket) => {
    opened += 1
    socket.close(code)
  })
  const { statuses } = open(origin)
  await expect.poll(() => statuses.at(-1)?.kind).toBe(kind)
  await new Promise((resolve) => setTimeout(resolve, 600))
  expect(opened).toBe(1)
})
