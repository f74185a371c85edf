// Tunnel: one outbound WebSocket to the market, with this node as the HTTP/2 server on it; dials again for ever.
import http2, { type ServerHttp2Session } from 'node:http2'
import { setTimeout as delay } from 'node:timers/promises'
import { TunnelChallenge, TunnelWelcome, tunnelHelloBytes, tunnelProtocol } from '@flow402/protocol/lease'
import WebSocket, { createWebSocketStream } from 'ws'
import { agentVersion, type Identity } from './home.ts'

const pingEveryMs = 5000
const missedPings = 3
const handshakeMs = 10_000
const shortestPauseMs = 250
const longestPauseMs = 10_000
const streamWindow = 1024 * 1024
const sessionWindow = 8 * 1024 * 1024

export type TunnelDeps = {
  url: string
  nodeId: string
  identity: Identity
  /** Called for every session, in the tick in which it begins; answers what to do when it is over. */
  onSession: (session: ServerHttp2Session, heartbeatMs: number) => () => void
  say: (line: string) => void
}

/** Keeps the tunnel up until the signal; pauses between dials grow to 10 s with jitter and start again after a good session. */
export async function keepTunnel(deps: TunnelDeps, signal: AbortSignal): Promise<void> {
  let pauseMs = shortestPauseMs
  while (!signal.aborted) {
    const { welcomed, why } = await oneConnection(deps, signal)
    if (signal.aborted) return
    if (welcomed) pauseMs = shortestPauseMs
    const waitMs = Math.round(pauseMs * (0.5 + Math.random()))
    deps.say(`tunnel closed: ${why}; dialling again in ${waitMs} ms`)
    await delay(waitMs, undefined, { signal }).catch(() => undefined)
    pauseMs = Math.min(longestPauseMs, pauseMs * 2)
  }
}

/** One dial, to its end. Text messages shake hands (challenge, hello, welcome); then the WebSocket carries HTTP/2 only. */
function oneConnection(deps: TunnelDeps, signal: AbortSignal): Promise<{ welcomed: boolean; why: string }> {
  return new Promise((resolve) => {
    const socket = new WebSocket(deps.url, { perMessageDeflate: false, maxPayload: 1024 * 1024, handshakeTimeout: handshakeMs })
    let welcomed = false
    let over: (() => void) | null = null
    let session: ServerHttp2Session | null = null
    let why = ''
    let missed = 0
    const end = (reason: string) => {
      why ||= reason
      socket.terminate()
    }
    const tooSlow = setTimeout(() => end('the market did not answer the handshake'), handshakeMs)
    const pings = setInterval(() => {
      if (socket.readyState !== WebSocket.OPEN) return
      if (++missed > missedPings) return end('the market does not answer pings')
      socket.ping()
    }, pingEveryMs)
    const onAbort = () => {
      why ||= 'stopping'
      session?.close()
      socket.close(1000)
      setTimeout(() => socket.terminate(), 300).unref()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()

    const onText = (data: WebSocket.RawData, isBinary: boolean) => {
      try {
        if (isBinary) throw new Error('binary before the welcome')
        const message: unknown = JSON.parse(String(data))
        const kind = (message as { type?: string }).type
        if (kind === 'challenge') {
          const { nonce, protocol } = TunnelChallenge.parse(message)
          if (protocol !== tunnelProtocol) throw new Error(`the market speaks tunnel protocol ${protocol}, this agent ${tunnelProtocol}`)
          const signature = deps.identity.sign(tunnelHelloBytes(deps.nodeId, nonce))
          socket.send(JSON.stringify({ type: 'hello', protocol: tunnelProtocol, nodeId: deps.nodeId, signature, agentVersion }))
          return
        }
        const { heartbeatMs } = TunnelWelcome.parse(message)
        clearTimeout(tooSlow)
        // in this very tick, or the client's preface would be lost
        socket.off('message', onText)
        const wire = createWebSocketStream(socket)
        wire.on('error', (error) => end(error.message))
        session = http2.performServerHandshake(wire, { settings: { initialWindowSize: streamWindow, enablePush: false } })
        session.setLocalWindowSize(sessionWindow)
        session.on('error', (error) => end(error.message))
        session.on('close', () => end('the session ended'))
        welcomed = true
        over = deps.onSession(session, heartbeatMs)
      } catch (error) {
        end(error instanceof Error ? error.message : String(error))
      }
    }
    socket.on('message', onText)
    socket.on('pong', () => {
      missed = 0
    })
    socket.on('error', (error) => {
      why ||= error.message
    })
    socket.on('unexpected-response', (_request, response) => end(`the market answered ${response.statusCode}`))
    socket.on('close', (code, reason) => {
      clearTimeout(tooSlow)
      clearInterval(pings)
      signal.removeEventListener('abort', onAbort)
      session?.destroy()
      over?.()
      resolve({ welcomed, why: why || `closed with ${code} ${String(reason)}`.trim() })
    })
  })
}
