// Reaching the workload: exec, logs and terminal, each opened with a token for this rental alone.
import type { Duplex, Readable } from 'node:stream'
import type { StreamScope } from '@flow402/protocol/lease'
import { Problem } from '@flow402/protocol/problem'
import { canRental, type ExecRequest, type ExecResult } from '@flow402/protocol/rental'
import type { MarketKeys } from '../auth/market-keys.ts'
import type { Now } from '../clock.ts'
import type { Db } from '../db/client.ts'
import { findRental } from '../rentals/store.ts'
import type { NodeLink } from './node-link.ts'
import { signStreamToken } from './sign-for-node.ts'

type Deps = { db: Db; now: Now; keys: MarketKeys; link: NodeLink }
type TerminalSize = { terminalId: string; cols: number; rows: number }

/** Runs a program in the container and waits for it. Problems: rental_not_found, rental_cannot, node_unreachable, timeout. */
export async function execInRental(deps: Deps, rentalId: string, request: ExecRequest): Promise<ExecResult> {
  const { nodeId, token } = await open(deps, rentalId, 'exec')
  return deps.link.exec(nodeId, rentalId, token, request)
}

/** What the workload wrote, as text; with `follow` until it ends. Problems as for exec. */
export async function readLogs(deps: Deps, rentalId: string, query: { follow: boolean; tail: number | undefined }): Promise<Readable> {
  const { nodeId, token } = await open(deps, rentalId, 'logs')
  return deps.link.logs(nodeId, rentalId, token, query)
}

/** A shell, raw bytes both ways; a terminal id that was used before re-attaches to the same shell. Problems as for exec. */
export async function openTerminal(deps: Deps, rentalId: string, size: TerminalSize): Promise<Duplex> {
  const { nodeId, token } = await open(deps, rentalId, 'terminal')
  return deps.link.terminal(nodeId, rentalId, token, size)
}

/** Tells the shell its new size. */
export async function resizeTerminal(deps: Deps, rentalId: string, size: TerminalSize): Promise<void> {
  const { nodeId, token } = await open(deps, rentalId, 'terminal')
  return deps.link.resizeTerminal(nodeId, rentalId, token, size)
}

async function open(deps: Deps, rentalId: string, scope: StreamScope): Promise<{ nodeId: string; token: string }> {
  const rental = await findRental(deps.db, rentalId)
  if (!rental) throw new Problem('rental_not_found')
  const action = scope === 'logs' ? 'logs' : 'exec'
  if (!canRental(rental.status, action)) throw new Problem('rental_cannot', { id: rental.id, state: rental.status, action })
  return { nodeId: rental.nodeId, token: await signStreamToken(deps.keys, rental.nodeId, rentalId, scope, deps.now()) }
}
