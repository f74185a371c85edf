// Notices and empty states: something to know, something that went wrong, or nothing here yet.
import type { ReactNode } from 'react'

const tones = {
  info: 'border-line bg-raised text-ink-2',
  ok: 'border-ok/25 bg-ok-soft text-ok',
  warn: 'border-warn/25 bg-warn-soft text-warn',
  bad: 'border-bad/25 bg-bad-soft text-bad',
}

/** One message; errors are announced at once, the rest when the reader is idle. */
export function Notice({
  tone = 'info',
  title,
  children,
  testId,
}: {
  tone?: keyof typeof tones
  title?: string
  children?: ReactNode
  testId?: string
}) {
  return (
    <div role={tone === 'bad' ? 'alert' : 'status'} data-testid={testId} className={`rounded-md border px-3 py-2 text-sm ${tones[tone]}`}>
      {title && <p className="font-medium">{title}</p>}
      {children && <div className={title ? 'opacity-90' : ''}>{children}</div>}
    </div>
  )
}

/** What a list shows instead of rows; on a page that has nothing else, the title is its heading. */
export function Empty({
  title,
  isPage = false,
  children,
  action,
}: {
  title: string
  isPage?: boolean
  children?: ReactNode
  action?: ReactNode
}) {
  const Title = isPage ? 'h1' : 'p'
  return (
    <div className="flex min-h-48 flex-col items-center justify-center gap-1 px-6 py-10 text-center">
      <Title className="font-medium">{title}</Title>
      {children && <p className="max-w-md text-ink-2 text-sm">{children}</p>}
      {action && <div className="mt-3">{action}</div>}
    </div>
  )
}
