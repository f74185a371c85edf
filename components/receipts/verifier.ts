// The page's side of the thread that checks receipts.
import type { Engine } from '@flow402/rust-lib/engine'
import type { Checked } from './check-file.ts'

export type ToWorker = { id: number } & ({ receipt: unknown } | { file: Blob })
export type FromWorker =
  | { kind: 'ready'; engine: Engine['name'] }
  | { kind: 'checked'; id: number; batch: Checked[] }
  | { kind: 'done'; id: number }
  | { kind: 'broken'; id: number | null; why: string }

/** Checks receipts somewhere; `ready` says which engine does it, and from then on nothing is loaded any more. */
export type Verifier = {
  ready: Promise<Engine['name']>
  /** Checks one receipt as parsed JSON. Rejects when the engine could not be started. */
  receipt: (value: unknown) => Promise<Checked>
  /** Checks all that a file holds, telling the results as they come. Rejects when it cannot be read. */
  file: (file: Blob, onChecked: (batch: Checked[]) => void) => Promise<void>
}

/** A verifier in a thread of its own, which is started at once. */
function startVerifier(): Verifier {
  const worker = new Worker(new URL('./verify-worker.ts', import.meta.url), { type: 'module' })
  const asked = new Map<number, { onChecked: (batch: Checked[]) => void; end: () => void; fail: (error: Error) => void }>()
  let lastId = 0
  const ready = new Promise<Engine['name']>((resolve, reject) => {
    const fail = (why: string) => {
      const error = new Error(why)
      reject(error)
      for (const one of asked.values()) one.fail(error)
      asked.clear()
    }
    worker.onerror = (event) => fail(event.message || 'The thread that checks could not be started.')
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      if (data.kind === 'ready') return resolve(data.engine)
      if (data.kind === 'broken' && data.id === null) return fail(data.why)
      const one = asked.get(data.id ?? 0)
      if (data.kind === 'checked') return one?.onChecked(data.batch)
      asked.delete(data.id ?? 0)
      if (data.kind === 'done') one?.end()
      else one?.fail(new Error(data.why))
    }
  })
  ready.catch(() => undefined)
  const ask = async (what: { receipt: unknown } | { file: Blob }, onChecked: (batch: Checked[]) => void) => {
    await ready
    return new Promise<void>((end, fail) => {
      lastId += 1
      asked.set(lastId, { onChecked, end, fail })
      worker.postMessage({ id: lastId, ...what } satisfies ToWorker)
    })
  }
  return {
    ready,
    file: (file, onChecked) => ask({ file }, onChecked),
    receipt: async (receipt) => {
      let checked: Checked | undefined
      await ask({ receipt }, ([first]) => {
        checked = first
      })
      if (!checked) throw new Error('The check ended without a result.')
      return checked
    },
  }
}

let started: Verifier | undefined

/** The verifier of this page, the same one however often it is asked for. Only in a browser. */
export function pageVerifier(): Verifier {
  started ??= startVerifier()
  return started
}
