// JSON-RPC as our facilitator needs it: four calls over connections that stay open, because the calls are most of what a payment costs.
import { request as httpRequest, Agent as PlainAgent } from 'node:http'
import { request as httpsRequest, Agent as TlsAgent } from 'node:https'

const simulateMs = 8_000
const answerMs = 15_000
const socketsAtMost = 64

/** What became of a signature so far: nothing known, confirmed, or landed with an error. */
export type SignatureStatus = { kind: 'none' } | { kind: 'confirmed' } | { kind: 'failed'; reason: string }
export type FacilitatorRpc = ReturnType<typeof openFacilitatorRpc>

/** Opens the RPC at a url. Every call throws when it cannot be asked or answers an error. */
export function openFacilitatorRpc(rpcUrl: string) {
  const url = new URL(rpcUrl)
  const isTls = url.protocol === 'https:'
  const request = isTls ? httpsRequest : httpRequest
  const agent = new (isTls ? TlsAgent : PlainAgent)({ keepAlive: true, maxSockets: socketsAtMost, scheduling: 'lifo' })
  let nextId = 0

  function post(body: string, timeoutMs: number, isRetry = false): Promise<string> {
    return new Promise((resolve, reject) => {
      const outgoing = request(url, {
        method: 'POST',
        agent,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      })
      const timer = setTimeout(() => outgoing.destroy(new Error(`the RPC did not answer within ${timeoutMs} ms`)), timeoutMs)
      const fail = (error: NodeJS.ErrnoException) => {
        clearTimeout(timer)
        // A connection that the other side closed while it rested says nothing; every call here may be made twice.
        if (!isRetry && outgoing.reusedSocket && error.code === 'ECONNRESET') resolve(post(body, timeoutMs, true))
        else reject(error)
      }
      outgoing.on('error', fail)
      outgoing.on('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', fail)
        response.on('end', () => {
          clearTimeout(timer)
          if (response.statusCode === 200) resolve(Buffer.concat(chunks).toString())
          else reject(new Error(`the RPC answered ${response.statusCode}`))
        })
      })
      outgoing.end(body)
    })
  }

  async function call<T>(method: string, params: unknown[], timeoutMs: number): Promise<T> {
    nextId += 1
    const answer = JSON.parse(await post(JSON.stringify({ jsonrpc: '2.0', id: nextId, method, params }), timeoutMs))
    if (answer.error) throw new Error(`${method}: ${answer.error.message ?? JSON.stringify(answer.error)}`)
    if (answer.result === undefined) throw new Error(`${method}: the RPC answered nothing`)
    return answer.result as T
  }

  return {
    /** Runs a transaction without sending it, its signatures unseen; says why it would fail. */
    async simulate(wire: string): Promise<string | undefined> {
      const options = { encoding: 'base64', commitment: 'confirmed', sigVerify: false, replaceRecentBlockhash: false }
      const { value } = await call<{ value: { err: unknown } }>('simulateTransaction', [wire, options], simulateMs)
      return value.err ? JSON.stringify(value.err) : undefined
    },

    /** Sends once, without preflight: it was simulated before. */
    async send(wire: string): Promise<void> {
      const options = { encoding: 'base64', skipPreflight: true, preflightCommitment: 'confirmed' }
      await call<string>('sendTransaction', [wire, options], answerMs)
    },

    async status(signature: string): Promise<SignatureStatus> {
      type Entry = { err: unknown; confirmationStatus?: string } | null
      const { value } = await call<{ value: Entry[] }>('getSignatureStatuses', [[signature]], answerMs)
      const [entry] = value
      if (entry?.err) return { kind: 'failed', reason: JSON.stringify(entry.err) }
      const isThere = entry?.confirmationStatus === 'confirmed' || entry?.confirmationStatus === 'finalized'
      return { kind: isThere ? 'confirmed' : 'none' }
    },

    /** An account's lamports, 0 when it does not exist. */
    async balance(address: string): Promise<bigint> {
      const { value } = await call<{ value: number }>('getBalance', [address, { commitment: 'confirmed' }], answerMs)
      return BigInt(value)
    },
  }
}
