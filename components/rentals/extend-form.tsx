// Extending: more minutes for a running rental, bought with another 402.
'use client'
import { prepaidAtoms } from '@flow402/protocol/money'
import { canRental, type Rental } from '@flow402/protocol/rental'
import { useCallback, useState } from 'react'
import { PayPanel } from '../payments/pay-panel.tsx'
import { Button } from '../ui/button.tsx'
import { NumberSlider } from '../ui/number-slider.tsx'

const mostMinutes = 43_200

/** A button that opens into the choice of minutes and the payment. */
export function ExtendForm({ rental, accessToken, onExtended }: { rental: Rental; accessToken: string; onExtended: () => void }) {
  const [isOpen, setOpen] = useState(false)
  const [minutes, setMinutes] = useState(10)
  const canExtend = canRental(rental.state, 'extend')
  const amountAtoms = prepaidAtoms(rental.units, BigInt(rental.priceAtomsPerHour), minutes * 60)
  const onPaid = useCallback(() => {
    setOpen(false)
    onExtended()
  }, [onExtended])
  return (
    <div>
      <Button
        className="w-full"
        data-testid="extend-button"
        aria-expanded={isOpen && canExtend}
        disabled={!canExtend}
        title={canExtend ? undefined : 'Only a running rental can be extended'}
        onClick={() => setOpen(!isOpen)}
      >
        {isOpen && canExtend ? 'Do not extend' : 'Extend'}
      </Button>
      {isOpen && canExtend && (
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
            blockedReason={null}
            verb="Extend for"
            onPaid={onPaid}
          />
        </div>
      )}
    </div>
  )
}
