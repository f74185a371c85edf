// Terminals: the shells that are open here; each outlives its stream for a while, so that a broken line can be joined again.
import type { ServerHttp2Stream } from 'node:http2'
import { terminalLingerMs } from '@flow402/protocol/lease'
import { initBusybox } from '../init-script.ts'
import type { Runtime, StartedTerminal } from '../runtimes/runtime.ts'

const replayBytes = 64 * 1024

/** bash when the image has it, else its sh, else ours. */
const shell = 'for s in /bin/bash /usr/bin/bash /bin/sh; do [ -x "$s" ] && exec "$s" -i; done; exec "$0" sh -i'

type Open = { rentalId: string; started: StartedTerminal; replay: Buffer; stream: ServerHttp2Stream | null; linger: NodeJS.Timeout | null }

export type Terminals = {
  /** Joins the stream to a known terminal of the rental, replaying its last output, or opens a new shell. */
  attach: (
    stream: ServerHttp2Stream,
    at: { terminalId: string; rentalId: string; container: string; cols: number; rows: number },
  ) => Promise<void>
  /** False when there is no such terminal of the rental. */
  resize: (rentalId: string, terminalId: string, cols: number, rows: number) => Promise<boolean>
  closeRental: (rentalId: string) => void
  close: () => void
}

export function openTerminals(runtime: Runtime): Terminals {
  const open = new Map<string, Open>()
  const opening = new Map<string, Promise<Open>>()

  async function start(terminalId: string, rentalId: string, container: string, cols: number, rows: number): Promise<Open> {
    const started = await runtime.terminal(container, [initBusybox, 'sh', '-c', shell, initBusybox], { cols, rows })
    const terminal: Open = { rentalId, started, replay: Buffer.alloc(0), stream: null, linger: null }
    open.set(terminalId, terminal)
    started.io.on('data', (chunk: Buffer) => {
      terminal.replay = Buffer.concat([terminal.replay, chunk]).subarray(-replayBytes)
      const { stream } = terminal
      if (stream && !stream.destroyed && !stream.write(chunk)) {
        started.io.pause()
        stream.once('drain', () => started.io.resume())
      }
    })
    const over = () => {
      if (open.get(terminalId) === terminal) open.delete(terminalId)
      if (terminal.linger) clearTimeout(terminal.linger)
      if (terminal.stream) endStream(terminal.stream)
    }
    started.io.on('end', over).on('close', over).on('error', over)
    return terminal
  }

  function end(terminal: Open): void {
    void terminal.started.kill().catch(() => undefined)
    terminal.started.io.destroy()
  }

  function join(terminal: Open, stream: ServerHttp2Stream): void {
    const before = terminal.stream
    terminal.stream = stream
    if (before) endStream(before)
    if (terminal.linger) clearTimeout(terminal.linger)
    terminal.linger = null
    stream.respond({ ':status': 200, 'content-type': 'application/octet-stream' })
    if (terminal.replay.length > 0) stream.write(terminal.replay)
    terminal.started.io.resume()
    stream.on('data', (chunk: Buffer) => {
      if (!terminal.started.io.write(chunk)) {
        stream.pause()
        terminal.started.io.once('drain', () => stream.resume())
      }
    })
    const leave = () => {
      if (terminal.stream !== stream) return
      terminal.stream = null
      terminal.started.io.resume()
      endStream(stream)
      terminal.linger = setTimeout(end, terminalLingerMs, terminal)
    }
    stream.on('end', leave).on('close', leave)
    if (stream.destroyed) leave()
  }

  return {
    async attach(stream, { terminalId, rentalId, container, cols, rows }) {
      const key = `${rentalId}/${terminalId}`
      let terminal = open.get(key) ?? (await opening.get(key))
      if (terminal) await terminal.started.resize(cols, rows).catch(() => undefined)
      else {
        const beginning = start(key, rentalId, container, cols, rows).finally(() => opening.delete(key))
        opening.set(key, beginning)
        terminal = await beginning
      }
      join(terminal, stream)
    },
    async resize(rentalId, terminalId, cols, rows) {
      const terminal = open.get(`${rentalId}/${terminalId}`)
      if (!terminal) return false
      await terminal.started.resize(cols, rows)
      return true
    },
    closeRental(rentalId) {
      for (const terminal of open.values()) if (terminal.rentalId === rentalId) end(terminal)
    },
    close() {
      for (const terminal of open.values()) end(terminal)
    },
  }
}

/** Ends our half; a client that keeps its own half open is cut off once it had time to read the rest. */
function endStream(stream: ServerHttp2Stream): void {
  if (stream.destroyed) return
  stream.end()
  const cut = setTimeout(() => stream.close(), 5000)
  stream.once('close', () => clearTimeout(cut))
}
