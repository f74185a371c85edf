// Availability: how many units are free, as a number and a bar.
import type { Offer } from '@flow402/protocol/offer'

/** "12 of 16 free"; offline machines say so instead. */
export function Availability({ offer }: { offer: Pick<Offer, 'online' | 'unitsAvailable' | 'unitsTotal'> }) {
  const share = offer.unitsTotal === 0 ? 0 : (offer.unitsAvailable / offer.unitsTotal) * 100
  const isFree = offer.online && offer.unitsAvailable > 0
  return (
    <span className="flex flex-col">
      <span className="flex items-center gap-1.5 whitespace-nowrap text-sm">
        <span className={`size-1.5 rounded-full ${isFree ? 'bg-ok' : 'bg-ink-3'}`} aria-hidden="true" />
        {offer.online ? (
          <span className="num">
            {offer.unitsAvailable}
            <span className="text-ink-2"> of {offer.unitsTotal} free</span>
          </span>
        ) : (
          <span className="text-ink-2">Offline</span>
        )}
      </span>
      <span className="flex h-[1.125rem] items-center" aria-hidden="true">
        <span className="block h-1 w-24 overflow-hidden rounded-full bg-raised">
          <span
            className={`block h-full rounded-full ${isFree ? 'bg-ok' : 'bg-transparent'}`}
            style={{ width: `${offer.online ? share : 0}%` }}
          />
        </span>
      </span>
    </span>
  )
}
