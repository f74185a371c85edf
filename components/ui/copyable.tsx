// Copyable: an id, address or signature in one line, with a button that copies it, or a link where an explorer shows it.
'use client'
import { useEffect, useState } from 'react'

/** Keeps both ends of a long text: "4zMMC9…ncDU". */
export function shortText(text: string, head = 6, tail = 4): string {
  return text.length <= head + tail + 1 ? text : `${text.slice(0, head)}…${tail > 0 ? text.slice(-tail) : ''}`
}

/** Shows a shortened text; the whole of it is in the title and goes to the clipboard. */
export function Copyable({ text, label, href, head, tail }: { text: string; label: string; href?: string; head?: number; tail?: number }) {
  const [isCopied, setCopied] = useState(false)
  useEffect(() => {
    if (!isCopied) return
    const timer = setTimeout(() => setCopied(false), 1500)
    return () => clearTimeout(timer)
  }, [isCopied])
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setCopied(true),
      () => setCopied(false),
    )
  }
  const shown = shortText(text, head, tail)
  return (
    <span className="inline-flex max-w-full items-center gap-1 font-mono text-xs" title={text}>
      {href ? (
        <a
          href={href}
          target="_blank"
          rel="noreferrer"
          className="truncate underline decoration-line-strong underline-offset-2 hover:decoration-ink"
        >
          {shown}
        </a>
      ) : (
        <span className="truncate">{shown}</span>
      )}
      <button type="button" onClick={copy} aria-label={`Copy ${label}`} className="rounded-sm p-0.5 text-ink-3 hover:text-ink">
        <svg viewBox="0 0 16 16" className="size-3.5" fill="none" stroke="currentColor" strokeWidth="1.4" aria-hidden="true">
          {isCopied ? <path d="m3 8.5 3.2 3L13 4.5" /> : <path d="M5.5 5.5h7v8h-7zM3.5 10.5v-8h7" />}
        </svg>
      </button>
      <span className="sr-only" aria-live="polite">
        {isCopied ? `${label} copied` : ''}
      </span>
    </span>
  )
}
