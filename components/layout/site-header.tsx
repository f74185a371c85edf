// The header: where one is, where one can go, and the theme.
'use client'
import Link from 'next/link'
import { usePathname } from 'next/navigation'
import { ThemeToggle } from './theme-toggle.tsx'

const places = [
  { href: '/', label: 'Market', isHere: (path: string) => path === '/' || path.startsWith('/offers') },
  { href: '/rentals', label: 'Rentals', isHere: (path: string) => path.startsWith('/rentals') },
  { href: '/docs', label: 'Docs', isHere: (path: string) => path.startsWith('/docs') || path.startsWith('/errors') },
]

/** One line, always 48 pixels high. */
export function SiteHeader() {
  const path = usePathname()
  return (
    <header className="sticky top-0 z-10 border-line border-b bg-bg/90 backdrop-blur">
      <div className="mx-auto flex h-12 w-full max-w-6xl items-center gap-5 px-4 sm:px-6">
        <Link href="/" className="flex items-center gap-2 font-semibold tracking-tight" aria-label="Flow402, market">
          <svg viewBox="0 0 32 32" className="size-5" aria-hidden="true">
            <rect width="32" height="32" rx="7" className="fill-ink" />
            <path d="M9 23V9h9M9 16h7" fill="none" className="stroke-bg" strokeWidth="2.8" strokeLinecap="round" strokeLinejoin="round" />
            <circle cx="22" cy="22" r="3.2" className="fill-[light-dark(#4fd1b5,#0b6b5d)]" />
          </svg>
          <span>
            Flow<span className="text-accent">402</span>
          </span>
        </Link>
        <nav aria-label="Main" className="flex h-full items-stretch gap-0.5 text-sm">
          {places.map(({ href, label, isHere }) => (
            <Link
              key={href}
              href={href}
              aria-current={isHere(path) ? 'page' : undefined}
              className="relative flex items-center px-2 text-ink-2 hover:text-ink aria-[current=page]:text-ink aria-[current=page]:after:absolute aria-[current=page]:after:inset-x-2 aria-[current=page]:after:bottom-[-1px] aria-[current=page]:after:h-px aria-[current=page]:after:bg-ink"
            >
              {label}
            </Link>
          ))}
        </nav>
        <div className="-mr-2 ml-auto">
          <ThemeToggle />
        </div>
      </div>
    </header>
  )
}
