// Polling: the latest answer of a question that is asked again and again while the page is visible.
'use client'
import { useCallback, useEffect, useRef, useState } from 'react'

/** `data` is the last good answer, `error` why the last try failed (null once one succeeds); `reload` asks now. */
export type Polled<T> = { data: T | undefined; error: unknown; isLoading: boolean; reload: () => void }

/** Asks at once (unless `initial` is given), then every `everyMs`; a new `load` forgets the old answer unless `keep` says otherwise. */
export function usePolled<T>(load: ((signal: AbortSignal) => Promise<T>) | null, everyMs: number, initial?: T): Polled<T> {
  const [state, setState] = useState<{ data: T | undefined; error: unknown; isLoading: boolean }>({
    data: initial,
    error: null,
    isLoading: initial === undefined,
  })
  const [asked, setAsked] = useState(0)
  const isFirst = useRef(initial !== undefined)
  useEffect(() => {
    if (!load) return
    const stop = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const ask = async () => {
      clearTimeout(timer)
      try {
        const data = await load(stop.signal)
        if (!stop.signal.aborted) setState({ data, error: null, isLoading: false })
      } catch (error) {
        if (!stop.signal.aborted) setState((last) => ({ ...last, error, isLoading: false }))
      }
      if (!stop.signal.aborted) timer = setTimeout(tick, everyMs)
    }
    const tick = () => {
      if (document.hidden) timer = setTimeout(tick, everyMs)
      else void ask()
    }
    const onVisible = () => {
      if (!document.hidden) void ask()
    }
    if (isFirst.current && asked === 0) timer = setTimeout(tick, everyMs)
    else void ask()
    isFirst.current = false
    document.addEventListener('visibilitychange', onVisible)
    return () => {
      stop.abort()
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisible)
    }
  }, [load, everyMs, asked])
  const reload = useCallback(() => setAsked((count) => count + 1), [])
  return { ...state, reload }
}
