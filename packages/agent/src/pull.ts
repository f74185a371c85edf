// Pull: gets an image by reference, and gives up when it makes no progress.
import type { Runtime } from './runtimes/runtime.ts'

const stalledMs = 5 * 60_000
const longestMs = 10 * 60_000

/** Answers `ok`, or for people why the image cannot be had. `signal` ends it early. */
export async function pullImage(runtime: Runtime, ref: string, signal: AbortSignal): Promise<string> {
  const stop = new AbortController()
  let why = ''
  const giveUp = (reason: string) => {
    why ||= reason
    stop.abort()
  }
  let stalled = setTimeout(giveUp, stalledMs, 'no progress for 5 minutes')
  const longest = setTimeout(giveUp, longestMs, 'not there after 10 minutes')
  const onAbort = () => giveUp('no longer wanted')
  signal.addEventListener('abort', onAbort, { once: true })
  let last = ''
  try {
    const pulled = runtime.pullImage(
      ref,
      (line) => {
        if (line === last) return
        last = line
        clearTimeout(stalled)
        stalled = setTimeout(giveUp, stalledMs, 'no progress for 5 minutes')
      },
      stop.signal,
    )
    const aborted = new Promise<never>((_, reject) => stop.signal.addEventListener('abort', () => reject(new Error(why)), { once: true }))
    await Promise.race([pulled, aborted])
    return 'ok'
  } catch (error) {
    const message =
      (error as { json?: { message?: string } } | null)?.json?.message ?? (error instanceof Error ? error.message : String(error))
    return `image ${ref}: ${why || message}`.replace(/\s+/g, ' ').slice(0, 500)
  } finally {
    clearTimeout(stalled)
    clearTimeout(longest)
    signal.removeEventListener('abort', onAbort)
  }
}
