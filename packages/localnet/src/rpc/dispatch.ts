// Finds the method of a JSON-RPC request, calls it, and writes the response.
import type { ChainView } from '../chain-view.ts'
import { accountMethods } from './account-methods.ts'
import { clusterMethods } from './cluster-methods.ts'
import { historyMethods } from './history-methods.ts'
import type { RpcMethod } from './params.ts'
import { RpcError } from './rpc-error.ts'
import { tokenMethods } from './token-methods.ts'
import { transactionMethods } from './transaction-methods.ts'

const methods = new Map<string, RpcMethod>(
  Object.entries({ ...clusterMethods, ...accountMethods, ...tokenMethods, ...transactionMethods, ...historyMethods }),
)

/** A JSON-RPC 2.0 request that looks like one. */
export interface RpcRequest {
  id: string | number | bigint | null | undefined
  method: string
  params: readonly unknown[]
}

/** A JSON-RPC 2.0 response. */
export type RpcResponse = { jsonrpc: '2.0'; id: unknown } & (
  | { result: unknown }
  | { error: { code: number; message: string; data?: unknown } }
)

/** Reads a parsed body as a request; throws RpcError -32600 or -32602. A request without an id is a notification: it gets no response. */
export function readRequest(body: unknown): RpcRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new RpcError(-32600, 'Invalid request')
  const { id, method, params } = body as Record<string, unknown>
  const isId = id === undefined || id === null || typeof id === 'string' || typeof id === 'number' || typeof id === 'bigint'
  if (!isId || typeof method !== 'string') throw new RpcError(-32600, 'Invalid request')
  if (params !== undefined && params !== null && !Array.isArray(params)) throw new RpcError(-32602, '`params` should be an array')
  return { id, method, params: (params as unknown[] | null | undefined) ?? [] }
}

/** Calls the method of a request on a node. Everything wrong with it comes back as a response, never as a throw. */
export async function dispatch(view: ChainView, request: RpcRequest): Promise<RpcResponse> {
  const method = methods.get(request.method)
  if (!method) return errorResponse(request.id, new RpcError(-32601, 'Method not found'))
  try {
    return { jsonrpc: '2.0', id: request.id, result: await method(view, request.params) }
  } catch (error) {
    return errorResponse(request.id, error)
  }
}

/** The response to a request that failed; what is not an RpcError is a bug of this program, and is printed. */
export function errorResponse(id: unknown, error: unknown): RpcResponse {
  if (error instanceof RpcError) {
    const data = error.data === undefined ? {} : { data: error.data }
    return { jsonrpc: '2.0', id: id ?? null, error: { code: error.code, message: error.message, ...data } }
  }
  console.error(error)
  return { jsonrpc: '2.0', id: id ?? null, error: { code: -32603, message: 'Internal error' } }
}
