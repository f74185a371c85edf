// A facilitator behind HTTP, made of the reference packages, that lies or fails where a test says so.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSolanaRpc, generateKeyPairSigner, type KeyPairSigner } from '@solana/kit'
import { x402Facilitator } from '@x402/core/facilitator'
import type { Network } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'

/** An answer instead of the real one; `after` runs the real work first and then answers this; `afterwards` happens once it has answered. */
type Misbehaviour = { status: number; body: unknown; after?: boolean; delayMs?: number; times?: number; afterwards?: () => void }
export type TestFacilitator = Awaited<ReturnType<typeof openFacilitator>>

/** Starts a facilitator on a free port; `connect` gives it its chain before the first request. Its fee payer is its own unless one is given. */
export async function openFacilitator(network: string, feePayer?: KeyPairSigner) {
  const signer = feePayer ?? (await generateKeyPairSigner())
  let real = new x402Facilitator()
  const misbehaviours = new Map<string, Misbehaviour>()
  const calls: string[] = []

  const server = createServer(async (request, response) => {
    const name = (request.url ?? '').slice(1)
    calls.push(name)
    const chunks: Buffer[] = []
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : {}
    const wrong = misbehaviours.get(name)
    const answer = (status: number, value: unknown) => {
      if (!response.destroyed)
        response
          .writeHead(status, { 'content-type': 'application/json', connection: 'close' })
          .end(JSON.stringify(value), wrong?.afterwards)
    }
    try {
      const work = async () => {
        if (name === 'supported') return real.getSupported()
        if (name === 'verify') return real.verify(body.paymentPayload, body.paymentRequirements)
        return real.settle(body.paymentPayload, body.paymentRequirements)
      }
      if (!wrong) return answer(200, await work())
      if (wrong.times !== undefined && --wrong.times <= 0) misbehaviours.delete(name)
      if (wrong.after) await work()
      if (wrong.delayMs) await new Promise((resolve) => setTimeout(resolve, wrong.delayMs))
      return answer(wrong.status, wrong.body)
    } catch (error) {
      return answer(500, { error: (error as Error).message })
    }
  })
  const listen = (port: number) => new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  await listen(0)
  const { port } = server.address() as AddressInfo

  /** Connections are refused from now on. */
  async function down(): Promise<void> {
    if (!server.listening) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  return {
    url: `http://127.0.0.1:${port}`,
    address: signer.address,
    signer,
    calls,
    down,
    up: async () => (server.listening ? undefined : listen(port)),
    connect(rpcUrl: string): void {
      const rpc = { [network]: createSolanaRpc(rpcUrl) } as Parameters<typeof toFacilitatorSvmSigner>[1]
      real = new x402Facilitator().register(network as Network, new ExactSvmScheme(toFacilitatorSvmSigner(signer, rpc)))
    },
    misbehave(name: 'supported' | 'verify' | 'settle', how: Misbehaviour): void {
      misbehaviours.set(name, how)
    },
    behave(): void {
      misbehaviours.clear()
    },
    close: down,
  }
}
