// A number with a slider: drag, arrow keys, or type; always a whole number within its bounds.
'use client'
import { type CSSProperties, useId, useState } from 'react'

type Props = {
  label: string
  value: number
  min: number
  max: number
  onChange: (value: number) => void
  /** Unit behind the number, e.g. "min". */
  unit?: string
  hint?: string
  testId?: string
  presets?: readonly { label: string; value: number }[]
}

/** The slider moves in equal ratios when the range is wide, so that both 5 and 5000 are easy to hit. */
export function NumberSlider({ label, value, min, max, onChange, unit, hint, testId, presets }: Props) {
  const id = useId()
  const [draft, setDraft] = useState<string | null>(null)
  const isWide = max / Math.max(min, 1) > 50
  const position = isWide ? logPosition(value, min, max) : value
  const steps = isWide ? { min: 0, max: 1000, step: 1 } : { min, max, step: 1 }
  const filled = steps.max === steps.min ? 100 : ((position - steps.min) / (steps.max - steps.min)) * 100
  const isWrong = draft !== null && !isWithin(draft, min, max)
  const commit = (text: string) => {
    setDraft(text)
    if (isWithin(text, min, max)) onChange(Number(text))
  }
  return (
    <div>
      <div className="flex items-center justify-between gap-3">
        <label htmlFor={id} className="font-medium text-sm">
          {label}
        </label>
        <div className="relative">
          <input
            id={id}
            data-testid={testId}
            type="text"
            inputMode="numeric"
            autoComplete="off"
            className={`control num w-24 text-right ${unit ? 'pr-9' : ''}`}
            value={draft ?? String(value)}
            aria-invalid={isWrong}
            aria-describedby={`${id}-hint`}
            onChange={(event) => commit(event.target.value.trim())}
            onBlur={() => setDraft(null)}
            onKeyDown={(event) => {
              const step = event.key === 'ArrowUp' ? 1 : event.key === 'ArrowDown' ? -1 : 0
              if (step === 0) return
              event.preventDefault()
              setDraft(null)
              onChange(Math.min(max, Math.max(min, value + step)))
            }}
          />
          {unit && <span className="pointer-events-none absolute inset-y-0 right-2.5 flex items-center text-ink-3 text-xs">{unit}</span>}
        </div>
      </div>
      <input
        type="range"
        className="slider mt-1.5 w-full"
        aria-label={`${label}, slider`}
        aria-valuetext={`${value} ${unit ?? ''}`.trim()}
        {...steps}
        disabled={min === max}
        value={position}
        style={{ '--filled': `${filled}%` } as CSSProperties}
        onChange={(event) => {
          setDraft(null)
          onChange(isWide ? fromLogPosition(event.target.valueAsNumber, min, max) : event.target.valueAsNumber)
        }}
      />
      <div className="flex min-h-6 flex-wrap items-center justify-between gap-2 text-xs">
        <span id={`${id}-hint`} className={isWrong ? 'text-bad' : 'num text-ink-3'}>
          {isWrong ? `A whole number from ${min} to ${max}` : (hint ?? `${min} to ${max}`)}
        </span>
        {presets && (
          <span className="flex flex-wrap gap-1">
            {presets
              .filter((preset) => preset.value >= min && preset.value <= max)
              .map((preset) => (
                <button
                  key={preset.value}
                  type="button"
                  aria-pressed={preset.value === value}
                  onClick={() => {
                    setDraft(null)
                    onChange(preset.value)
                  }}
                  className="num h-6 rounded-sm border border-line px-1.5 text-ink-2 hover:border-ink-3 hover:text-ink aria-pressed:border-ink aria-pressed:text-ink"
                >
                  {preset.label}
                </button>
              ))}
          </span>
        )}
      </div>
    </div>
  )
}

function isWithin(text: string, min: number, max: number): boolean {
  return /^\d{1,6}$/.test(text) && Number(text) >= min && Number(text) <= max
}

function logPosition(value: number, min: number, max: number): number {
  return Math.round((Math.log(value / min) / Math.log(max / min)) * 1000)
}

function fromLogPosition(position: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, Math.round(min * (max / min) ** (position / 1000))))
}
