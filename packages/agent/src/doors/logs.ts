// Logs door: what the workload wrote, live or after its end.
import { pipeline } from 'node:stream/promises'
import { Problem } from '@flow402/protocol/problem'
import { LogsQuery } from '@flow402/protocol/rental'
import { readKeptLogs } from '../kept-logs.ts'
import { type Call, type DoorDeps, limitStream } from './door.ts'

const wholeMs = 24 * 3600_000
const textHeaders = { ':status': 200, 'content-type': 'text/plain; charset=utf-8' } as const

/** Plain text, stdout and stderr in order; with `follow` it goes on until the workload ends. */
export async function serveLogs(deps: DoorDeps, call: Call): Promise<void> {
  await deps.word.streamToken(call.authorization, call.rentalId, 'logs')
  const parsed = LogsQuery.safeParse(Object.fromEntries(call.query))
  if (!parsed.success) throw new Problem('invalid_request', { detail: 'follow or tail is not valid' })
  const tail = parsed.data.tail ?? null
  const follow = parsed.data.follow === '1' || parsed.data.follow === 'true'
  const row = deps.leases.newest(call.rentalId)
  if (!row) throw new Problem('rental_not_found')
  // a workload may be silent for hours, so only the whole stream has a short limit
  limitStream(call.stream, wholeMs, wholeMs)

  const live = row.phase === 'removed' ? null : await liveLogs(deps, deps.leases.containerName(row), follow, tail)
  if (live) {
    call.stream.respond(textHeaders)
    call.stream.once('close', () => live.destroy())
    await pipeline(live, call.stream).catch(() => call.stream.close())
    return
  }
  const kept = readKeptLogs(deps.home, call.rentalId, tail)
  if (kept === null && row.phase !== 'removed') throw new Problem('rental_cannot', { detail: `the lease is ${row.phase}` })
  call.stream.respond(textHeaders)
  call.stream.end(kept ?? '')
}

async function liveLogs(deps: DoorDeps, container: string, follow: boolean, tail: number | null) {
  try {
    return await deps.runtime.logs(container, { follow, tail })
  } catch (error) {
    const status = (error as { statusCode?: number }).statusCode
    if (status === 404 || status === 409) return null
    throw error
  }
}
