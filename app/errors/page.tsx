// Every error code of the API, with what to do; `type` of a problem points here.
import { type ProblemCode, problems } from '@flow402/protocol/problem'
import type { ReactNode } from 'react'
import { advice } from './advice.ts'

export const metadata = { title: 'Error codes' }

export default function Page() {
  return (
    <>
      <div className="mb-5">
        <h1 className="font-semibold text-xl">Error codes</h1>
        <p className="mt-1 max-w-2xl text-ink-2 text-sm">
          Errors are <code className="font-mono text-xs">application/problem+json</code> (RFC 9457). The{' '}
          <code className="font-mono text-xs">code</code> is the contract; titles and details may change.
        </p>
      </div>
      <dl className="divide-y divide-line overflow-hidden rounded-lg border border-line bg-panel">
        {(Object.keys(problems) as ProblemCode[]).map((code) => (
          <div
            key={code}
            id={code}
            className="grid scroll-mt-16 gap-x-6 gap-y-1 px-4 py-3 target:bg-warn-soft md:grid-cols-[15rem_minmax(0,1fr)]"
          >
            <dt className="flex items-baseline gap-2">
              <span className="num w-8 text-ink-3 text-xs">{problems[code].status}</span>
              <a href={`#${code}`} className="break-all font-mono text-xs hover:underline">
                {code}
              </a>
            </dt>
            <dd className="text-sm">
              <p className="font-medium">{problems[code].title}</p>
              <p className="text-ink-2">{withCode(advice[code])}</p>
            </dd>
          </div>
        ))}
      </dl>
    </>
  )
}

/** Text between backticks is code, as in docs/errors.md. */
function withCode(text: string): ReactNode[] {
  return text.split('`').map((part, index) =>
    index % 2 === 1 ? (
      <code key={part} className="font-mono text-xs">
        {part}
      </code>
    ) : (
      part
    ),
  )
}
