// A facilitator behind HTTP, made of the reference packages, that lies or fails where a test says so.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createSolanaRpc, generateKeyPairSigner } from '@solana/kit'
import { x402Facilitator } from '@x402/core/facilitator'
import type { Network } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'

/** An answer instead of the real one; `after` runs the real work first and then answers this. */
type Misbehaviour = { status: number; body: unknown; after?: boolean; delayMs?: number; times?: number }
export type TestFacilitator = Awaited<ReturnType<typeof openFacilitator>>

/** Starts a facilitator on a free port; `connect` gives it its chain before the first request. */
export async function openFacilitator(network: string) {
  const feePayer = await generateKeyPairSigner()
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
      if (!response.destroyed) response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
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
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    address: feePayer.address,
    calls,
    connect(rpcUrl: string): void {
      const signer = toFacilitatorSvmSigner(feePayer, { [network]: createSolanaRpc(rpcUrl) } as Parameters<
        typeof toFacilitatorSvmSigner
      >[1])
      real = new x402Facilitator().register(network as Network, new ExactSvmScheme(signer))
    },
    misbehave(name: 'supported' | 'verify' | 'settle', how: Misbehaviour): void {
      misbehaviours.set(name, how)
    },
    behave(): void {
      misbehaviours.clear()
    },
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
