// Reads the memo of a landed transaction from a Solana RPC endpoint, with one plain JSON-RPC call and no package of a chain.
import { z } from 'zod'

const Answer = z.object({
  error: z.object({ message: z.string() }).optional(),
  result: z
    .object({
      meta: z.object({ err: z.unknown() }),
      transaction: z.object({
        message: z.object({ instructions: z.array(z.object({ program: z.string().optional(), parsed: z.unknown().optional() })) }),
      }),
    })
    .nullish(),
})
const timeoutMs = 20_000

/**
 * A `memoOf` for verifyReceipt: the memo of a transaction on a finalized block, null when it carries none, several joined by newlines. Throws
 * an Error with a sentence for people when the endpoint does not answer, does not know the transaction, or says that it failed.
 */
export function memoOnChain(rpcUrl: string): (transaction: string) => Promise<string | null> {
  return async (transaction) => {
    const config = { encoding: 'jsonParsed', commitment: 'finalized', maxSupportedTransactionVersion: 0 }
    const answer = await fetch(rpcUrl, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'getTransaction', params: [transaction, config] }),
      signal: AbortSignal.timeout(timeoutMs),
    }).catch((cause: unknown) => {
      throw new Error('The RPC endpoint does not answer.', { cause })
    })
    const { data } = Answer.safeParse(await answer.json().catch(() => undefined))
    if (!data) throw new Error(`The RPC endpoint gave an answer of another kind (HTTP ${answer.status}).`)
    if (data.error) throw new Error(`The RPC endpoint says: ${data.error.message}`)
    if (!data.result) throw new Error('It is on no finalized block that the RPC endpoint knows.')
    if (data.result.meta.err !== null) throw new Error('It failed on chain.')
    const memos = data.result.transaction.message.instructions.filter(({ program }) => program === 'spl-memo')
    return memos.length === 0 ? null : memos.map(({ parsed }) => String(parsed)).join('\n')
  }
}
