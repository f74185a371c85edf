// The reserves: what the escrow holds on chain beside what it owes, and whether one's own rental is in the sum.
import { ReservesBoard } from '../../components/reserves/reserves-board.tsx'
import { house } from '../../lib/house.ts'

export const metadata = { title: 'Reserves' }

export default async function Page() {
  const initial = await house().reserves()
  return (
    <>
      <div className="mb-5">
        <h1 className="font-semibold text-xl">Reserves</h1>
        <p className="mt-1 max-w-2xl text-ink-2 text-sm">
          What the market’s escrow holds on chain, beside everything that it owes to renters and providers. Whoever has a rental here can
          check that it is in the sum.
        </p>
      </div>
      <ReservesBoard initial={initial} />
    </>
  )
}
