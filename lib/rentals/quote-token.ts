// The quote token: the only place that price and terms of an unpaid rental exist, signed by the market and kept by nobody.
import { createHash } from 'node:crypto'
import { Quote } from '@flow402/protocol/payment'
import { Problem } from '@flow402/protocol/problem'
import { canonicalJson } from '@flow402/protocol/receipt'
import { CompactSign, compactVerify, errors } from 'jose'
import { z } from 'zod'
import type { MarketKeys } from '../auth/market-keys.ts'

const tokenType = 'flow402-quote+jws'

/** Signs a quote as a compact JWS (EdDSA, RFC 7515). */
export async function signQuote(keys: Pick<MarketKeys, 'signing'>, quote: Quote): Promise<string> {
  return new CompactSign(new TextEncoder().encode(JSON.stringify(quote)))
    .setProtectedHeader({ alg: 'EdDSA', typ: tokenType })
    .sign(keys.signing)
}

/** Reads a quote that we signed; Problem quote_invalid for anything else. Its expiry is the caller's question. */
export async function readQuote(keys: Pick<MarketKeys, 'verifying'>, token: string): Promise<Quote> {
  try {
    const { payload, protectedHeader } = await compactVerify(token, keys.verifying, { algorithms: ['EdDSA'] })
    if (protectedHeader.typ !== tokenType) throw new Problem('quote_invalid')
    return Quote.parse(JSON.parse(new TextDecoder().decode(payload)))
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof z.ZodError || error instanceof Problem) throw new Problem('quote_invalid')
    throw error
  }
}

/** SHA-256 (base64url) of a request's canonical JSON: what a payment buys is this request and no other. */
export function requestDigest(request: unknown): string {
  return createHash('sha256').update(canonicalJson(request)).digest('base64url')
}
