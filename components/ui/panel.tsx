// The panel: a bordered surface with an optional heading line.
import type { ReactNode } from 'react'

/** A section with its heading; `aside` sits at the end of the heading line. */
export function Panel({
  title,
  aside,
  children,
  isFlush = false,
  testId,
}: {
  title?: string
  aside?: ReactNode
  children: ReactNode
  isFlush?: boolean
  testId?: string
}) {
  return (
    <section className="min-w-0 rounded-lg border border-line bg-panel" data-testid={testId} aria-label={title}>
      {title && (
        <div className="flex min-h-10 items-center justify-between gap-3 border-line border-b px-4">
          <h2 className="font-semibold text-sm">{title}</h2>
          {aside && <div className="text-ink-2 text-xs">{aside}</div>}
        </div>
      )}
      <div className={isFlush ? '' : 'p-4'}>{children}</div>
    </section>
  )
}

/** Name and value lines; values align right with tabular digits. */
export function Facts({ rows }: { rows: readonly { name: string; value: ReactNode; strong?: boolean; note?: string }[] }) {
  return (
    <dl className="text-sm">
      {rows.map(({ name, value, strong, note }) => (
        <div key={name} className="grid min-h-7 grid-cols-[auto_minmax(0,1fr)] items-baseline gap-x-4 py-0.5">
          <dt className={strong ? 'font-medium' : 'text-ink-2'}>{name}</dt>
          <dd className={`num min-w-0 text-right ${strong ? 'font-semibold' : ''}`}>{value}</dd>
          {note && <dd className="col-span-2 text-ink-3 text-xs">{note}</dd>}
        </div>
      ))}
    </dl>
  )
}
