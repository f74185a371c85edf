// What went wrong with a payment, in words that say whether money moved and what to do.
import { MarketError } from '@flow402/sdk/market-error'

/** `isUnsure`: the outcome is not known; the same payment can be sent again, and nothing should be signed anew. */
export type PayErrorWords = { title: string; text: string; isUnsure: boolean }

const byCode: Record<string, Omit<PayErrorWords, 'isUnsure'>> = {
  sold_out: {
    title: 'Sold out',
    text: 'Someone was faster and not enough units are left. You were not charged. Choose fewer units or another offer.',
  },
  offer_offline: {
    title: 'The machine just went offline',
    text: 'You were not charged. It may come back within minutes; other offers are live.',
  },
  offer_not_found: { title: 'This offer is gone', text: 'You were not charged. Choose another offer.' },
  quote_expired: {
    title: 'The price quote ran out',
    text: 'It is valid for a short time only. You were not charged; press Pay for a new quote.',
  },
  quote_mismatch: { title: 'The request changed after it was quoted', text: 'You were not charged. Press Pay for a new quote.' },
  payment_invalid: {
    title: 'The payment was not accepted',
    text: 'You were not charged. Most often the wallet holds too little USDC, or it changed the transaction before signing.',
  },
  payment_failed: {
    title: 'The payment failed on chain',
    text: 'Nothing was charged. Check that the wallet holds enough USDC and try again.',
  },
  payment_already_used: { title: 'This payment was used already', text: 'It pays for another rental; look at your rentals.' },
  payment_too_late: {
    title: 'The rental had ended before the payment arrived',
    text: 'It bought nothing. The whole amount goes back to your wallet by itself.',
  },
  duration_out_of_range: { title: 'This many minutes are not offered', text: 'Choose a time within the offer’s limits.' },
  rental_cannot: { title: 'The rental is no longer running', text: 'It cannot be extended. You were not charged.' },
  quotes_paused: { title: 'New rentals are paused for now', text: 'You were not charged. Try again in a few minutes.' },
  chain_unavailable: { title: 'The chain cannot be reached right now', text: 'Wait a moment, then try again.' },
}

/** Explains any error of quoting, signing or settling. `hasSigned`: a signature existed when it failed. */
export function payErrorWords(error: unknown, hasSigned: boolean): PayErrorWords {
  if (error instanceof PriceChanged)
    return { title: 'The price has changed', text: `${error.message} Nothing was signed.`, isUnsure: false }
  if (error instanceof MarketError) {
    const words = byCode[error.code]
    const isUnsure = hasSigned && (error.code === 'payment_pending' || error.code === 'unreachable' || error.status >= 500)
    if (isUnsure) {
      return {
        title: 'The outcome of the payment is not known yet',
        text: 'The chain or the market has not answered. Check again: the same payment is sent once more and can never be charged twice.',
        isUnsure: true,
      }
    }
    return { ...(words ?? { title: 'The market refused', text: error.detail }), isUnsure: false }
  }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof Error && error.name === 'PaymentRefused') {
    return { title: 'This does not match what you agreed to', text: `${message}. Nothing was signed.`, isUnsure: false }
  }
  if (/reject|denied|declin|cancel/i.test(message)) {
    return { title: 'The wallet did not sign', text: 'You declined in the wallet, or it was closed. Nothing was charged.', isUnsure: false }
  }
  return { title: 'The payment could not be prepared', text: `${message}. Nothing was charged.`, isUnsure: false }
}

/** Thrown when a quote differs from the amount that was on the button. */
export class PriceChanged extends Error {}
