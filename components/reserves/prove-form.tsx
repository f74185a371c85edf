// Checking one's own rental: the proof is fetched, then every step up to the published root is recomputed here, in the browser.
'use client'
import { RentalId } from '@flow402/protocol/id'
import type { ReserveProof, Reserves } from '@flow402/protocol/reserve'
import type { MarketClient } from '@flow402/sdk/client'
import { MarketError } from '@flow402/sdk/market-error'
import { type ReserveVerdict, verifyReserveProof } from '@flow402/sdk/reserve-proof'
import { type FormEvent, useState } from 'react'
import { useMarket } from '../layout/market-provider.tsx'
import { useKeptRentals } from '../rentals/kept-rentals.ts'
import { Button } from '../ui/button.tsx'
import { shortText } from '../ui/copyable.tsx'
import { Usd } from '../ui/money.tsx'
import { Notice } from '../ui/notice.tsx'
import { Panel } from '../ui/panel.tsx'

type Checked = { proof: ReserveProof; published: NonNullable<Reserves['snapshot']>; verdict: ReserveVerdict }
type Phase = { step: 'idle' } | { step: 'asking' } | { step: 'done'; checked: Checked } | { step: 'failed'; text: string; isCalm: boolean }

/** Filled with the newest rental of this browser; its token goes to the market and nowhere else. */
export function ProveForm() {
  const { client } = useMarket()
  const kept = useKeptRentals()
  const [typed, setTyped] = useState<{ id: string; token: string } | null>(null)
  const [phase, setPhase] = useState<Phase>({ step: 'idle' })
  const id = typed?.id ?? kept[0]?.id ?? ''
  const token = typed?.token ?? kept[0]?.accessToken ?? ''
  const isComplete = RentalId.safeParse(id.trim()).success && token.trim() !== ''
  const change = (next: { id: string; token: string }) => {
    setTyped(next)
    setPhase({ step: 'idle' })
  }
  const check = async (event: FormEvent) => {
    event.preventDefault()
    setPhase({ step: 'asking' })
    setPhase(await checkProof(client, id.trim(), token.trim()))
  }
  return (
    <Panel title="Is my rental in it?" testId="prove-form">
      <form onSubmit={check} className="space-y-3">
        {kept.length > 1 && (
          <label className="block text-sm">
            <span className="mb-1 block text-ink-2 text-xs">Rental of this browser</span>
            <select
              className="control w-full"
              value={kept.some((entry) => entry.id === id) ? id : ''}
              onChange={(event) => {
                const chosen = kept.find((entry) => entry.id === event.target.value)
                change({ id: chosen?.id ?? '', token: chosen?.accessToken ?? '' })
              }}
            >
              {kept.map((entry) => (
                <option key={entry.id} value={entry.id}>
                  {entry.label || entry.id}
                </option>
              ))}
              <option value="">Another one</option>
            </select>
          </label>
        )}
        <label className="block text-sm">
          <span className="mb-1 block text-ink-2 text-xs">Rental id</span>
          <input
            className="control w-full font-mono"
            value={id}
            placeholder="rnt_…"
            spellCheck={false}
            autoComplete="off"
            onChange={(event) => change({ id: event.target.value, token })}
            data-testid="prove-id"
          />
        </label>
        <label className="block text-sm">
          <span className="mb-1 block text-ink-2 text-xs">Access token</span>
          <input
            className="control w-full font-mono"
            type="password"
            value={token}
            placeholder="f402_…"
            autoComplete="off"
            onChange={(event) => change({ id, token: event.target.value })}
            data-testid="prove-token"
          />
        </label>
        <div className="flex items-center gap-3">
          <Button type="submit" look="solid" disabled={!isComplete || phase.step === 'asking'} data-testid="prove-button">
            {phase.step === 'asking' ? 'Checking…' : 'Check'}
          </Button>
          <span className="text-ink-3 text-xs">
            {isComplete ? 'Recomputed here, not by the market.' : 'Needs the id and its access token.'}
          </span>
        </div>
      </form>
      <div aria-live="polite" className={phase.step === 'done' || phase.step === 'failed' ? 'mt-4' : ''}>
        {phase.step === 'failed' && <Notice tone={phase.isCalm ? 'info' : 'warn'}>{phase.text}</Notice>}
        {phase.step === 'done' && <Steps {...phase.checked} />}
      </div>
    </Panel>
  )
}

/** The proof and the published root must be of one snapshot; when a newer one came in between, the proof is asked for again. */
async function checkProof(client: MarketClient, id: string, accessToken: string): Promise<Phase> {
  if (!globalThis.crypto?.subtle)
    return {
      step: 'failed',
      isCalm: false,
      text: 'This page did not come over https, so the browser gives it no cryptography to check with.',
    }
  try {
    for (let attempt = 1; attempt <= 3; attempt++) {
      const proof = await client.reserveProof({ params: { id }, accessToken })
      const { snapshot } = await client.reserves()
      if (snapshot?.id !== proof.snapshotId) continue
      return { step: 'done', checked: { proof, published: snapshot, verdict: await verifyReserveProof(proof, snapshot) } }
    }
    return { step: 'failed', isCalm: false, text: 'The snapshots are being renewed. Try again.' }
  } catch (error) {
    if (!(error instanceof MarketError)) throw error
    if (error.code === 'not_in_reserves')
      return {
        step: 'failed',
        isCalm: true,
        text: 'Nothing is owed for this rental in the newest snapshot: its payment is not final yet, or all of its money has been paid out.',
      }
    if (error.status === 401 || error.status === 404)
      return { step: 'failed', isCalm: false, text: 'There is no such rental, or the access token is not its own.' }
    return { step: 'failed', isCalm: false, text: 'The market does not answer right now. Try again.' }
  }
}

function Steps({ proof, published, verdict }: Checked) {
  return (
    <div className="space-y-3" data-testid="prove-result" data-valid={verdict.isValid}>
      {verdict.isValid ? (
        <Notice tone="ok" title="Your rental is in the sum">
          <Usd atoms={proof.leaf.amountAtoms} minDecimals={6} /> of the <Usd atoms={published.liabilitiesAtoms} minDecimals={6} /> owed are
          held for it: yours, the provider’s and the fee’s part together.
        </Notice>
      ) : (
        <Notice tone="bad" title="The proof does not hold">
          {verdict.reason[0]?.toUpperCase()}
          {verdict.reason.slice(1)}. Keep this answer and report it.
        </Notice>
      )}
      <ol className="divide-y divide-line border-line border-y text-sm">
        {verdict.steps.map((step, index) => (
          <li key={step.hash} className="grid grid-cols-[4.5rem_minmax(0,1fr)_auto] items-baseline gap-x-3 py-1.5">
            <span className="text-ink-2 text-xs">{index === 0 ? 'Leaf' : index === proof.path.length ? 'Root' : `Step ${index}`}</span>
            <span className="truncate font-mono text-xs" title={step.hash}>
              {shortText(step.hash, 10, 6)}
            </span>
            <Usd atoms={step.sumAtoms} minDecimals={6} />
          </li>
        ))}
      </ol>
      <p className="text-ink-3 text-xs">
        Published root{' '}
        <span className="font-mono" title={published.root}>
          {shortText(published.root, 10, 6)}
        </span>
        , snapshot {published.id}, slot {Number(published.slot).toLocaleString('en-US')}.
      </p>
    </div>
  )
}
