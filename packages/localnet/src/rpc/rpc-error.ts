// Errors of JSON-RPC, with the codes a validator answers with.

/** A JSON-RPC error; codes are JSON-RPC 2.0's and those of Agave's rpc-client-api `custom_error.rs`. */
export class RpcError extends Error {
  readonly code: number
  readonly data: unknown

  constructor(code: number, message: string, data?: unknown) {
    super(message)
    this.name = 'RpcError'
    this.code = code
    this.data = data
  }
}

/** The params do not fit the method. */
export const invalidParams = (message: string): RpcError => new RpcError(-32602, message)

/** The request is well formed but asks for what this answer cannot hold. */
export const invalidRequest = (message: string): RpcError => new RpcError(-32600, message)
