// One offer: what it is, how much of it for how long, what that costs, and paying for it.
'use client'
import type { Offer } from '@flow402/protocol/offer'
import { useRouter } from 'next/navigation'
import { useCallback, useState } from 'react'
import { costOf } from '../calculator/cost.ts'
import { PriceBreakdown } from '../calculator/price-breakdown.tsx'
import { useMarket } from '../layout/market-provider.tsx'
import { PayPanel } from '../payments/pay-panel.tsx'
import { keepRental } from '../rentals/kept-rentals.ts'
import { minutesText } from '../ui/duration.ts'
import { HourlyPrice } from '../ui/money.tsx'
import { NumberSlider } from '../ui/number-slider.tsx'
import { Facts, Panel } from '../ui/panel.tsx'
import { usePolled } from '../ui/use-polled.ts'
import { AdvancedFields, noAdvanced, readAdvanced } from './advanced-fields.tsx'
import { Availability } from './availability.tsx'
import { isolationWords, networkWords, unavailableReason, unitName, unitParts } from './offer-words.ts'

const presets = [10, 30, 60, 240, 1440].map((value) => ({ label: minutesText(value), value }))

/** `initial` is what the server read; availability is renewed every five seconds. */
export function OfferPage({ initial }: { initial: Offer }) {
  const { client, network } = useMarket()
  const router = useRouter()
  const id = initial.id
  const load = useCallback((signal: AbortSignal) => client.getOffer({ params: { id }, signal }), [client, id])
  const offer = usePolled(load, 5000, initial).data ?? initial
  const [wantedUnits, setUnits] = useState(1)
  const [wantedMinutes, setMinutes] = useState(Math.min(initial.maxMinutes, Math.max(initial.minMinutes, 30)))
  const [advanced, setAdvanced] = useState(noAdvanced)

  const mostUnits = Math.max(1, offer.unitsAvailable)
  const units = Math.min(wantedUnits, mostUnits)
  const minutes = Math.min(offer.maxMinutes, Math.max(offer.minMinutes, wantedMinutes))
  const plan = { units, minutes, priceAtomsPerHour: BigInt(offer.priceAtomsPerHour), feeBps: network.feeBps }
  const { request, errors } = readAdvanced(advanced)
  const blocked = unavailableReason(offer) ?? (Object.keys(errors).length > 0 ? 'Correct the advanced choices first' : null)
  const onPaid = (answer: { rentalId: string; accessToken?: string }) => {
    if (answer.accessToken) {
      keepRental({
        id: answer.rentalId,
        accessToken: answer.accessToken,
        label: `${offer.nodeName}, ${unitParts(offer.kind, offer.perUnit, units)[0]}`,
      })
    }
    router.push(`/rentals/${answer.rentalId}`)
  }

  return (
    <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-5 lg:grid-cols-[minmax(0,1fr)_22.5rem] lg:grid-rows-[auto_1fr]">
      <div className="min-w-0 space-y-5">
        <header className="flex flex-wrap items-end justify-between gap-x-6 gap-y-3">
          <div className="min-w-0">
            <h1 className="truncate font-semibold text-xl">{offer.nodeName}</h1>
            <p className="text-ink-2 text-sm">
              {offer.region} · {isolationWords[offer.isolation].name} · {networkWords[offer.network].name}
            </p>
          </div>
          <div className="flex items-start gap-6 text-sm" aria-live="polite">
            <Availability offer={offer} />
            <HourlyPrice atomsPerHour={plan.priceAtomsPerHour} per={unitName(offer)} isStacked />
          </div>
        </header>

        <Panel title="Your machine">
          <div className="space-y-5">
            <NumberSlider
              label={offer.kind === 'gpu' ? 'GPUs' : 'Units'}
              testId="units-input"
              value={units}
              min={1}
              max={mostUnits}
              onChange={setUnits}
              hint={unitParts(offer.kind, offer.perUnit, units).join(' · ')}
            />
            <NumberSlider
              label="Time"
              testId="minutes-input"
              unit="min"
              value={minutes}
              min={offer.minMinutes}
              max={offer.maxMinutes}
              onChange={setMinutes}
              hint={`${minutesText(minutes)}; you can stop early or extend`}
              presets={presets}
            />
            <AdvancedFields text={advanced} onChange={setAdvanced} />
            <p className="text-ink-3 text-xs">
              A provider can in principle read what runs on its own machine. Do not put secrets here that you would not give to a stranger.
            </p>
          </div>
        </Panel>
      </div>

      <div className="space-y-5 lg:sticky lg:top-16 lg:row-span-2">
        <Panel title="Price">
          <PriceBreakdown plan={plan} />
        </Panel>
        <Panel title="Pay">
          <PayPanel
            purchase={{ name: 'requestRental', request: { offerId: offer.id, units, minutes, ...request } }}
            amountAtoms={costOf(plan).prepaid}
            blockedReason={blocked}
            verb="Pay"
            onPaid={onPaid}
          />
        </Panel>
      </div>

      <Panel title="About this offer">
        <Facts
          rows={[
            { name: 'One unit', value: unitParts(offer.kind, offer.perUnit).join(' · ') },
            { name: 'Isolation', value: isolationWords[offer.isolation].name, note: isolationWords[offer.isolation].meaning },
            { name: 'Network', value: networkWords[offer.network].name, note: networkWords[offer.network].meaning },
            { name: 'Time', value: `${minutesText(offer.minMinutes)} to ${minutesText(offer.maxMinutes)}` },
          ]}
        />
      </Panel>
    </div>
  )
}
