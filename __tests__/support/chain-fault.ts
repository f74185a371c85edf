// Faults of the local chain: what is to go wrong with the next calls of a method.

/** Counts are calls; `dropResponses` runs the call and loses its answer, `refuse` does not run it, `{}` ends what was planned. */
export type PlannedFault = { refuse?: number; dropResponses?: number; delayMs?: number; delays?: number }

/** Plans a fault on a local chain; no method means every method. */
export async function planFault(rpcUrl: string, fault: PlannedFault, method?: string): Promise<void> {
  const answer = await fetch(new URL('/fault', rpcUrl), {
    method: 'POST',
    body: JSON.stringify({ ...fault, ...(method ? { method } : {}) }),
  })
  if (!answer.ok) throw new Error(`the chain refused the fault: ${await answer.text()}`)
}
