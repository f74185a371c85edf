// The theme button: system, light, dark, in turn.
'use client'
import { useSyncExternalStore } from 'react'
import { chooseTheme, currentTheme, type Theme, watchTheme } from './theme.ts'

const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }
const shapes: Record<Theme, string> = {
  system: 'M8 2.5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11',
  light:
    'M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6M8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M13 3l-1.2 1.2M4.2 11.8 3 13',
  dark: 'M13.5 9.6A6 6 0 0 1 6.4 2.5a5.8 5.8 0 1 0 7.1 7.1',
}

/** One button; its label says what is on and what a click does. */
export function ThemeToggle() {
  const theme = useSyncExternalStore<Theme>(watchTheme, currentTheme, () => 'system')
  return (
    <button
      type="button"
      onClick={() => chooseTheme(next[theme])}
      aria-label={`Theme: ${theme}. Switch to ${next[theme]}`}
      title={`Theme: ${theme}`}
      className="grid size-8 place-items-center rounded-md text-ink-2 hover:bg-raised hover:text-ink"
    >
      <svg
        viewBox="0 0 16 16"
        className="size-4"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.3"
        strokeLinecap="round"
        aria-hidden="true"
      >
        <path d={shapes[theme]} />
        {theme === 'system' && <path d="M8 2.5a5.5 5.5 0 0 1 0 11z" fill="currentColor" stroke="none" />}
      </svg>
    </button>
  )
}
