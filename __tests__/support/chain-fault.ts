// Faults of the local chain: what is to go wrong with the next calls of a method, with a node, or with the chain itself.

/** Counts are calls; `dropResponses` runs the call and loses its answer, `refuse` does not run it, `{}` ends what was planned. */
export type PlannedFault = { refuse?: number; dropResponses?: number; delayMs?: number; delays?: number }

/** Something that happens to the chain (or, `lagSlots`, to the node that is asked) at once. packages/localnet/README.md says what each does. */
export type ChainFault =
  | { fork: string; forever?: boolean; alone?: boolean }
  | { finalityStalls: boolean }
  | { lagSlots: number }
  | { freeze: string }
  | { thaw: string }
  | { drainSol: string }
  | { giveSol: string; lamports: number | string }

/** The answer to a chain fault, in signatures: what a fork dropped (newest first) and what landed again; what froze, thawed or gave. */
export type ChainFaultAnswer = { dropped?: string[]; landedAgain?: string[]; signature?: string }

/** Plans a fault of calls on a local chain (no method means every method), or causes one of the chain itself. Throws when it is refused. */
export async function planFault(rpcUrl: string, fault: PlannedFault | ChainFault, method?: string): Promise<ChainFaultAnswer> {
  const answer = await fetch(new URL('/fault', rpcUrl), {
    method: 'POST',
    body: JSON.stringify({ ...fault, ...(method ? { method } : {}) }),
  })
  if (!answer.ok) throw new Error(`the chain refused the fault: ${await answer.text()}`)
  return answer.status === 204 ? {} : ((await answer.json()) as ChainFaultAnswer)
}
