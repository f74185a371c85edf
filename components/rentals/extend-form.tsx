// Extending: more minutes for a running rental, bought with another 402.
'use client'
import { prepaidAtoms } from '@flow402/protocol/money'
import { canRental, type Rental } from '@flow402/protocol/rental'
import { useState } from 'react'
import { PayPanel } from '../payments/pay-panel.tsx'
import { NumberSlider } from '../ui/number-slider.tsx'

const mostMinutes = 43_200

/** The choice of minutes and the payment; ManagePanel opens it. */
export function ExtendForm({ rental, accessToken, onExtended }: { rental: Rental; accessToken: string; onExtended: () => void }) {
  const [minutes, setMinutes] = useState(10)
  const amountAtoms = prepaidAtoms(rental.units, BigInt(rental.priceAtomsPerHour), minutes * 60)
  return (
    <div className="mt-4 space-y-4 border-line border-t pt-4">
      <NumberSlider
        label="More time"
        testId="extend-minutes"
        unit="min"
        value={minutes}
        min={1}
        max={mostMinutes}
        onChange={setMinutes}
        hint="Unused minutes are refunded"
        presets={[
          { label: '10 min', value: 10 },
          { label: '1 h', value: 60 },
        ]}
      />
      <PayPanel
        purchase={{ name: 'extendRental', rentalId: rental.id, minutes, accessToken }}
        amountAtoms={amountAtoms}
        blockedReason={canRental(rental.state, 'extend') ? null : 'Only a running rental can be extended'}
        verb="Extend for"
        onPaid={onExtended}
      />
    </div>
  )
}
