// Ids: a noun's prefix and a UUIDv7 in 32 hex digits, made by the caller so that every write can be repeated safely.
import { z } from 'zod'

const prefixes = {
  node: 'nod',
  offer: 'ofr',
  rental: 'rnt',
  payment: 'pay',
  transfer: 'trf',
  ledgerTransaction: 'ltx',
  terminal: 'trm',
  dispute: 'dsp',
} as const
export type IdNoun = keyof typeof prefixes

function idSchema(noun: IdNoun) {
  return z.string().regex(new RegExp(`^${prefixes[noun]}_[0-9a-f]{32}$`), `an id of the form ${prefixes[noun]}_ and 32 hex digits`)
}

export const NodeId = idSchema('node')
export const OfferId = idSchema('offer')
export const RentalId = idSchema('rental')
export const PaymentId = idSchema('payment')
export const TransferId = idSchema('transfer')
export const TerminalId = idSchema('terminal')
export const DisputeId = idSchema('dispute')

/** A new id: `rnt_` + UUIDv7 (RFC 9562: 48 bits of Unix milliseconds, then random), so ids sort by time of making. */
export function newId(noun: IdNoun, nowMs: number = Date.now()): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, Math.floor(nowMs / 2 ** 32))
  view.setUint32(2, nowMs % 2 ** 32)
  view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70)
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80)
  return `${prefixes[noun]}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`
}
