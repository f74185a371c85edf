// x402 v2 on the wire: the requirements of a charge, the 402 header, the proof that comes back, the answer's header.

import { PaymentIdentifier, paymentIdentifierExtension, type Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import { decodePaymentSignatureHeader, encodePaymentRequiredHeader, encodePaymentResponseHeader } from '@x402/core/http'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { type Charge, chargeOf, type PaymentProof } from './payment-rail.ts'
import { readTransaction } from './x402-transaction.ts'

/** Seconds that the client has to pay. */
const maxTimeoutSeconds = 90

/** What is kept of a proof: the signed transaction, base64. */
export type StoredPayload = { transaction: string }

/** What x402's `exact` scheme must see paid: settle first (`upfront`), the memo is the payment id. */
export function requirementsFor(charge: Charge, feePayer: string, quoteToken?: string): PaymentRequirements {
  return {
    scheme: 'exact',
    network: charge.network as Network,
    amount: charge.amountAtoms.toString(),
    asset: charge.asset,
    payTo: charge.payTo,
    maxTimeoutSeconds,
    extra: { feePayer, memo: charge.paymentId, paymentFlow: 'upfront', ...(quoteToken ? { quote: quoteToken } : {}) },
  }
}

/** The extension `payment-identifier` as its specification declares it, in the words of the package @x402/extensions. */
const paymentIdentifierDeclared = {
  info: { required: false },
  schema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    properties: {
      required: { type: 'boolean' },
      id: { type: 'string', minLength: 16, maxLength: 128, pattern: '^[a-zA-Z0-9_-]+$' },
    },
    required: ['required'],
  },
}

/** The value of PAYMENT-REQUIRED: base64 of the JSON (x402 v2). */
export function encodeChallenge(quote: Quote, token: string, feePayer: string, resourceUrl: string): string {
  return encodePaymentRequiredHeader({
    x402Version: 2,
    error: 'Payment is required',
    resource: {
      url: resourceUrl,
      description: `${quote.kind === 'rent' ? 'Rent' : 'Extend'} ${quote.units} unit(s) for ${quote.minutes} minute(s)`,
      mimeType: 'application/json',
    },
    accepts: [requirementsFor(chargeOf(quote), feePayer, token)],
    extensions: { [paymentIdentifierExtension]: paymentIdentifierDeclared },
  })
}

/** Reads PAYMENT-SIGNATURE. Throws Problem payment_invalid for anything that is not an exact payment with our quote inside. */
export function decodeProof(header: string): PaymentProof {
  let payload: PaymentPayload
  try {
    payload = decodePaymentSignatureHeader(header)
  } catch {
    throw new Problem('payment_invalid', { detail: 'PAYMENT-SIGNATURE is not base64 of an x402 payment payload' })
  }
  const accepted = payload?.accepted
  const transaction = payload?.payload?.transaction
  const quoteToken = accepted?.extra?.quote
  if (payload?.x402Version !== 2) throw new Problem('payment_invalid', { detail: 'x402Version must be 2' })
  if (accepted?.scheme !== 'exact') throw new Problem('payment_invalid', { detail: 'only the scheme "exact" is accepted' })
  if (typeof quoteToken !== 'string')
    throw new Problem('payment_invalid', { detail: 'accepted.extra.quote is missing: echo it as it was given' })
  if (typeof transaction !== 'string') throw new Problem('payment_invalid', { detail: 'payload.transaction is missing' })
  const identifier = identifierOf(payload)
  try {
    const facts = readTransaction(transaction)
    const payer = facts.transfers[0]?.authority
    if (!payer) throw new Error('it holds no token transfer')
    const { network, amount, asset, payTo } = accepted
    // Only what settles is kept: the rest of the header is the client's to write and nobody's to store.
    const stored: StoredPayload = { transaction }
    return {
      quoteToken,
      messageHash: facts.messageHash,
      payer,
      accepted: { network, amount, asset, payTo },
      payload: stored,
      ...(identifier === undefined ? {} : { identifier }),
    }
  } catch (error) {
    throw new Problem('payment_invalid', { detail: `payload.transaction cannot be read: ${(error as Error).message}` })
  }
}

/** The payer's own name for the payment; undefined where the extension is absent or only echoed. */
function identifierOf(payload: PaymentPayload): string | undefined {
  const extension = payload.extensions?.[paymentIdentifierExtension] as { info?: { id?: unknown } } | null | undefined
  const id = extension?.info?.id
  if (id === undefined) return undefined
  const identifier = PaymentIdentifier.safeParse(id)
  if (!identifier.success)
    throw new Problem('payment_invalid', {
      detail: `the id of the extension ${paymentIdentifierExtension} must be 16 to 128 of A-Z a-z 0-9 _ -`,
    })
  return identifier.data
}

/** The value of PAYMENT-RESPONSE. */
export function encodeReceiptHeader(charge: Charge, landed: { signature: string; payer: string }): string {
  return encodePaymentResponseHeader({
    success: true,
    transaction: landed.signature,
    network: charge.network as Network,
    payer: landed.payer,
    amount: charge.amountAtoms.toString(),
  })
}
