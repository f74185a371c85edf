// Bytes that never become a request are answered like every other error.
import { createServer, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { refuseMalformed, refuseUpgrade } from './malformed-request.ts'

let server: Server

beforeAll(async () => {
  server = createServer({ maxHeaderSize: 4096 }, (_request, response) => response.end('fine'))
  server.on('clientError', refuseMalformed)
  server.on('upgrade', (_request, socket) => refuseUpgrade(socket))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})

/** Sends bytes and reads until the server closes. */
async function exchange(bytes: string): Promise<{ status: number; type: string | undefined; body: unknown }> {
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write(bytes)
  let text = ''
  for await (const chunk of socket) text += chunk
  const [head = '', body = ''] = text.split('\r\n\r\n')
  return { status: Number(head.split(' ')[1]), type: /^content-type: (.*)$/m.exec(head)?.[1]?.trim(), body: JSON.parse(body) }
}

test.each([
  ['headers without end are 431', `GET / HTTP/1.1\r\nhost: x\r\nx: ${'a'.repeat(8000)}\r\n\r\n`, 431, 'invalid_request'],
  ['what is not HTTP is 400', 'hello\r\n\r\n', 400, 'invalid_request'],
  [
    'an upgrade that nobody serves is 404',
    'GET / HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n',
    404,
    'not_found',
  ],
])('%s, as problem+json with a code', async (_name, bytes, status, code) => {
  expect(await exchange(bytes)).toMatchObject({ status, type: 'application/problem+json', body: { status, code } })
})
