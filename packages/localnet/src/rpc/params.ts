// Reads the positional params of JSON-RPC calls and refuses what does not fit.
import { type Address, getBase58Encoder, isAddress } from '@solana/kit'
import type { Chain, Commitment } from '../chain.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

/** The config object most methods take last. */
export type Config = Readonly<Record<string, unknown>>

/** A JSON-RPC method: gets the chain and the params, returns the result or throws an RpcError. */
export type RpcMethod = (chain: Chain, params: readonly unknown[]) => unknown

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

/** The slot of a config's commitment, after making sure the chain has reached its minContextSlot. */
export function contextSlot(chain: Chain, config: Config): number {
  const slot = chain.slot(commitmentParam(config))
  const { minContextSlot } = config
  if (minContextSlot !== undefined && minContextSlot !== null && Number(minContextSlot) > slot) {
    throw new RpcError(-32016, 'Minimum context slot has not been reached', { contextSlot: slot })
  }
  return slot
}

/** A value with the slot it was read at, as most methods answer. */
export function withContext<Value>(
  chain: Chain,
  config: Config,
  value: Value,
): { context: { apiVersion: string; slot: number }; value: Value } {
  return { context: { apiVersion, slot: contextSlot(chain, config) }, value }
}

/** The validator version this chain claims; clients read it to know which fields to expect. */
export const apiVersion = '3.0.0'
