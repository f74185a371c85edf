// Door: what every route of the tunnel shares: reading a body, answering JSON and errors, and deadlines.
import type { ServerHttp2Stream } from 'node:http2'
import { Problem, type ProblemCode } from '@flow402/protocol/problem'
import type { z } from 'zod'
import type { Home } from '../home.ts'
import type { Leases } from '../leases.ts'
import type { MarketWord } from '../market-word.ts'
import type { Runtime } from '../runtimes/runtime.ts'
import type { Terminals } from './terminals.ts'

/** What the doors may touch. */
export type DoorDeps = { home: Home; runtime: Runtime; leases: Leases; word: MarketWord; terminals: Terminals; say: (line: string) => void }

/** One request: `rentalId` from the path, `query` parsed, `authorization` as sent. */
export type Call = { stream: ServerHttp2Stream; rentalId: string; query: URLSearchParams; authorization: string | undefined }

const bodyMaxBytes = 256 * 1024

/** The body as JSON of that shape; `invalid_json`, `invalid_request` or `too_large` otherwise. */
export async function readBody<T extends z.ZodType>(stream: ServerHttp2Stream, shape: T): Promise<z.infer<T>> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    size += (chunk as Buffer).length
    if (size > bodyMaxBytes) throw new Problem('too_large')
    chunks.push(chunk as Buffer)
  }
  let json: unknown
  try {
    json = JSON.parse(Buffer.concat(chunks).toString())
  } catch {
    throw new Problem('invalid_json')
  }
  const parsed = shape.safeParse(json)
  if (!parsed.success)
    throw new Problem('invalid_request', {
      detail: parsed.error.issues
        .map(({ path, message }) => `${path.join('.')}: ${message}`)
        .join('; ')
        .slice(0, 300),
    })
  return parsed.data
}

export function answerJson(stream: ServerHttp2Stream, status: number, body: unknown): void {
  if (stream.destroyed || stream.headersSent) return
  stream.respond({ ':status': status, 'content-type': 'application/json' })
  stream.end(JSON.stringify(body))
}

/** Errors go out as small JSON `{code, detail}`; whatever is not a Problem is `internal` and said on stdout. */
export function answerError(stream: ServerHttp2Stream, error: unknown, say: (line: string) => void): void {
  const code: ProblemCode = error instanceof Problem ? error.code : 'internal'
  if (code === 'internal') say(`a stream failed: ${error instanceof Error ? error.message : String(error)}`)
  if (stream.destroyed) return
  if (stream.headersSent) return void stream.close(http2InternalError)
  const status = error instanceof Problem ? error.status : 500
  answerJson(stream, status, { code, detail: error instanceof Problem ? error.message : undefined })
}

const http2InternalError = 2

/** Closes a stream that is silent for `idleMs` or lives longer than `wholeMs`. */
export function limitStream(stream: ServerHttp2Stream, idleMs: number, wholeMs: number): void {
  stream.setTimeout(idleMs, () => stream.close())
  const whole = setTimeout(() => stream.close(), wholeMs)
  stream.once('close', () => clearTimeout(whole))
}

/** The container of a running lease; `rental_not_found` when unknown here, `rental_cannot` when it does not run. */
export function runningContainer(leases: Leases, rentalId: string): string {
  const row = leases.newest(rentalId)
  if (!row) throw new Problem('rental_not_found')
  if (row.phase !== 'ready') throw new Problem('rental_cannot', { detail: `the lease is ${row.phase}` })
  return leases.containerName(row)
}
