// The button: solid for the one main action of a view, outline for the others, quiet inside lists.
import type { ComponentProps } from 'react'

const looks = {
  solid: 'bg-solid text-on-solid hover:opacity-90 border border-transparent',
  outline: 'border border-line-strong bg-panel text-ink hover:bg-raised',
  danger: 'border border-transparent bg-bad text-[light-dark(#fff,#2b0b09)] hover:opacity-90',
  quiet: 'border border-transparent text-ink-2 hover:bg-raised hover:text-ink',
}

/** Shared with links that look like buttons. */
export function buttonClass(look: keyof typeof looks = 'outline', size: 'sm' | 'md' | 'lg' = 'md'): string {
  const sizes = { sm: 'h-7 px-2.5 text-xs', md: 'h-8 px-3 text-sm', lg: 'h-10 px-4 text-base' }
  return `inline-flex items-center justify-center gap-2 rounded-md font-medium whitespace-nowrap disabled:cursor-not-allowed disabled:opacity-45 ${looks[look]} ${sizes[size]}`
}

/** A button that never submits by accident. */
export function Button({
  look,
  size,
  className = '',
  ...rest
}: ComponentProps<'button'> & { look?: keyof typeof looks; size?: 'sm' | 'md' | 'lg' }) {
  return <button type="button" {...rest} className={`${buttonClass(look, size)} ${className}`} />
}
