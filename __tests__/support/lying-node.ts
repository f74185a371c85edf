// A node that lies: every call goes on to a real one, but while it lies it has never heard of any transaction.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

type Call = { id: unknown; method: string; params: unknown[] }
export type LyingNode = Awaited<ReturnType<typeof openLyingNode>>

/** What a node says that has never heard of it. Its heights stay true: that is what makes it a lie and not a lag. */
const denials: Record<string, (params: unknown[]) => unknown> = {
  getTransaction: () => null,
  getSignaturesForAddress: () => [],
  getSignatureStatuses: ([signatures]) => ({ context: { slot: 1 }, value: (signatures as unknown[]).map(() => null) }),
}

/** Opens it before a node; honest until `lies` is true. `denied` counts the answers that were lies. */
export async function openLyingNode(rpcUrl: string) {
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    response.setHeader('content-type', 'application/json')
    const { id, method, params } = JSON.parse(text) as Call
    const denial = node.lies ? denials[method] : undefined
    if (denial) {
      node.denied++
      response.end(JSON.stringify({ jsonrpc: '2.0', id, result: denial(params) }))
      return
    }
    // As text, because numbers of 64 bits do not survive being parsed.
    const answer = await fetch(rpcUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: text })
    response.statusCode = answer.status
    response.end(await answer.text())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const node = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    lies: false,
    denied: 0,
    async close(): Promise<void> {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return node
}
