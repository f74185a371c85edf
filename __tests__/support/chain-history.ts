// What really happened on chain: every landed transaction that touched the escrow, read by plain JSON-RPC and by none of the market's code.
import { address } from '@solana/kit'
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'

/** One landed transaction. `deltas`: what each owner's tokens of the mint changed by, in atoms; a failed one changes nothing. */
export type LandedTransaction = { signature: string; memos: string[]; failed: boolean; deltas: Map<string, bigint> }

type TokenBalance = { mint: string; owner: string; uiTokenAmount: { amount: string } }
type HistoryEntry = { signature: string; memo: string | null; err: unknown }
type FoundTransaction = { meta: { preTokenBalances?: TokenBalance[]; postTokenBalances?: TokenBalance[] } } | null

const page = 1_000
const transactionsPerCall = 100

/** The whole history of an owner's token account, oldest first, at the newest state that the RPC has confirmed. */
export async function readHistory(rpcUrl: string, owner: string, mint: string): Promise<LandedTransaction[]> {
  const [account] = await findAssociatedTokenPda({ owner: address(owner), mint: address(mint), tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const entries: HistoryEntry[] = []
  for (let before: string | undefined; ; ) {
    const options = { limit: page, commitment: 'confirmed', ...(before ? { before } : {}) }
    const [found = []] = await call<HistoryEntry[]>(rpcUrl, [['getSignaturesForAddress', [account, options]]])
    entries.push(...found)
    before = found.at(-1)?.signature
    if (found.length < page) break
  }
  const landed: LandedTransaction[] = []
  for (let at = 0; at < entries.length; at += transactionsPerCall) {
    const some = entries.slice(at, at + transactionsPerCall)
    const options = { encoding: 'base64', commitment: 'confirmed', maxSupportedTransactionVersion: 0 }
    const found = await call<FoundTransaction>(
      rpcUrl,
      some.map(({ signature }) => ['getTransaction', [signature, options]]),
    )
    for (const [index, { signature, memo, err }] of some.entries()) {
      const transaction = found[index]
      if (!transaction) throw new Error(`the chain lists ${signature} but does not have it`)
      const deltas = err === null ? deltasOf(transaction.meta, mint) : new Map<string, bigint>()
      landed.push({ signature, memos: memosOf(memo), failed: err !== null, deltas })
    }
  }
  return landed.reverse()
}

/** What an owner holds now, in atoms. */
export async function readBalance(rpcUrl: string, owner: string, mint: string): Promise<bigint> {
  const [account] = await findAssociatedTokenPda({ owner: address(owner), mint: address(mint), tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const [answer] = await call<{ value: { amount: string } }>(rpcUrl, [['getTokenAccountBalance', [account, { commitment: 'confirmed' }]]])
  return BigInt(answer?.value.amount ?? 0)
}

/** History writes memos as `[length] text; [length] text`. */
function memosOf(memo: string | null): string[] {
  return memo === null ? [] : memo.split('; ').map((each) => each.replace(/^\[\d+\] /, ''))
}

function deltasOf(meta: { preTokenBalances?: TokenBalance[]; postTokenBalances?: TokenBalance[] }, mint: string): Map<string, bigint> {
  const deltas = new Map<string, bigint>()
  const add = (balances: TokenBalance[] | undefined, sign: bigint) => {
    for (const balance of balances ?? []) {
      if (balance.mint !== mint) continue
      deltas.set(balance.owner, (deltas.get(balance.owner) ?? 0n) + sign * BigInt(balance.uiTokenAmount.amount))
    }
  }
  add(meta.postTokenBalances, 1n)
  add(meta.preTokenBalances, -1n)
  return deltas
}

async function call<T>(rpcUrl: string, calls: [method: string, params: unknown[]][]): Promise<T[]> {
  const response = await fetch(rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(calls.map(([method, params], id) => ({ jsonrpc: '2.0', id, method, params }))),
  })
  const answers = (await response.json()) as { id: number; result?: T; error?: { message: string } }[]
  return calls.map((_, id) => {
    const answer = answers.find((each) => each.id === id)
    if (!answer || answer.error) throw new Error(`the chain does not tell: ${answer?.error?.message ?? 'no answer'}`)
    return answer.result as T
  })
}
