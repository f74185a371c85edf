// The chaos proxy itself: each fault does what its name says, to connections that live, and none of them outlives `mend`.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ChaosProxy, openChaosProxy } from './chaos-proxy.ts'

let heard: string[]
let served: Socket[]
let server: ReturnType<typeof createServer>
let proxy: ChaosProxy
beforeEach(async () => {
  heard = []
  served = []
  server = createServer((socket) => {
    served.push(socket)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      heard.push(chunk.toString())
      socket.write(`<${chunk}>`)
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  proxy = await openChaosProxy({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
})
afterEach(async () => {
  await proxy.close()
  for (const socket of served) socket.destroy()
  server.close()
})

/** A client with everything that it was told, and how it ended. */
function dial() {
  const socket = connect({ host: '127.0.0.1', port: proxy.port, noDelay: true })
  const client = { socket, told: '', ended: undefined as string | undefined }
  socket.on('data', (chunk) => {
    client.told += chunk
  })
  socket.on('error', (error: NodeJS.ErrnoException) => {
    client.ended = error.code ?? 'error'
  })
  socket.on('close', () => {
    client.ended ??= 'closed'
  })
  return client
}

const eventually = (look: () => boolean) => expect.poll(look, { interval: 2 }).toBe(true)

async function talk(client: ReturnType<typeof dial>, text: string): Promise<void> {
  const before = client.told.length
  client.socket.write(text)
  await eventually(() => client.told.length >= before + text.length + 2)
}

test('without a fault everything passes both ways, and an end in order is an end in order', async () => {
  const client = dial()
  await talk(client, 'hello')
  expect(client.told).toBe('<hello>')
  client.socket.end()
  await eventually(() => client.ended !== undefined)
  expect(client.ended).toBe('closed')
  await eventually(() => proxy.connections().live === 0)
})

test('cut resets what lives and what comes; refuse lets live what lives and listens no more; both are mended', async () => {
  const client = dial()
  await talk(client, 'a')
  proxy.cut()
  await eventually(() => client.ended !== undefined)
  expect(client.ended).toBe('ECONNRESET')
  const late = dial()
  await eventually(() => late.ended !== undefined)
  expect(late.ended).toBe('ECONNRESET')

  await proxy.mend()
  const living = dial()
  await talk(living, 'b')
  await proxy.refuse()
  const refused = dial()
  await eventually(() => refused.ended !== undefined)
  expect(refused.ended).toBe('ECONNREFUSED')
  await talk(living, 'c')
  await proxy.mend()
  await talk(dial(), 'd')
})

test('stall holds everything and loses nothing; half-open swallows it, and mending breaks what lost bytes', async () => {
  const client = dial()
  await talk(client, 'a')
  proxy.stall()
  client.socket.write('b')
  await sleep(30)
  expect(heard).toEqual(['a'])
  await proxy.mend()
  await eventually(() => client.told === '<a><b>')

  proxy.swallow()
  client.socket.write('c')
  const fresh = dial()
  fresh.socket.write('d')
  await sleep(30)
  expect(heard).toEqual(['a', 'b'])
  expect([client.ended, fresh.ended]).toEqual([undefined, undefined])
  await proxy.mend()
  await eventually(() => client.ended === 'ECONNRESET' && fresh.ended === 'ECONNRESET')
})

test('each direction has its own delay, and bytes may come one by one', async () => {
  const client = dial()
  await talk(client, 'a')
  proxy.delay({ back: 1_500 })
  const askedAt = performance.now()
  client.socket.write('b')
  await eventually(() => heard.length === 2)
  expect(performance.now() - askedAt).toBeLessThan(1_400)
  await eventually(() => client.told === '<a><b>')
  expect(performance.now() - askedAt).toBeGreaterThan(1_490)
  await proxy.mend()
  proxy.oneByOne('out')
  await talk(client, 'hello')
  expect(heard.slice(2).join('')).toBe('hello')
  expect(heard.length).toBeGreaterThan(3)
})

test('truncate breaks after exactly so many bytes, in one direction', async () => {
  const client = dial()
  await talk(client, 'a')
  proxy.truncate('out', 3)
  client.socket.write('bcdef')
  await eventually(() => client.ended !== undefined)
  expect(client.ended).toBe('ECONNRESET')
  await eventually(() => heard.join('') === 'abcd')
  await talk(dial(), 'whole')
})

test('a dropped answer is that of a request that arrived, and only as many are dropped as were asked for', async () => {
  const client = dial()
  await talk(client, 'a')
  proxy.dropAnswers(1)
  client.socket.write('b')
  await eventually(() => client.ended !== undefined)
  expect(heard).toEqual(['a', 'b'])
  expect(client.told).toBe('<a>')
  await talk(dial(), 'c')
})

test('a watcher sees every chunk and decides what becomes of it', async () => {
  const seen: string[] = []
  proxy.watch((chunk, { direction, connection }) => {
    seen.push(`${connection}${direction}:${chunk}`)
    return chunk.toString() === 'stop' ? 'cut' : chunk.toString() === 'lose' ? 'drop_answer' : 'pass'
  })
  const [first, second] = [dial(), dial()]
  await talk(first, 'a')
  first.socket.write('stop')
  await eventually(() => first.ended !== undefined)
  await talk(second, 'b')
  second.socket.write('lose')
  await eventually(() => second.ended !== undefined)
  expect(heard).toEqual(['a', 'b', 'lose'])
  expect(second.told).toBe('<b>')
  expect(seen).toEqual(['1out:a', '1back:<a>', '1out:stop', '2out:b', '2back:<b>', '2out:lose'])
})
