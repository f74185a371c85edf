// The link to machines: the port through which the market speaks to an agent behind its tunnel.
import type { Duplex, Readable } from 'node:stream'
import type { ExecRequest, ExecResult } from '@flow402/protocol/rental'

/** Every call throws Problem node_unreachable when the node has no tunnel or does not answer in time. */
export type NodeLink = {
  isConnected(nodeId: string): boolean
  /** Hands the node a signed order; resolves when it is on the node's disk. */
  putLease(nodeId: string, rentalId: string, signedOrder: string): Promise<void>
  /** Problem timeout when the program ran longer than it may. */
  exec(nodeId: string, rentalId: string, streamToken: string, request: ExecRequest): Promise<ExecResult>
  logs(nodeId: string, rentalId: string, streamToken: string, query: { follow: boolean; tail: number | undefined }): Promise<Readable>
  terminal(nodeId: string, rentalId: string, streamToken: string, size: { terminalId: string; cols: number; rows: number }): Promise<Duplex>
  resizeTerminal(
    nodeId: string,
    rentalId: string,
    streamToken: string,
    size: { terminalId: string; cols: number; rows: number },
  ): Promise<void>
}
