// Terminal door: raw bytes between a stream and a shell, and its resize.
import { TerminalResize } from '@flow402/protocol/lease'
import { Problem } from '@flow402/protocol/problem'
import { type Call, type DoorDeps, limitStream, readBody, runningContainer } from './door.ts'

const idleMs = 2 * 3600_000
const wholeMs = 24 * 3600_000

export async function serveTerminal(deps: DoorDeps, call: Call): Promise<void> {
  await deps.word.streamToken(call.authorization, call.rentalId, 'terminal')
  const asked = TerminalResize.safeParse({
    terminalId: call.query.get('terminal'),
    cols: Number(call.query.get('cols') ?? 80),
    rows: Number(call.query.get('rows') ?? 24),
  })
  if (!asked.success) throw new Problem('invalid_request', { detail: 'terminal, cols or rows is not valid' })
  const container = runningContainer(deps.leases, call.rentalId)
  limitStream(call.stream, idleMs, wholeMs)
  await deps.terminals.attach(call.stream, { ...asked.data, rentalId: call.rentalId, container })
}

export async function serveTerminalResize(deps: DoorDeps, call: Call): Promise<void> {
  await deps.word.streamToken(call.authorization, call.rentalId, 'terminal')
  const { terminalId, cols, rows } = await readBody(call.stream, TerminalResize)
  runningContainer(deps.leases, call.rentalId)
  if (!(await deps.terminals.resize(call.rentalId, terminalId, cols, rows))) throw new Problem('not_found', { detail: 'no such terminal' })
  call.stream.respond({ ':status': 204 }, { endStream: true })
}
