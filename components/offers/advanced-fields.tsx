// Advanced choices of a rental: image, command, environment, ssh key; each checked by the protocol's own schema as one types.
'use client'
import { RentalRequest } from '@flow402/protocol/rental'
import { useId } from 'react'

/** What was typed, as text. */
export type AdvancedText = { image: string; command: string; env: string; sshPublicKey: string }
export const noAdvanced: AdvancedText = { image: '', command: '', env: '', sshPublicKey: '' }
type AdvancedRequest = Pick<RentalRequest, 'image' | 'command' | 'env' | 'sshPublicKey'>

/** The request members and, per field, what is wrong with the text. */
export function readAdvanced(text: AdvancedText): { request: AdvancedRequest; errors: Partial<Record<keyof AdvancedText, string>> } {
  const errors: Partial<Record<keyof AdvancedText, string>> = {}
  const request: AdvancedRequest = {}
  const image = text.image.trim()
  const key = text.sshPublicKey.trim()
  const command = splitWords(text.command)
  const env = readEnv(text.env)
  if (image) request.image = image
  if (command === null) errors.command = 'A quote is not closed'
  else if (command.length > 0) request.command = command
  if (typeof env === 'string') errors.env = env
  else if (Object.keys(env).length > 0) request.env = env
  if (key) request.sshPublicKey = key
  const checked = RentalRequest.pick({ image: true, command: true, env: true, sshPublicKey: true }).safeParse(request)
  for (const issue of checked.error?.issues ?? []) errors[issue.path[0] as keyof AdvancedText] ??= issue.message
  return { request, errors }
}

/** Splits a command line into words as a shell would, with quotes and backslashes, without expanding anything; null when a quote stays open. */
export function splitWords(line: string): string[] | null {
  const words: string[] = []
  let word: string | null = null
  let quote: '"' | "'" | null = null
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at] as string
    if (quote) {
      if (char === quote) quote = null
      else if (char === '\\' && quote === '"' && at + 1 < line.length) word = (word ?? '') + line[++at]
      else word = (word ?? '') + char
    } else if (char === '"' || char === "'") {
      quote = char
      word ??= ''
    } else if (char === '\\' && at + 1 < line.length) word = (word ?? '') + line[++at]
    else if (/\s/.test(char)) {
      if (word !== null) words.push(word)
      word = null
    } else word = (word ?? '') + char
  }
  if (quote) return null
  return word === null ? words : [...words, word]
}

function readEnv(text: string): Record<string, string> | string {
  const env: Record<string, string> = {}
  for (const line of text.split('\n')) {
    if (!line.trim()) continue
    const at = line.indexOf('=')
    if (at < 1) return `“${line.trim().slice(0, 30)}” is not NAME=value`
    env[line.slice(0, at).trim()] = line.slice(at + 1)
  }
  return env
}

/** The four fields inside a disclosure that stays out of the way. */
export function AdvancedFields({ text, onChange }: { text: AdvancedText; onChange: (text: AdvancedText) => void }) {
  const { errors } = readAdvanced(text)
  const set = (field: keyof AdvancedText) => (value: string) => onChange({ ...text, [field]: value })
  return (
    <details className="group rounded-md border border-line">
      <summary className="flex h-10 list-none items-center gap-2 px-3 text-sm hover:bg-raised/60">
        <svg
          viewBox="0 0 16 16"
          className="size-3 transition-transform group-open:rotate-90"
          fill="none"
          stroke="currentColor"
          strokeWidth="1.8"
          aria-hidden="true"
        >
          <path d="m6 3 5 5-5 5" />
        </svg>
        Advanced
        <span className="truncate text-ink-3 text-xs">image, command, environment, ssh key</span>
      </summary>
      <div className="space-y-3 border-line border-t p-3">
        <Field
          label="Image"
          hint="Empty: the provider’s default image"
          placeholder="debian:12"
          value={text.image}
          error={errors.image}
          onChange={set('image')}
        />
        <Field
          label="Command"
          hint="Runs as the workload; when it exits, the rental ends and the rest is refunded"
          placeholder="python3 -m http.server 8000"
          value={text.command}
          error={errors.command}
          onChange={set('command')}
        />
        <Field
          label="Environment"
          hint="One NAME=value per line"
          placeholder={'MODE=batch\nSEED=7'}
          rows={3}
          value={text.env}
          error={errors.env}
          onChange={set('env')}
        />
        <Field
          label="SSH public key"
          hint="Written to /workspace/.ssh/authorized_keys"
          placeholder="ssh-ed25519 AAAA…"
          rows={2}
          value={text.sshPublicKey}
          error={errors.sshPublicKey}
          onChange={set('sshPublicKey')}
        />
      </div>
    </details>
  )
}

type FieldProps = {
  label: string
  hint?: string
  placeholder: string
  rows?: number
  value: string
  error: string | undefined
  onChange: (value: string) => void
}

function Field({ label, hint, placeholder, rows, value, error, onChange }: FieldProps) {
  const id = useId()
  const shared = {
    id,
    value,
    placeholder,
    spellCheck: false,
    autoComplete: 'off',
    'aria-invalid': error !== undefined,
    'aria-describedby': `${id}-hint`,
    onChange: (event: { target: { value: string } }) => onChange(event.target.value),
  }
  return (
    <div>
      <label htmlFor={id} className="mb-1 block font-medium text-sm">
        {label}
      </label>
      {rows ? (
        <textarea {...shared} rows={rows} className="control block h-auto w-full resize-y py-1.5 font-mono text-xs" />
      ) : (
        <input {...shared} className="control block w-full font-mono text-xs" />
      )}
      <p id={`${id}-hint`} className={`mt-1 min-h-4 text-xs ${error ? 'text-bad' : 'text-ink-3'}`}>
        {error ?? hint}
      </p>
    </div>
  )
}
