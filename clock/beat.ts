// The clock's beat: which verb runs how often, and that a wake-up is never lost nor runs a verb twice at once.
export type Beat = { wake(): void; stop(): Promise<void> }

/**
 * Runs `work` every `everyMs` and at once after `wake()`; never twice at the same time. When `work` returns more than 0 it runs
 * again at once, because there may be more. An error is logged and the next beat comes after `everyMs`.
 */
export function beat(name: string, everyMs: number | (() => number), work: () => Promise<number>): Beat {
  let isStopped = false
  let isAwake = false
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  function schedule(): void {
    clearTimeout(timer)
    if (!isStopped) timer = setTimeout(run, typeof everyMs === 'number' ? everyMs : everyMs())
  }

  function run(): void {
    if (running || isStopped) return
    clearTimeout(timer)
    isAwake = false
    running = work()
      .then((done) => {
        if (done > 0) isAwake = true
      })
      .catch((error: unknown) => {
        console.error(JSON.stringify({ level: 'error', event: 'beat_failed', beat: name, message: (error as Error).message }))
      })
      .finally(() => {
        running = undefined
        if (isAwake) setImmediate(run)
        else schedule()
      })
  }

  schedule()
  return {
    wake() {
      isAwake = true
      run()
    },
    async stop() {
      isStopped = true
      clearTimeout(timer)
      await running
    },
  }
}
