// The terminal in the page: xterm.js over the market's WebSocket, fitted to its box, in the page's theme.
'use client'
import '@xterm/xterm/css/xterm.css'
import { newId, TerminalId } from '@flow402/protocol/id'
import { useEffect, useRef, useState } from 'react'
import { isDarkNow, watchTheme } from '../layout/theme.ts'
import { Button } from '../ui/button.tsx'
import { openTerminal, type TerminalStatus } from './terminal-connection.ts'
import { terminalTheme } from './terminal-theme.ts'

/** Re-attaches to the same shell after a lost connection or a reload of this tab; a shell that ended can be replaced by a new one. `limits` stand beside the status. */
export function TerminalView({ rentalId, accessToken, limits }: { rentalId: string; accessToken: string; limits: string }) {
  const box = useRef<HTMLDivElement>(null)
  const [status, setStatus] = useState<TerminalStatus>({ kind: 'connecting' })
  const [shell, setShell] = useState(0)

  // biome-ignore lint/correctness/useExhaustiveDependencies: `shell` counts up to ask for a new shell
  useEffect(() => {
    let dispose = () => {}
    let isGone = false
    const start = async () => {
      const [{ Terminal }, { FitAddon }] = await Promise.all([import('@xterm/xterm'), import('@xterm/addon-fit')])
      const element = box.current
      if (isGone || !element) return
      const fontFamily = getComputedStyle(document.documentElement).getPropertyValue('--font-geist-mono') || 'monospace'
      // Cells are measured once, so the font must be there before.
      await document.fonts.load(`13px ${fontFamily}`).catch(() => [])
      if (isGone) return
      const terminal = new Terminal({
        theme: terminalTheme(isDarkNow()),
        fontFamily,
        fontSize: element.clientWidth < 480 ? 12 : 13,
        lineHeight: 1.25,
        cursorBlink: true,
        scrollback: 5000,
        screenReaderMode: matchMedia('(prefers-reduced-motion: reduce)').matches,
      })
      const fit = new FitAddon()
      terminal.loadAddon(fit)
      terminal.open(element)
      fit.fit()
      const connection = openTerminal({
        origin: window.location.origin,
        rentalId,
        terminalId: keptTerminalId(rentalId),
        accessToken,
        size: () => ({ cols: terminal.cols, rows: terminal.rows }),
        onOutput: (bytes) => terminal.write(bytes),
        onReattach: () => terminal.reset(),
        onStatus: (next) => {
          if (!isGone) setStatus(next)
        },
      })
      const encoder = new TextEncoder()
      terminal.onData((text) => connection.send(encoder.encode(text)))
      terminal.onBinary((text) => connection.send(Uint8Array.from(text, (char) => char.charCodeAt(0))))
      terminal.onResize(({ cols, rows }) => connection.resize(cols, rows))
      const observer = new ResizeObserver(() => fit.fit())
      observer.observe(element)
      const unwatch = watchTheme(() => {
        terminal.options.theme = terminalTheme(isDarkNow())
      })
      terminal.textarea?.setAttribute('aria-label', 'Terminal input; Shift+Tab leaves the terminal')
      terminal.attachCustomKeyEventHandler((event) => !isWayOut(event))
      // Whoever is doing something else on the page keeps the focus.
      if (document.activeElement === document.body || document.activeElement?.id === 'tab-terminal') terminal.focus()
      dispose = () => {
        observer.disconnect()
        unwatch()
        connection.close()
        terminal.dispose()
      }
    }
    void start()
    return () => {
      isGone = true
      dispose()
    }
  }, [rentalId, accessToken, shell])

  const renew = () => {
    sessionStorage.removeItem(storageKey(rentalId))
    setShell((count) => count + 1)
  }
  return (
    <div className="group flex h-full flex-col" data-testid="terminal">
      {/* The fit addon measures this box as it is, so the padding belongs to the one around it. */}
      <div className="min-h-0 flex-1 py-2 pl-4">
        <div ref={box} className="h-full overflow-hidden" />
      </div>
      <div className="flex h-9 items-center justify-between gap-3 border-line border-t px-4 text-ink-3 text-xs" aria-live="polite">
        <span className="flex shrink-0 items-center gap-1.5">
          <span className={`size-1.5 rounded-full ${status.kind === 'open' ? 'bg-ok' : 'bg-warn'}`} aria-hidden="true" />
          {statusText(status)}
        </span>
        {status.kind === 'ended' ? (
          <Button size="sm" onClick={renew}>
            New shell
          </Button>
        ) : (
          <span className="num truncate" title={`Limited to ${limits}. Shift+Tab leaves the terminal`}>
            <span className="hidden lg:group-focus-within:inline">Shift+Tab leaves the terminal. </span>
            <span className="max-sm:hidden">Limited to </span>
            {limits}
          </span>
        )}
      </div>
    </div>
  )
}

/** Tab belongs to the shell, so Shift+Tab is how the keyboard leaves the terminal (WCAG 2.1.2). */
function isWayOut(event: KeyboardEvent): boolean {
  return event.key === 'Tab' && event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey
}

function statusText(status: TerminalStatus): string {
  if (status.kind === 'open') return 'Connected'
  if (status.kind === 'connecting') return 'Connecting'
  if (status.kind === 'waiting') return 'Connection lost; opening it again'
  return status.kind === 'ended' ? 'The shell has ended' : status.reason
}

const storageKey = (rentalId: string) => `flow402.terminal.${rentalId}`

function keptTerminalId(rentalId: string): string {
  const kept = TerminalId.safeParse(sessionStorage.getItem(storageKey(rentalId)))
  const id = kept.success ? kept.data : newId('terminal')
  sessionStorage.setItem(storageKey(rentalId), id)
  return id
}
