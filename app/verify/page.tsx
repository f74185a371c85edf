// Verify: anybody checks a receipt that they were given, without the market's word for anything.
import { VerifyBoard } from '../../components/receipts/verify-board.tsx'

export const metadata = { title: 'Verify a receipt' }

export default function Page() {
  return (
    <>
      <div className="mb-5">
        <h1 className="font-semibold text-xl">Verify a receipt</h1>
        <p className="mt-1 max-w-2xl text-ink-2 text-sm">
          The bill is computed anew from the machine’s signed records: signature, every second, charge, fee and refund, to the atom. Only
          which key the machine has is taken from the receipt.
        </p>
      </div>
      <VerifyBoard />
    </>
  )
}
