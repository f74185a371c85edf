// The browser's store: JSON values in localStorage that components can watch, across tabs too.
'use client'
import { useSyncExternalStore } from 'react'

const changed = 'flow402:stored'
const cache = new Map<string, { text: string | null; value: unknown }>()

/** Reads and parses a value; anything unreadable is `fallback`. The same text gives the same object. */
export function readStored<T>(key: string, parse: (value: unknown) => T, fallback: T): T {
  const text = localStorage.getItem(key)
  const known = cache.get(key)
  if (known && known.text === text) return known.value as T
  let value = fallback
  try {
    if (text !== null) value = parse(JSON.parse(text))
  } catch {
    value = fallback
  }
  cache.set(key, { text, value })
  return value
}

/** Writes a value and tells everyone who watches it. */
export function writeStored(key: string, value: unknown): void {
  localStorage.setItem(key, JSON.stringify(value))
  window.dispatchEvent(new Event(changed))
}

/** The value of a key, live; `fallback` (a constant) during server rendering. */
export function useStored<T>(key: string, parse: (value: unknown) => T, fallback: T): T {
  return useSyncExternalStore(
    watch,
    () => readStored(key, parse, fallback),
    () => fallback,
  )
}

function watch(onChange: () => void): () => void {
  window.addEventListener(changed, onChange)
  window.addEventListener('storage', onChange)
  return () => {
    window.removeEventListener(changed, onChange)
    window.removeEventListener('storage', onChange)
  }
}
