// Paying: answers a market's HTTP 402 with an x402 `exact` payment, within limits, and waits until the outcome is known.
import { prepaidAtoms } from '@flow402/protocol/money'
import { Payment, PaymentIdentifier, PaymentPending, paymentIdentifierExtension } from '@flow402/protocol/payment'
import { type ExtendRequest, PaymentRequiredBody, type QuotedPrice, type RentalRequest } from '@flow402/protocol/rental'
import type { TransactionSigner } from '@solana/kit'
import { decodePaymentRequiredHeader, encodePaymentSignatureHeader } from '@x402/core/http'
import type { Network, PaymentRequired } from '@x402/core/types'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import type { Answer, CallInput, MarketClient } from './client.ts'
import { errorFromResponse, MarketError } from './market-error.ts'
import { acceptableOf, type PaymentLimits, PaymentRefused, refusalOf } from './pay-limits.ts'

/** Who pays, through which RPC endpoint, and how much at most. */
export type PayOptions = PaymentLimits & { signer: TransactionSigner; rpcUrl: string }

/** `identifier`: the payer's own name for this payment (x402 payment-identifier): another payment under it is refused, whatever it is for. */
export type SignOptions = PayOptions & { identifier?: string }

/** How long to wait for an unknown outcome, and what to say meanwhile. */
export type WaitOptions = { timeoutMs?: number; signal?: AbortSignal; onPending?: (pending: PaymentPending) => void }

type PaidName = 'requestRental' | 'extendRental'

/** One priced request: everything is plain JSON, so it may be shown, stored and signed later (until `expiresAt`). */
export type PaidQuote<N extends PaidName = PaidName> = {
  name: N
  input: Pick<CallInput<N>, Extract<keyof CallInput<N>, 'params' | 'body'>>
  rentalId: string
  paymentId: string
  /** ISO 8601. */
  expiresAt: string
  price: QuotedPrice
  paymentRequired: PaymentRequired
}

/** A signed payment with the request it pays for: keep it until the answer came, it can be sent again without paying twice. */
export type SignedPayment<N extends PaidName = PaidName> = Omit<PaidQuote<N>, 'paymentRequired'> & { header: string }

const defaultWaitMs = 120_000

/** A fetch that pays 402 answers up to `maxAmountAtoms`; throws PaymentRefused before signing anything outside the limits. */
export function payingFetch(options: PayOptions & WaitOptions & { fetch?: typeof fetch }): typeof fetch {
  const send = options.fetch ?? fetch
  const isUsdc = usdcCheck(options)
  const guarded: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    if (request.headers.has('payment-signature')) return sendUntilKnown(send, request, options)
    const response = await send(request)
    const header = response.status === 402 ? response.headers.get('payment-required') : null
    if (header) acceptableOf(decodePaymentRequiredHeader(header).accepts, options, isUsdc)
    return response
  }
  return wrapFetchWithPayment(guarded, paymentClient(options)) as typeof fetch
}

/** Asks for the price of a rental: nothing is reserved, nothing is stored. Throws MarketError, e.g. `sold_out`. */
export function quoteRental(client: MarketClient, request: RentalRequest, signal?: AbortSignal): Promise<PaidQuote<'requestRental'>> {
  return quote(client, 'requestRental', { body: request }, signal ? { signal } : {})
}

/** Asks for the price of more minutes. */
export function quoteExtension(
  client: MarketClient,
  rentalId: string,
  request: ExtendRequest,
  access: { accessToken?: string; signal?: AbortSignal } = {},
): Promise<PaidQuote<'extendRental'>> {
  return quote(client, 'extendRental', { params: { id: rentalId }, body: request }, access)
}

/** Signs the payment of a quote within the limits; the amount must be exactly the quoted price. Sends nothing to the market. */
export async function signPayment<N extends PaidName>(paid: PaidQuote<N>, options: SignOptions): Promise<SignedPayment<N>> {
  const asked = acceptableOf(paid.paymentRequired.accepts, options, usdcCheck(options))
  const { price } = paid
  const owed = prepaidAtoms(price.units, BigInt(price.priceAtomsPerHour), price.minutes * 60)
  if (asked.amount !== price.prepaidAtoms || owed !== BigInt(asked.amount)) {
    throw new PaymentRefused('amount', `The 402 asks for ${asked.amount} atoms, but its price comes to ${owed}`)
  }
  const payload = await paymentClient(options).createPaymentPayload(named(paid.paymentRequired, options.identifier))
  const { paymentRequired, ...rest } = paid
  return { ...rest, header: encodePaymentSignatureHeader(payload) }
}

/** What the client echoes of a 402, with its own name for the payment. Throws when the name is not one, or the market takes none. */
function named(required: PaymentRequired, identifier: string | undefined): PaymentRequired {
  if (identifier === undefined) return required
  const declared = required.extensions?.[paymentIdentifierExtension] as { info?: object } | undefined
  if (!declared) throw new TypeError(`This market does not know the extension ${paymentIdentifierExtension}`)
  const info = { ...declared.info, id: PaymentIdentifier.parse(identifier) }
  return { ...required, extensions: { ...required.extensions, [paymentIdentifierExtension]: { ...declared, info } } }
}

/** Sends a signed payment until the market says what became of it; `payment_pending` when even `timeoutMs` was not enough: call again. */
export async function finishPayment<N extends PaidName>(
  client: MarketClient,
  signed: SignedPayment<N>,
  options: WaitOptions & { accessToken?: string } = {},
): Promise<Exclude<Answer<N>, PaymentPending>> {
  const input = {
    ...signed.input,
    headers: { 'PAYMENT-SIGNATURE': signed.header },
    ...(options.accessToken && { accessToken: options.accessToken }),
    ...(options.signal && { signal: options.signal }),
  } as unknown as CallInput<N>
  const response = await untilKnown(
    () => client.send(signed.name, input),
    (id) => client.getPayment({ params: { id } }),
    options,
  )
  const answer = await client.read(signed.name, response)
  if (response.status === 202) throw pendingError(answer as PaymentPending)
  return answer as Exclude<Answer<N>, PaymentPending>
}

/** Signs and sends a rental's payment. `onSigned` gets what must be kept in case this program ends before the answer. */
export async function payRental(
  client: MarketClient,
  paid: PaidQuote<'requestRental'>,
  options: SignOptions & WaitOptions & { onSigned?: (signed: SignedPayment<'requestRental'>) => void },
) {
  const signed = await signPayment(paid, options)
  options.onSigned?.(signed)
  return finishPayment(client, signed, options)
}

/** Signs and sends the payment of more minutes. */
export async function payExtension(
  client: MarketClient,
  paid: PaidQuote<'extendRental'>,
  options: SignOptions & WaitOptions & { accessToken?: string; onSigned?: (signed: SignedPayment<'extendRental'>) => void },
) {
  const signed = await signPayment(paid, options)
  options.onSigned?.(signed)
  return finishPayment(client, signed, options)
}

async function quote<N extends PaidName>(
  client: MarketClient,
  name: N,
  input: PaidQuote<N>['input'],
  call: { accessToken?: string; signal?: AbortSignal },
): Promise<PaidQuote<N>> {
  const response = await client.send(name, { ...input, ...call } as unknown as CallInput<N>)
  const header = response.headers.get('payment-required')
  if (response.status !== 402 || !header) throw await errorFromResponse(response)
  const body = PaymentRequiredBody.safeParse(await response.json().catch(() => undefined))
  if (!body.success) throw new MarketError('unexpected_answer', 402, 'The 402 answer has no price', { issues: body.error.issues })
  const { rentalId, paymentId, expiresAt, price } = body.data
  return { name, input, rentalId, paymentId, expiresAt, price, paymentRequired: decodePaymentRequiredHeader(header) }
}

function usdcCheck(options: Pick<PayOptions, 'signer' | 'rpcUrl'>) {
  const scheme = new ExactSvmScheme(options.signer, { rpcUrl: options.rpcUrl })
  return (asset: string, network: string) => scheme.findDefaultAsset(asset, network as Network)?.symbol === 'USDC'
}

/** The stock x402 client with its own spend control raised exactly to the limit, and our checks as its policy. */
function paymentClient(options: PayOptions): x402Client {
  const isUsdc = usdcCheck(options)
  const cap = { network: options.network as Network, maxAmountPerPayment: options.maxAmountAtoms.toString() }
  return new x402Client()
    .register(options.network as Network, new ExactSvmScheme(options.signer, { rpcUrl: options.rpcUrl }))
    .setSpendControls({ allowedAssets: [{ ...cap, asset: options.expectedMint ?? 'USDC' }] })
    .registerPolicy((_version, accepts) => accepts.filter((asked) => refusalOf(asked, options, isUsdc) === undefined))
}

function sendUntilKnown(send: typeof fetch, request: Request, options: WaitOptions): Promise<Response> {
  const payment = async (id: string) => Payment.parse(await (await send(new URL(`/api/payments/${id}`, request.url))).json())
  return untilKnown(() => send(request.clone()), payment, options)
}

/**
 * Repeats one paid request while its outcome is unknown: after 202 it asks for the payment, after silence or a gateway error it sends again.
 * The same header can never pay twice, so repeating is safe; signing anew is not, and never happens here.
 */
async function untilKnown(
  send: () => Promise<Response>,
  payment: (id: string) => Promise<Payment>,
  options: WaitOptions,
): Promise<Response> {
  const deadline = Date.now() + (options.timeoutMs ?? defaultWaitMs)
  for (let attempt = 0; ; attempt += 1) {
    const response = await send().catch((cause: unknown) => {
      if (options.signal?.aborted || Date.now() >= deadline) throw cause
      return undefined
    })
    const isKnown = response !== undefined && response.status !== 202 && response.status < 500
    if (isKnown || Date.now() >= deadline) {
      if (response) return response
      throw new MarketError('unreachable', 0, 'The market did not answer in time; the payment may still arrive')
    }
    if (response && response.status >= 500 && attempt >= 3) return response
    if (response?.status === 202) {
      const pending = PaymentPending.safeParse(await response.clone().json())
      if (!pending.success) return response
      options.onPending?.(pending.data)
      await waitForPayment(payment, pending.data.paymentId, deadline, options.signal)
    }
    await pause(Math.min(250 * 2 ** attempt, 2000), options.signal)
  }
}

async function waitForPayment(payment: (id: string) => Promise<Payment>, id: string, deadline: number, signal: AbortSignal | undefined) {
  for (let everyMs = 250; Date.now() < deadline; everyMs = Math.min(everyMs * 2, 2000)) {
    const state = await payment(id).then(
      (found) => found.state,
      () => undefined,
    )
    if (state !== undefined && state !== 'claimed' && state !== 'submitted') return
    await pause(everyMs, signal)
  }
}

function pendingError(pending: PaymentPending): MarketError {
  return new MarketError('payment_pending', 202, 'The chain has not confirmed the payment yet', { ...pending })
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort)
      resolve()
    }, ms)
    if (signal?.aborted) abort()
    else signal?.addEventListener('abort', abort, { once: true })
  })
}
