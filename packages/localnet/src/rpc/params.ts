// Reads the positional params of JSON-RPC calls and refuses what does not fit.
import { type Address, type EncodedAccount, getBase58Encoder, isAddress } from '@solana/kit'
import type { Commitment } from '../chain.ts'
import type { ChainView } from '../chain-view.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

/** The config object most methods take last. */
export type Config = Readonly<Record<string, unknown>>

/** A JSON-RPC method: gets the node that is asked and the params, returns the result or throws an RpcError. */
export type RpcMethod = (view: ChainView, params: readonly unknown[]) => unknown

/** Reads an address; throws RpcError -32602, as all readers here do. */
export function addressParam(value: unknown): Address {
  if (typeof value !== 'string') throw invalidParams('Invalid param: expected an address')
  if (!isAddress(value)) throw invalidParams('Invalid param: Invalid')
  return value
}

/** Reads a string. */
export function stringParam(value: unknown, name: string): string {
  if (typeof value !== 'string') throw invalidParams(`Invalid param: ${name} must be a string`)
  return value
}

/** Reads a signature: base58 of 64 bytes. */
export function signatureParam(value: unknown): string {
  const text = stringParam(value, 'signature')
  let length = 0
  try {
    length = getBase58Encoder().encode(text).length
  } catch {
    // Falls through: text that is not base58 has no bytes.
  }
  if (length !== 64) throw invalidParams('Invalid param: Invalid signature')
  return text
}

/** Reads an integer within limits, both included. */
export function integerParam(value: unknown, name: string, limits: { min: number; max: number }): number {
  const number = typeof value === 'bigint' ? Number(value) : value
  if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < limits.min || number > limits.max) {
    throw invalidParams(`Invalid param: ${name} must be an integer from ${limits.min} to ${limits.max}`)
  }
  return number
}

/** Reads an array of at most `maxLength` items. */
export function arrayParam(value: unknown, name: string, maxLength: number): readonly unknown[] {
  if (!Array.isArray(value)) throw invalidParams(`Invalid param: ${name} must be an array`)
  if (value.length > maxLength) throw invalidParams(`Too many inputs provided; max ${maxLength}`)
  return value
}

/** A config object; absent means empty. */
export function configParam(value: unknown): Config {
  if (value === undefined || value === null) return {}
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidParams('Invalid param: config must be an object')
  return value as Config
}

/** The commitment of a config; a validator's default is finalized. */
export function commitmentParam(config: Config): Commitment {
  const { commitment } = config
  if (commitment === undefined || commitment === null) return 'finalized'
  if (commitment === 'processed' || commitment === 'confirmed' || commitment === 'finalized') return commitment
  throw invalidParams(`Invalid param: unknown commitment ${String(commitment)}`)
}

/** The slot of a config's commitment, after making sure that this node has reached its minContextSlot: else RpcError -32016. */
export function contextSlot(view: ChainView, config: Config): number {
  const slot = view.slot(commitmentParam(config))
  const { minContextSlot } = config
  if (minContextSlot === undefined || minContextSlot === null) return slot
  if (integerParam(minContextSlot, 'minContextSlot', { min: 0, max: Number.MAX_SAFE_INTEGER }) > slot) {
    throw new RpcError(-32016, 'Minimum context slot has not been reached', { contextSlot: slot })
  }
  return slot
}

/**
 * What `read` finds with the slot that it was read at, as most methods answer; `account` gives accounts as of that slot.
 * It is not called when this node has not reached the config's minContextSlot.
 */
export function withContext<Value>(
  view: ChainView,
  config: Config,
  read: (account: (key: Address) => EncodedAccount | undefined) => Value,
): { context: { apiVersion: string; slot: number }; value: Value } {
  const slot = contextSlot(view, config)
  return { context: { apiVersion, slot }, value: read((key) => view.chain.accountAt(key, slot)) }
}

/** The validator version this chain claims; clients read it to know which fields to expect. */
export const apiVersion = '3.0.0'
