// A machine in memory behind the agent's real tunnel: for server processes, which believe nothing that does not come through one.
import type { ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepTunnel } from '@flow402/agent/tunnel'
import { type Report, ReportAck, SignedOrder } from '@flow402/protocol/lease'
import { Enrolment, type OfferTerms } from '@flow402/protocol/node'
import { type Machine, openMachine, passingDoctor } from './machine.ts'

const heartbeatMs = 5_000

export type TunnelMachine = { machine: Machine; close(): Promise<void> }

/**
 * Enrols a machine at a market's url with an invite and brings it online. It dials again for ever, as the agent does, and what it reports
 * waits until the market has committed it, through as many restarts of the market as it takes.
 */
export async function connectMachine(place: {
  url: string
  token: string
  name: string
  payoutAddress: string
  offer: OfferTerms
}): Promise<TunnelMachine> {
  const unacknowledged = new Map<number, { report: Report; taken: () => void }>()
  let reports: ServerHttp2Stream | undefined
  const write = (report: Report) => reports?.write(`${JSON.stringify(report)}\n`)
  const tell = (_nodeId: string, report: Report) =>
    new Promise<void>((taken) => {
      unacknowledged.set(report.n, { report, taken })
      write(report)
    })
  const machine = openMachine(Date.now, tell)
  const { url, token, name, payoutAddress, offer } = place
  const answer = await fetch(`${url}/api/nodes/enrol`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, publicKey: machine.publicKey, name, region: 'test', payoutAddress, offer }),
  })
  if (answer.status !== 201) throw new Error(`enrolment answered ${answer.status}: ${await answer.text()}`)
  const enrolment = Enrolment.parse(await answer.json())
  machine.pin(enrolment)

  function serve(session: ServerHttp2Session): () => void {
    session.on('stream', (stream, headers) => {
      stream.on('error', () => undefined)
      if (headers[':path'] === '/reports') serveReports(stream)
      else serveOrder(stream).catch(() => stream.close())
    })
    return () => {
      reports = undefined
    }
  }

  function serveReports(stream: ServerHttp2Stream): void {
    stream.respond({ ':status': 200, 'content-type': 'application/x-ndjson' })
    reports = stream
    for (const { report } of unacknowledged.values()) write(report)
    createInterface({ input: stream })
      .on('line', (line) => {
        const { ack } = ReportAck.parse(JSON.parse(line))
        for (const [n, { taken }] of unacknowledged) {
          if (n > ack) continue
          unacknowledged.delete(n)
          taken()
        }
      })
      .on('error', () => undefined)
  }

  /** PUT /leases/:id; exec, logs and terminals do not exist here. */
  async function serveOrder(stream: ServerHttp2Stream): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk)
    await machine.takeOrder(SignedOrder.parse(JSON.parse(Buffer.concat(chunks).toString())).order)
    stream.respond({ ':status': 200, 'content-type': 'application/json' })
    stream.end('{}')
  }

  const stop = new AbortController()
  const identity = { publicKey: machine.publicKey, sign: machine.sign }
  const tunnel = keepTunnel(
    { url: enrolment.tunnelUrl, nodeId: enrolment.nodeId, identity, onSession: serve, say: () => undefined },
    stop.signal,
  )
  const beating = (async () => {
    while (!stop.signal.aborted) {
      await sleep(heartbeatMs, undefined, { signal: stop.signal }).catch(() => undefined)
      if (reports) machine.heartbeat().catch(() => undefined)
    }
  })()
  await machine.report({ kind: 'doctor', report: passingDoctor(offer, Date.now()) })
  return {
    machine,
    async close() {
      stop.abort()
      await Promise.all([tunnel, beating])
    },
  }
}
