// Reports door: heartbeats, the self-test, and the outbox of lease and usage reports until the market has committed them.
import type { ServerHttp2Stream } from 'node:http2'
import { createInterface } from 'node:readline'
import { type Report, ReportAck } from '@flow402/protocol/lease'
import type { DoctorReport } from '@flow402/protocol/node'
import type { Journal } from '../journal.ts'

export type ReportsDeps = { journal: Journal; doctor: () => DoctorReport; onDoctorAccepted: () => void; say: (line: string) => void }

type Line = Report extends infer Each ? (Each extends Report ? Omit<Each, 'n'> : never) : never

/** How many outbox lines may be on the way at once. */
const windowLines = 200

/**
 * Writes one report per line: the self-test first, then the outbox in order, each at least once, and a heartbeat every `heartbeatMs`.
 * An acknowledgement of line n deletes from the outbox everything written up to n; what is left is written again on the next stream.
 */
export function serveReports(deps: ReportsDeps, stream: ServerHttp2Stream, heartbeatMs: number): () => void {
  const { journal } = deps
  let n = 0
  let doctorLine = 0
  let lastId = 0
  const sent: { n: number; id: number }[] = []

  const write = (line: Line): number => {
    n += 1
    stream.write(`${JSON.stringify({ ...line, n })}\n`)
    return n
  }
  const pump = () => {
    if (stream.destroyed || sent.length >= windowLines) return
    for (const { id, item } of journal.outbox(lastId)) {
      sent.push({ n: write(item), id })
      lastId = id
      if (sent.length >= windowLines) return
    }
  }
  stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' })
  doctorLine = write({ kind: 'doctor', report: deps.doctor() })
  journal.onReport(pump)
  pump()
  const heartbeat = setInterval(() => write({ kind: 'heartbeat', at: Date.now() }), heartbeatMs)
  write({ kind: 'heartbeat', at: Date.now() })

  const lines = createInterface({ input: stream })
  lines.on('line', (text) => {
    try {
      const { ack } = ReportAck.parse(JSON.parse(text))
      let upTo = 0
      while (sent[0] && sent[0].n <= ack) upTo = sent.shift()?.id ?? upTo
      if (upTo > 0) journal.acknowledge(upTo)
      if (doctorLine > 0 && ack >= doctorLine) {
        doctorLine = 0
        deps.onDoctorAccepted()
      }
      pump()
    } catch (error) {
      deps.say(`an acknowledgement could not be read: ${error instanceof Error ? error.message : String(error)}`)
      stream.close()
    }
  })
  lines.on('error', () => undefined)
  const stop = () => {
    clearInterval(heartbeat)
    lines.close()
  }
  stream.on('close', stop)
  return () => stream.close()
}
