// A chaos proxy: a TCP port that leads to another one, through which a test breaks, slows and bends what passes while connections live.
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** `out`: from the client to the server. `back`: what the server answers. */
export type Direction = 'out' | 'back'
/** What becomes of bytes that a watcher was shown: they pass, the connection breaks before they do, or they pass and their answer is lost. */
export type Verdict = 'pass' | 'cut' | 'drop_answer'
/** Sees every chunk that passes; `connection` counts from 1. */
export type Watcher = (chunk: Buffer, at: { direction: Direction; connection: number }) => Verdict
export type ChaosProxy = Awaited<ReturnType<typeof openChaosProxy>>

type Link = { number: number; near: Socket; far: Socket; losesAnswer: boolean; lostBytes: boolean }
type Way = { delayMs: number; oneByOne: boolean; truncateAfter: number | undefined }

/**
 * Opens a port of the loopback that leads to `target`; everything passes until a fault is asked for. Breaking is always a reset (RST),
 * as of a process or a host that is gone. Faults of a state (cut, refuse, swallow, stall) replace each other and last until `mend`;
 * faults of a way (delay, oneByOne) last until `mend` too and add up; truncate and dropAnswers are used up by what they break.
 */
export async function openChaosProxy(target: { host: string; port: number }) {
  const links = new Set<Link>()
  const ways: Record<Direction, Way> = { out: freshWay(), back: freshWay() }
  let state: 'open' | 'cut' | 'refused' | 'swallowing' | 'stalled' = 'open'
  let gate = Promise.withResolvers<void>()
  gate.resolve()
  let watcher: Watcher | undefined
  let answersToDrop = 0
  let accepted = 0
  let server = await listen(0)
  const { port } = server.address() as AddressInfo

  function listen(wanted: number): Promise<Server> {
    const next = createServer({ allowHalfOpen: true }, accept)
    return new Promise((resolve, reject) => next.once('error', reject).listen(wanted, '127.0.0.1', () => resolve(next)))
  }

  function accept(near: Socket): void {
    near.on('error', () => undefined)
    if (state === 'cut') return void near.resetAndDestroy()
    const far = connect({ ...target, allowHalfOpen: true, noDelay: true })
    far.on('error', () => undefined)
    near.setNoDelay(true)
    const link: Link = { number: ++accepted, near, far, losesAnswer: false, lostBytes: false }
    links.add(link)
    for (const socket of [near, far]) socket.once('close', () => reset(link))
    for (const direction of ['out', 'back'] as const) carry(link, direction).catch(() => reset(link))
  }

  function reset(link: Link): void {
    if (!links.delete(link)) return
    // Whoever ended in order is not reset after the fact.
    for (const socket of [link.near, link.far]) if (socket.writableFinished && socket.readableEnded) socket.destroy()
    for (const socket of [link.near, link.far]) if (!socket.destroyed) socket.resetAndDestroy()
  }

  /** Carries one direction of one connection, chunk after chunk. */
  async function carry(link: Link, direction: Direction): Promise<void> {
    const [from, to] = direction === 'out' ? [link.near, link.far] : [link.far, link.near]
    for await (const read of from as AsyncIterable<Buffer>) {
      await gate.promise
      if (!links.has(link)) return
      if (state === 'swallowing') {
        link.lostBytes = true
        continue
      }
      const chunk = allowed(link, direction, read)
      if (chunk === 'lost') return reset(link)
      const { delayMs, oneByOne } = ways[direction]
      if (delayMs > 0) await sleep(delayMs)
      for (const part of oneByOne ? bytesOf(chunk) : [chunk]) {
        if (!links.has(link)) return
        if (!to.write(part)) await Promise.race([once(to, 'drain'), once(to, 'close')])
        if (oneByOne) await new Promise((resolve) => setImmediate(resolve))
      }
      if (chunk.length < read.length) return reset(link)
    }
    to.end()
  }

  /** What of a chunk may pass: all of it, its beginning (then the connection breaks), or nothing. */
  function allowed(link: Link, direction: Direction, chunk: Buffer): Buffer | 'lost' {
    if (direction === 'back' && link.losesAnswer) return 'lost'
    const verdict = watcher?.(chunk, { direction, connection: link.number }) ?? 'pass'
    if (verdict === 'cut') return 'lost'
    if (direction === 'out' && (verdict === 'drop_answer' || (answersToDrop > 0 && !link.losesAnswer))) {
      if (verdict !== 'drop_answer') answersToDrop--
      link.losesAnswer = true
    }
    const way = ways[direction]
    if (way.truncateAfter === undefined) return chunk
    const passing = Math.min(way.truncateAfter, chunk.length)
    way.truncateAfter -= passing
    if (passing === chunk.length) return chunk
    way.truncateAfter = undefined
    return passing === 0 ? 'lost' : chunk.subarray(0, passing)
  }

  function become(next: typeof state): void {
    state = next
    if (next === 'stalled') gate = Promise.withResolvers<void>()
    else gate.resolve()
  }

  const breakAll = () => {
    for (const link of [...links]) reset(link)
  }

  return {
    port,
    /** The same url with this proxy in the place of its host and port. */
    through(url: string): string {
      const changed = new URL(url)
      changed.hostname = '127.0.0.1'
      changed.port = String(port)
      return url.endsWith('/') || changed.pathname !== '/' ? changed.href : changed.href.replace(/\/$/, '')
    },
    /** How many connections live now, and how many were ever accepted. */
    connections: () => ({ live: links.size, accepted }),
    /** Every connection is reset, and so is every new one, at once. */
    cut(): void {
      become('cut')
      breakAll()
    },
    /** Every connection is reset once; new ones are let through. */
    cutOnce: breakAll,
    /** Nobody listens any more: new connections are refused. Those that live go on. */
    async refuse(): Promise<void> {
      become('refused')
      server.close()
    },
    /** Half-open: connections are accepted and live, but whatever is sent, in either direction, is lost without a word. */
    swallow: () => become('swallowing'),
    /** Nothing passes, nothing is lost: `mend` lets it go on where it stood. */
    stall: () => become('stalled'),
    /** Each chunk is held this long. */
    delay(ms: Partial<Record<Direction, number>>): void {
      for (const direction of ['out', 'back'] as const) ways[direction].delayMs = ms[direction] ?? 0
    },
    /** What passes in this direction is written byte by byte. */
    oneByOne(direction: Direction): void {
      ways[direction].oneByOne = true
    },
    /** `bytes` more pass in this direction, over all connections together; then the one that sent too much is reset. */
    truncate(direction: Direction, bytes: number): void {
      ways[direction].truncateAfter = bytes
    },
    /** The next so many requests pass, each on a connection of its own, and the connection is reset in place of the answer. */
    dropAnswers(count: number): void {
      answersToDrop = count
    },
    /** Shows every chunk to `next`, which says what becomes of it; undefined ends that. */
    watch(next: Watcher | undefined): void {
      watcher = next
    },
    /** No fault any more. Connections that lost bytes are reset; those that were only stalled or slow go on. */
    async mend(): Promise<void> {
      if (state === 'refused') server = await listen(port)
      for (const link of [...links]) if (link.lostBytes) reset(link)
      for (const direction of ['out', 'back'] as const) ways[direction] = freshWay()
      answersToDrop = 0
      watcher = undefined
      become('open')
    },
    async close(): Promise<void> {
      become('cut')
      breakAll()
      if (server.listening) await new Promise((resolve) => server.close(resolve))
    },
  }
}

function freshWay(): Way {
  return { delayMs: 0, oneByOne: false, truncateAfter: undefined }
}

function* bytesOf(chunk: Buffer): Generator<Buffer> {
  for (let at = 0; at < chunk.length; at++) yield chunk.subarray(at, at + 1)
}

/** The proxy in front of whatever a url names. */
export function proxyBefore(url: string): Promise<ChaosProxy> {
  const { hostname, port } = new URL(url)
  return openChaosProxy({ host: hostname, port: Number(port) })
}
