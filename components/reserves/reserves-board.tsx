// The three figures, what they are made of, how they are computed, and the form that proves one's own part of them.
'use client'
import type { Reserves } from '@flow402/protocol/reserve'
import { type ReactNode, useCallback, useEffect, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { Copyable } from '../ui/copyable.tsx'
import { Usd } from '../ui/money.tsx'
import { Empty, Notice } from '../ui/notice.tsx'
import { Facts, Panel } from '../ui/panel.tsx'
import { useNow } from '../ui/use-now.ts'
import { usePolled } from '../ui/use-polled.ts'
import { ProveForm } from './prove-form.tsx'
import { ageText, breakdownWords, reservesState } from './reserve-words.ts'

/** Shows the newest answer of the market and renews it while the page is visible. */
export function ReservesBoard({ initial }: { initial: Reserves }) {
  const { client } = useMarket()
  const load = useCallback((signal: AbortSignal) => client.reserves({ signal }), [client])
  const { data = initial, error } = usePolled<Reserves>(load, 10_000, initial)
  const nowMs = useNow(1000)
  // Ages are told by the browser's clock, which the server does not have.
  const [isReady, setReady] = useState(false)
  useEffect(() => setReady(true), [])
  const state = isReady ? reservesState(data, nowMs) : data.frozen ? 'frozen' : 'right'
  const snapshot = data.snapshot
  return (
    <div className="space-y-4">
      {error !== null && <Notice tone="warn">The market does not answer right now; this is what it said last.</Notice>}
      {state === 'frozen' && (
        <Notice tone="bad" title="Chain and books differ" testId="reserves-frozen">
          The newest comparison, at slot {data.checkedSlot}, found a difference of <Difference atoms={data.differenceAtoms ?? '0'} />.
          Payouts and fees are stopped until a later one finds none; refunds to renters go on.{' '}
          {snapshot && 'The figures below are the last ones that were right.'}
        </Notice>
      )}
      {state === 'late' && (
        <Notice tone="warn" title="The chain has not answered" testId="reserves-late">
          The last comparison was {ageText(data.checkedAt, nowMs)} ago. The figures below are from then.
        </Notice>
      )}
      {snapshot ? (
        <Figures reserves={data} snapshot={snapshot} age={isReady ? `${ageText(snapshot.at, nowMs)} ago` : ''} />
      ) : (
        <Panel>
          <Empty title="Not compared with the chain yet">
            The first comparison comes within a minute of the market’s start. Until then nothing is claimed here.
          </Empty>
        </Panel>
      )}
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 lg:grid-cols-[minmax(0,1fr)_minmax(0,1fr)]">
        {snapshot ? <Breakdown snapshot={snapshot} /> : <HowPanel />}
        <div className="space-y-4">
          <ProveForm />
          {snapshot && <HowPanel />}
        </div>
      </div>
    </div>
  )
}

function HowPanel() {
  return (
    <Panel title="How it is computed">
      <p className="text-ink-2 text-sm">
        The escrow’s balance is read at a finalized slot and compared with the books, counting only what is final at that very slot.
        Everything owed becomes a leaf of a Merkle sum tree, in which each hash commits to the two below it and to their sums, so that
        nothing can be left out or counted as less without changing the root. Your browser recomputes the way from your own rental to the
        published root; the more creditors do so, the less a market could hide.
      </p>
    </Panel>
  )
}

type Snapshot = NonNullable<Reserves['snapshot']>

function Figures({ reserves, snapshot, age }: { reserves: Reserves; snapshot: Snapshot; age: string }) {
  const { network } = useMarket()
  const explorer = network.explorerUrl?.replace(/\/+$/, '')
  const difference = reserves.differenceAtoms ?? '0'
  return (
    <section className="overflow-hidden rounded-lg border border-line bg-panel" aria-label="Figures">
      <div className="grid divide-line max-sm:divide-y sm:grid-cols-3 sm:divide-x">
        <Figure name="On chain" note="in the escrow’s USDC account">
          <Usd atoms={snapshot.onChainAtoms} minDecimals={6} testId="reserves-on-chain" />
        </Figure>
        <Figure
          name="Owed"
          note={
            <>
              to {snapshot.leaves.toLocaleString('en-US')} {snapshot.leaves === 1 ? 'subject' : 'subjects'}
            </>
          }
        >
          <Usd atoms={snapshot.liabilitiesAtoms} minDecimals={6} testId="reserves-owed" />
        </Figure>
        <Figure name="Difference" note="of chain and books, newest comparison" tone={difference === '0' ? 'text-ok' : 'text-bad'}>
          <span data-testid="reserves-difference">
            <Difference atoms={difference} />
          </span>
        </Figure>
      </div>
      <div className="flex flex-wrap items-center gap-x-5 gap-y-1 border-line border-t px-4 py-2 text-ink-2 text-xs">
        <span className="num">Slot {Number(snapshot.slot).toLocaleString('en-US')}</span>
        <time dateTime={snapshot.at} className="num">
          {snapshot.at.slice(0, 19).replace('T', ' ')} UTC{age && `, ${age}`}
        </time>
        <span className="flex min-w-0 items-center gap-1.5 sm:ml-auto">
          Escrow
          <Copyable
            text={reserves.escrow}
            label="escrow address"
            head={8}
            tail={6}
            {...(explorer && { href: `${explorer}/address/${reserves.escrow}` })}
          />
        </span>
      </div>
    </section>
  )
}

function Figure({ name, note, tone = '', children }: { name: string; note: ReactNode; tone?: string; children: ReactNode }) {
  return (
    <div className="min-w-0 px-4 py-4">
      <p className="text-ink-2 text-xs">{name}</p>
      <p className={`num mt-0.5 font-semibold text-[1.625rem] leading-9 tracking-tight ${tone}`}>{children}</p>
      <p className="num text-2xs text-ink-3">{note}</p>
    </div>
  )
}

function Difference({ atoms }: { atoms: string }) {
  const isNegative = atoms.startsWith('-')
  return (
    <span className="whitespace-nowrap">
      {isNegative ? '−' : ''}
      <Usd atoms={isNegative ? atoms.slice(1) : atoms} minDecimals={6} />
    </span>
  )
}

function Breakdown({ snapshot }: { snapshot: Snapshot }) {
  const usd = (atoms: string) => <Difference atoms={atoms} />
  const rows = breakdownWords.map(({ account, name }) => ({ name, value: usd(snapshot.breakdown[account] ?? '0') }))
  return (
    <Panel title="What is owed" testId="reserves-breakdown">
      <Facts
        rows={[
          ...rows,
          { name: 'Owed in all', value: usd(snapshot.liabilitiesAtoms), strong: true },
          { name: 'The market’s own money', value: usd(snapshot.capitalAtoms) },
          { name: 'Received, not booked yet', value: usd(snapshot.waitingAtoms) },
          { name: 'On chain', value: usd(snapshot.onChainAtoms), strong: true },
          { name: 'Root of the sum tree', value: <Copyable text={snapshot.root} label="root" head={10} tail={6} /> },
        ]}
      />
    </Panel>
  )
}
