// One payment from quote to answer: quote (402), sign in the wallet, settle; with its phase for the screen.
'use client'
import { formatUsdc } from '@flow402/protocol/money'
import type { RentalRequest } from '@flow402/protocol/rental'
import type { MarketClient } from '@flow402/sdk/client'
import type { PaidQuote, PayOptions, SignedPayment } from '@flow402/sdk/pay'
import { useCallback, useState } from 'react'
import { dropPayment, keepPayment } from './kept-payments.ts'
import { type PayErrorWords, PriceChanged, payErrorWords } from './pay-error-words.ts'

/** What is bought: a rental, or more minutes of one. */
export type Purchase =
  | { name: 'requestRental'; request: RentalRequest }
  | { name: 'extendRental'; rentalId: string; minutes: number; accessToken: string }

/** Where a payment is. `signing` shows until when the quote holds; `settling` turns `isPending` when the chain takes its time. */
export type PayPhase =
  | { step: 'idle' }
  | { step: 'quoting' }
  | { step: 'signing'; expiresAt: string }
  | { step: 'settling'; isPending: boolean }
  | { step: 'failed'; words: PayErrorWords; signed: SignedPayment | null }

type Answered = { rentalId: string; accessToken?: string }

/** `pay` buys at exactly `amountAtoms`; `resume` sends an unsure payment again. `onPaid` gets the id (and token of a new rental). */
export function usePayment(client: MarketClient, onPaid: (answer: Answered, purchase: Purchase) => void) {
  const [phase, setPhase] = useState<PayPhase>({ step: 'idle' })

  const finish = useCallback(
    async (signed: SignedPayment, purchase: Purchase) => {
      setPhase({ step: 'settling', isPending: false })
      try {
        const { finishPayment } = await import('@flow402/sdk/pay')
        const token = purchase.name === 'extendRental' ? { accessToken: purchase.accessToken } : {}
        const onPending = () => setPhase({ step: 'settling', isPending: true })
        const answer = await finishPayment(client, signed, { ...token, onPending, timeoutMs: 60_000 })
        onPaid(
          'accessToken' in answer ? { rentalId: answer.rental.id, accessToken: answer.accessToken } : { rentalId: answer.id },
          purchase,
        )
        dropPayment(signed.paymentId)
        setPhase({ step: 'idle' })
      } catch (error) {
        const words = payErrorWords(error, true)
        if (!words.isUnsure) dropPayment(signed.paymentId)
        setPhase({ step: 'failed', words, signed: words.isUnsure ? signed : null })
      }
    },
    [client, onPaid],
  )

  const pay = useCallback(
    async (purchase: Purchase, amountAtoms: bigint, payer: Omit<PayOptions, 'maxAmountAtoms'>) => {
      setPhase({ step: 'quoting' })
      let signed: SignedPayment
      try {
        const sdk = await import('@flow402/sdk/pay')
        const quote: PaidQuote =
          purchase.name === 'requestRental'
            ? await sdk.quoteRental(client, purchase.request)
            : await sdk.quoteExtension(client, purchase.rentalId, { minutes: purchase.minutes }, { accessToken: purchase.accessToken })
        if (BigInt(quote.price.prepaidAtoms) !== amountAtoms) {
          throw new PriceChanged(`The market now asks for $${formatUsdc(BigInt(quote.price.prepaidAtoms))}; reload to see the new price.`)
        }
        setPhase({ step: 'signing', expiresAt: quote.expiresAt })
        signed = await sdk.signPayment(quote, { ...payer, maxAmountAtoms: amountAtoms })
      } catch (error) {
        setPhase({ step: 'failed', words: payErrorWords(error, false), signed: null })
        return
      }
      if (purchase.name === 'requestRental') keepPayment(signed as SignedPayment<'requestRental'>)
      await finish(signed, purchase)
    },
    [client, finish],
  )

  return { phase, pay, resume: finish, reset: useCallback(() => setPhase({ step: 'idle' }), []) }
}
