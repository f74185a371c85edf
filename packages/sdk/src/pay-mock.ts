// For markets with the mock rail only (development and tests): answers their 402 with a payment that moves no money, faults included.
import { type MockFault, type MockPayload, MockRequirements, mockPaymentBytes } from '@flow402/protocol/mock-payment'
import { PaymentRefused } from './pay-limits.ts'

const network = 'mock:local'

/** Who pays, at most how much, and what shall go wrong; the same nonce and terms are the same payment. */
export type MockPayOptions = { payer: string; maxAmountAtoms: bigint; nonce?: string; fault?: MockFault; times?: number }

/**
 * The value of PAYMENT-SIGNATURE for a 402's PAYMENT-REQUIRED header value.
 * Throws PaymentRefused when the market asks for anything but a mock payment within the limit.
 */
export async function signMockPayment(paymentRequired: string, options: MockPayOptions): Promise<string> {
  const asked = acceptedOf(paymentRequired)
  if (BigInt(asked.amount) > options.maxAmountAtoms)
    throw new PaymentRefused('amount', `Asked for ${asked.amount} atoms, more than the agreed ${options.maxAmountAtoms}`)
  const { payer, fault, times } = options
  const nonce = options.nonce ?? crypto.randomUUID()
  const { amount, asset, payTo, extra } = asked
  const { memo, lastValidHeight } = extra
  const bytes = mockPaymentBytes({ network, amount, asset, payTo, memo, lastValidHeight, payer, nonce })
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  const digest = Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
  const payload: MockPayload = { payer, nonce, digest, ...(fault && { fault }), ...(times && { times }) }
  return btoa(JSON.stringify({ x402Version: 2, accepted: asked, payload }))
}

function acceptedOf(paymentRequired: string): MockRequirements {
  const { accepts } = JSON.parse(atob(paymentRequired)) as { accepts: unknown[] }
  for (const each of accepts) {
    const asked = MockRequirements.safeParse(each)
    if (asked.success && asked.data.network === network) return asked.data
  }
  throw new PaymentRefused('scheme', 'This market does not run the mock rail')
}
