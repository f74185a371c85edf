// Tests of the client against a small HTTP server: what is sent, how answers are read, how problems surface.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { newId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import { afterEach, expect, test } from 'vitest'
import { marketClient } from './client.ts'
import { MarketError } from './market-error.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function serve(handler: (request: IncomingMessage & { text: string }, response: ServerResponse) => void): Promise<string> {
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    handler(Object.assign(request, { text }), response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function json(response: ServerResponse, status: number, body: unknown) {
  response.writeHead(status, { 'content-type': status >= 400 ? 'application/problem+json' : 'application/json' })
  response.end(JSON.stringify(body))
}

const refused = (promise: Promise<unknown>): Promise<MarketError> =>
  promise.then(
    () => Promise.reject(new Error('it did not throw')),
    (error: unknown) => (error instanceof MarketError ? error : Promise.reject(error)),
  )

test('a query is encoded without its absent members and a page is parsed', async () => {
  const seen: string[] = []
  const baseUrl = await serve((request, response) => {
    seen.push(`${request.method} ${request.url}`)
    json(response, 200, { items: [], nextCursor: null })
  })
  const page = await marketClient({ baseUrl: `${baseUrl}/` }).listOffers({ query: { kind: 'ram', region: 'a b&c' } })
  expect(page).toEqual({ items: [], nextCursor: null })
  expect(seen).toEqual(['GET /api/offers?kind=ram&region=a+b%26c'])
})

test('the access token, the path and the JSON body arrive as the endpoint table says', async () => {
  const seen: unknown[] = []
  const baseUrl = await serve((request, response) => {
    seen.push(request.method, request.url, request.headers.authorization, request.headers['content-type'], JSON.parse(request.text))
    json(response, 200, { exitCode: 0, stdout: 'hi\n', stderr: '', truncated: false })
  })
  const id = newId('rental')
  const result = await marketClient({ baseUrl, accessToken: 'default' }).execRental({
    params: { id },
    body: { argv: ['echo', 'hi'] },
    accessToken: 'mine',
  })
  expect(result.stdout).toBe('hi\n')
  expect(seen).toEqual(['POST', `/api/rentals/${id}/exec`, 'Bearer mine', 'application/json', { argv: ['echo', 'hi'] }])
})

test('a problem surfaces with its code, status, detail and the members that belong to the code', async () => {
  const problem = new Problem('sold_out', { detail: 'Only 2 units are free', unitsAvailable: 2 })
  const baseUrl = await serve((_request, response) => json(response, problem.status, problem.toBody()))
  const error = await refused(marketClient({ baseUrl }).getOffer({ params: { id: newId('offer') } }))
  expect(error).toMatchObject({ code: 'sold_out', status: 409, detail: 'Only 2 units are free', message: 'Only 2 units are free' })
  expect(error.extra).toMatchObject({ unitsAvailable: 2, type: '/errors#sold_out' })
})

test('an error page that is not a problem becomes unexpected_answer, never a parse error', async () => {
  const baseUrl = await serve((_request, response) => {
    response.writeHead(502, { 'content-type': 'text/html' })
    response.end('<h1>Bad gateway</h1>')
  })
  expect(await refused(marketClient({ baseUrl }).network())).toMatchObject({ code: 'unexpected_answer', status: 502 })
})

test('a success in an unknown form is refused instead of passed on', async () => {
  const baseUrl = await serve((_request, response) => json(response, 200, { items: 'none' }))
  expect(await refused(marketClient({ baseUrl }).listOffers())).toMatchObject({ code: 'unexpected_answer', status: 200 })
})

test('a market that does not answer is unreachable', async () => {
  const baseUrl = await serve((request) => request.socket.destroy())
  expect(await refused(marketClient({ baseUrl }).health())).toMatchObject({ code: 'unreachable', status: 0 })
})

test('followed logs arrive piece by piece, whole characters only, until the stream ends', async () => {
  const bytes = new TextEncoder().encode('größe\n')
  const baseUrl = await serve((request, response) => {
    expect(request.url).toMatch(/\/logs\?follow=1&tail=10$/)
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write(bytes.slice(0, 3))
    setTimeout(() => response.end(bytes.slice(3)), 20)
  })
  const pieces: string[] = []
  for await (const piece of marketClient({ baseUrl }).followLogs({ params: { id: newId('rental') }, tail: 10 })) pieces.push(piece)
  expect(pieces.join('')).toBe('größe\n')
  expect(pieces.length).toBeGreaterThan(1)
})

test('following logs stops quietly when the reader gives up', async () => {
  const baseUrl = await serve((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write('first\n')
  })
  const stop = new AbortController()
  const pieces: string[] = []
  for await (const piece of marketClient({ baseUrl }).followLogs({ params: { id: newId('rental') }, signal: stop.signal })) {
    pieces.push(piece)
    stop.abort()
  }
  expect(pieces).toEqual(['first\n'])
})
