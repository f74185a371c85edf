// The doors of the local chain: JSON-RPC, the faucet, health and faults over HTTP, and subscriptions over WebSocket, on one port.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import { causeFault } from './cause-fault.ts'
import type { Chain } from './chain.ts'
import { ChainView } from './chain-view.ts'
import { FaucetRequestError, giveUsdc, readFaucetRequest } from './faucet.ts'
import { type Fault, FaultImpossibleError, FaultRequestError, Faults } from './faults.ts'
import { parseJson, writeJson } from './json.ts'
import { dispatch, errorResponse, type RpcResponse, readRequest } from './rpc/dispatch.ts'
import { RpcError } from './rpc/rpc-error.ts'
import { Subscriptions } from './subscriptions.ts'

const mostBodyBytes = 1 << 20
const mostFaucetBytes = 1 << 16
const mostBatchRequests = 1000

// Browsers call the chain and the faucet directly, from any page: it is test money.
const openToAll = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, OPTIONS',
  'access-control-allow-headers': '*',
  'access-control-allow-private-network': 'true',
  'access-control-max-age': '600',
}

/** A node of a chain with faults of its own, not yet listening; `stop` cuts all connections. Several may serve one chain. */
export function createChainServer(chain: Chain): { server: Server; stop: () => void } {
  const view = new ChainView(chain)
  const faults = new Faults()
  const subscriptions = new Subscriptions(chain)
  const server = createServer((request, response) => {
    respond(view, faults, request, response).catch((error: unknown) => {
      console.error(error)
      if (response.headersSent) response.destroy()
      else problem(response, 500, 'Internal error', 'this is a bug of the local chain')
    })
  })
  const sockets = new WebSocketServer({ server, maxPayload: mostBodyBytes })
  sockets.on('connection', (socket) => subscriptions.connect(socket))
  const ticking = setInterval(() => subscriptions.tick(), chain.clock.boot.slotMs)
  const stop = () => {
    clearInterval(ticking)
    for (const socket of sockets.clients) socket.terminate()
    server.close()
    server.closeAllConnections()
  }
  return { server, stop }
}

async function respond(view: ChainView, faults: Faults, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? '/', 'http://localhost').pathname
  if (request.method === 'OPTIONS') {
    response.writeHead(204, openToAll).end()
    return
  }
  if (request.method === 'GET' && path === '/health') {
    response.writeHead(200, { ...openToAll, 'content-type': 'text/plain' }).end('ok')
    return
  }
  const post = request.method === 'POST' ? posts[path] : undefined
  if (!post) return problem(response, 404, 'Not found', 'POST / is JSON-RPC, POST /faucet gives test money, GET /health tells that it runs')
  const text = await readBody(request)
  if (text === undefined) return problem(response, 413, 'Body too large', `at most ${mostBodyBytes} bytes`)
  await post(view, faults, text, response)
}

const posts: Record<string, (view: ChainView, faults: Faults, text: string, response: ServerResponse) => Promise<void>> = {
  '/': postRpc,
  '/faucet': postFaucet,
  '/fault': postFault,
}

async function postRpc(view: ChainView, faults: Faults, text: string, response: ServerResponse): Promise<void> {
  let body: unknown
  try {
    body = parseJson(text)
  } catch {
    return json(response, 200, errorResponse(null, new RpcError(-32700, 'Parse error')))
  }
  if (Array.isArray(body) && (body.length === 0 || body.length > mostBatchRequests)) {
    return json(response, 200, errorResponse(null, new RpcError(-32600, 'Invalid request')))
  }

  const answers: RpcResponse[] = []
  let delayMs = 0
  let isDropped = false
  for (const item of Array.isArray(body) ? body : [body]) {
    const { answer, fault } = await answerOne(view, faults, item)
    if (fault?.isRefused) return problem(response, 503, 'Refused', 'a planned fault')
    delayMs = Math.max(delayMs, fault?.delayMs ?? 0)
    isDropped ||= fault?.isDropped ?? false
    if (answer) answers.push(answer)
  }
  if (delayMs > 0) await sleep(delayMs)
  if (isDropped) response.destroy()
  else if (answers.length === 0) response.writeHead(204, openToAll).end()
  else json(response, 200, Array.isArray(body) ? answers : answers[0])
}

async function answerOne(view: ChainView, faults: Faults, item: unknown): Promise<{ answer?: RpcResponse; fault?: Fault }> {
  try {
    const request = readRequest(item)
    const fault = faults.take(request.method)
    if (fault.isRefused) return { fault }
    const answer = await dispatch(view, request)
    return request.id === undefined ? { fault } : { answer, fault }
  } catch (error) {
    return { answer: errorResponse(null, error) }
  }
}

async function postFaucet({ chain }: ChainView, faults: Faults, text: string, response: ServerResponse): Promise<void> {
  const fault = faults.take('faucet')
  if (fault.isRefused) return problem(response, 503, 'Refused', 'a planned fault')
  try {
    if (Buffer.byteLength(text) > mostFaucetBytes) return problem(response, 413, 'Body too large', `at most ${mostFaucetBytes} bytes`)
    const signature = await giveUsdc(chain, readFaucetRequest(parseJson(text)))
    if (fault.delayMs > 0) await sleep(fault.delayMs)
    if (fault.isDropped) response.destroy()
    else json(response, 200, { signature })
  } catch (error) {
    if (error instanceof FaucetRequestError) return problem(response, 422, 'The faucet cannot give that', error.message)
    if (error instanceof SyntaxError) return problem(response, 400, 'The faucet cannot read that', 'the body must be JSON')
    throw error
  }
}

async function postFault(view: ChainView, faults: Faults, text: string, response: ServerResponse): Promise<void> {
  try {
    const answer = await causeFault(view, faults, parseJson(text))
    if (answer) json(response, 200, answer)
    else response.writeHead(204, openToAll).end()
  } catch (error) {
    if (error instanceof FaultImpossibleError) return problem(response, error.status, 'The chain cannot do that', error.message)
    if (error instanceof FaultRequestError) return problem(response, 422, 'No such fault', error.message)
    if (error instanceof SyntaxError) return problem(response, 422, 'No such fault', 'the body must be JSON')
    throw error
  }
}

async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > mostBodyBytes) return undefined
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { ...openToAll, 'content-type': 'application/json' }).end(writeJson(body))
}

// The market's codes for the same failures; the chain is no part of the market and cannot import them.
const codes: Record<number, string> = {
  400: 'invalid_json',
  404: 'not_found',
  409: 'conflict',
  413: 'too_large',
  422: 'invalid_request',
  503: 'chain_unavailable',
}

function problem(response: ServerResponse, status: number, title: string, detail: string): void {
  const body = JSON.stringify({ type: 'about:blank', title, status, code: codes[status] ?? 'internal', detail })
  response.writeHead(status, { ...openToAll, 'content-type': 'application/problem+json' }).end(body)
}
