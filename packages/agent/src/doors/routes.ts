// Routes: which door serves which path of the tunnel.
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { RentalId } from '@flow402/protocol/id'
import { Problem } from '@flow402/protocol/problem'
import { answerError, type Call, type DoorDeps } from './door.ts'
import { serveExec } from './exec.ts'
import { serveLeases, serveOrder } from './lease.ts'
import { serveLogs } from './logs.ts'
import { type ReportsDeps, serveReports } from './reports.ts'
import { serveTerminal, serveTerminalResize } from './terminal.ts'

const doors: [method: string, path: RegExp, serve: (deps: DoorDeps, call: Call) => Promise<void>][] = [
  ['PUT', /^\/leases\/([^/]+)$/, serveOrder],
  ['GET', /^\/leases$/, serveLeases],
  ['POST', /^\/leases\/([^/]+)\/exec$/, serveExec],
  ['GET', /^\/leases\/([^/]+)\/logs$/, serveLogs],
  ['POST', /^\/leases\/([^/]+)\/terminal$/, serveTerminal],
  ['POST', /^\/leases\/([^/]+)\/terminal\/resize$/, serveTerminalResize],
]

/** Serves one session. A stream that fails is answered or closed; it never takes the process or the other streams with it. */
export function serveSession(deps: DoorDeps & ReportsDeps, session: ServerHttp2Session, heartbeatMs: number): () => void {
  let closeReports: (() => void) | null = null
  session.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    void serveStream(stream, headers).catch((error: unknown) => answerError(stream, error, deps.say))
  })

  async function serveStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    const url = new URL(headers[':path'] ?? '/', 'http://node')
    const method = headers[':method'] ?? ''
    if (method === 'POST' && url.pathname === '/reports') {
      closeReports?.()
      closeReports = serveReports(deps, stream, heartbeatMs)
      return
    }
    for (const [wanted, path, serve] of doors) {
      const match = path.exec(url.pathname)
      if (wanted !== method || !match) continue
      const rentalId = match[1] ?? ''
      if (match.length > 1 && !RentalId.safeParse(rentalId).success) throw new Problem('rental_not_found')
      return serve(deps, { stream, rentalId, query: url.searchParams, authorization: headers.authorization })
    }
    throw new Problem('not_found')
  }
  return () => deps.journal.onReport(null)
}
