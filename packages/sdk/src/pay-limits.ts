// Pay limits: what a payer agreed to, checked against a 402 before anything is signed.
import { formatUsdc } from '@flow402/protocol/money'

/** What the payer allows one payment to be; `expectedMint` absent means USDC of that network. Amounts are atoms. */
export type PaymentLimits = { network: string; maxAmountAtoms: bigint; expectedPayTo?: string; expectedMint?: string }

/** The members of one x402 `accepts` entry that decide where money goes. */
export type Asked = { scheme: string; network: string; asset: string; amount: string; payTo: string }

/** Thrown instead of signing: the 402 asks for something that the payer did not agree to. Nothing was paid. */
export class PaymentRefused extends Error {
  readonly reason: 'scheme' | 'network' | 'asset' | 'pay_to' | 'amount'

  constructor(reason: PaymentRefused['reason'], message: string) {
    super(message)
    this.name = 'PaymentRefused'
    this.reason = reason
  }
}

/** Why this entry breaks the limits, or undefined when it may be signed. `isUsdc` decides when no mint was named. */
export function refusalOf(
  asked: Asked,
  limits: PaymentLimits,
  isUsdc: (asset: string, network: string) => boolean,
): PaymentRefused | undefined {
  if (asked.scheme !== 'exact') return new PaymentRefused('scheme', `Only the exact scheme is paid, not ${asked.scheme}`)
  if (asked.network !== limits.network) return new PaymentRefused('network', `Asked to pay on ${asked.network}, not on ${limits.network}`)
  const isExpectedAsset = limits.expectedMint === undefined ? isUsdc(asked.asset, asked.network) : asked.asset === limits.expectedMint
  if (!isExpectedAsset) return new PaymentRefused('asset', `Asked to pay in ${asked.asset}, which is not the agreed token`)
  if (limits.expectedPayTo !== undefined && asked.payTo !== limits.expectedPayTo) {
    return new PaymentRefused('pay_to', `Asked to pay to ${asked.payTo}, not to ${limits.expectedPayTo}`)
  }
  if (!/^\d{1,18}$/.test(asked.amount) || BigInt(asked.amount) > limits.maxAmountAtoms) {
    return new PaymentRefused('amount', `Asked for ${asked.amount} atoms, more than the agreed $${formatUsdc(limits.maxAmountAtoms)}`)
  }
  return undefined
}

/** The first entry within the limits; throws the refusal of the first one when there is none. */
export function acceptableOf<T extends Asked>(
  accepts: readonly T[],
  limits: PaymentLimits,
  isUsdc: (asset: string, network: string) => boolean,
): T {
  const acceptable = accepts.find((asked) => refusalOf(asked, limits, isUsdc) === undefined)
  if (acceptable) return acceptable
  const first = accepts[0]
  throw (first && refusalOf(first, limits, isUsdc)) ?? new PaymentRefused('scheme', 'The 402 offers no way to pay')
}
