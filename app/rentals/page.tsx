// The rentals that this browser knows.
import { RentalsList } from '../../components/rentals/rentals-list.tsx'

export const metadata = { title: 'Rentals' }

export default function Page() {
  return (
    <>
      <div className="mb-5">
        <h1 className="font-semibold text-xl">Rentals</h1>
        <p className="mt-1 text-ink-2 text-sm">Kept in this browser only. Whoever holds an access token holds the machine.</p>
      </div>
      <RentalsList />
    </>
  )
}
