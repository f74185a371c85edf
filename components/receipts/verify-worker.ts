// The thread that checks receipts, so that a month of records does not hold up the page. It asks nobody for anything.
import { openEngine } from '@flow402/rust-lib/open-engine'
import { checkFile, checkReceipt } from './check-file.ts'
import type { FromWorker, ToWorker } from './verifier.ts'

/** How long results are collected before the page is told, in ms: many small receipts are not a message each. */
const tellEveryMs = 50

const thread = self as unknown as {
  postMessage: (message: FromWorker) => void
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null
}
const engine = openEngine()

/** One after the other, so that a long file does not slow down what came before it. */
let queue: Promise<void> = engine.then(({ name }) => thread.postMessage({ kind: 'ready', engine: name }))
queue.catch((error: unknown) => thread.postMessage({ kind: 'broken', id: null, why: String(error) }))

thread.onmessage = ({ data }) => {
  queue = queue
    .then(() => check(data))
    .catch((error: unknown) => {
      thread.postMessage({ kind: 'broken', id: data.id, why: error instanceof Error ? error.message : String(error) })
    })
}

async function check({ id, ...asked }: ToWorker): Promise<void> {
  if ('receipt' in asked) {
    thread.postMessage({ kind: 'checked', id, batch: [await checkReceipt(asked.receipt, await engine)] })
  } else {
    let batch = []
    let toldAt = performance.now()
    for await (const one of checkFile(asked.file, await engine)) {
      batch.push(one)
      if (performance.now() - toldAt < tellEveryMs) continue
      thread.postMessage({ kind: 'checked', id, batch })
      batch = []
      toldAt = performance.now()
    }
    thread.postMessage({ kind: 'checked', id, batch })
  }
  thread.postMessage({ kind: 'done', id })
}
