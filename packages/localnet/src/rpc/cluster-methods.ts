// JSON-RPC about the chain as a whole: its identity, slots, blockhashes, fees and time.
import { type CompiledTransactionMessage, getCompiledTransactionMessageDecoder } from '@solana/kit'
import { slotsPerEpoch } from '../chain.ts'
import { messageFee } from '../decode-transaction.ts'
import { genesisHash } from '../genesis.ts'
import { apiVersion, arrayParam, configParam, contextSlot, integerParam, type RpcMethod, stringParam, withContext } from './params.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

const anySlot = { min: 0, max: Number.MAX_SAFE_INTEGER }

// Every slot has a block here, so block height and slot are the same number.
const getSlot: RpcMethod = (chain, [config]) => contextSlot(chain, configParam(config))

const getEpochInfo: RpcMethod = (chain, [config]) => {
  const slot = contextSlot(chain, configParam(config))
  return {
    absoluteSlot: slot,
    blockHeight: slot,
    epoch: Math.floor(slot / slotsPerEpoch),
    slotIndex: slot % slotsPerEpoch,
    slotsInEpoch: slotsPerEpoch,
    transactionCount: chain.history.all().length,
  }
}

const getLatestBlockhash: RpcMethod = (chain, [config]) => {
  const slot = contextSlot(chain, configParam(config))
  return withContext(chain, configParam(config), {
    blockhash: chain.clock.blockhash(slot),
    lastValidBlockHeight: chain.clock.lastValidBlockHeight(slot),
  })
}

const isBlockhashValid: RpcMethod = (chain, [blockhash, config]) => {
  chain.slot('processed')
  return withContext(chain, configParam(config), chain.clock.slotOfBlockhash(stringParam(blockhash, 'blockhash')) !== undefined)
}

const getFeeForMessage: RpcMethod = (chain, [encoded, config]) => {
  chain.slot('processed')
  let message: CompiledTransactionMessage & { lifetimeToken: string }
  try {
    message = getCompiledTransactionMessageDecoder().decode(Buffer.from(stringParam(encoded, 'message'), 'base64'))
  } catch (error) {
    throw invalidParams(`failed to deserialize the message: ${String(error)}`)
  }
  if (message.version !== 'legacy' && message.version !== 0) throw invalidParams('only legacy and version 0 messages are supported')
  const isKnown = chain.clock.slotOfBlockhash(message.lifetimeToken) !== undefined
  return withContext(chain, configParam(config), isKnown ? messageFee(message) : null)
}

const getBlockTime: RpcMethod = (chain, [slotParam]) => {
  chain.slot('processed')
  const slot = integerParam(slotParam, 'slot', anySlot)
  const time = chain.clock.blockTime(slot)
  if (time === undefined) throw new RpcError(-32004, `Block not available for slot ${slot}`)
  return time
}

const getBlocks: RpcMethod = (chain, [startParam, endParam, configAsThird]) => {
  const hasEnd = typeof endParam === 'number' || typeof endParam === 'bigint'
  const newest = contextSlot(chain, configParam(hasEnd ? configAsThird : endParam))
  const start = Math.max(integerParam(startParam, 'startSlot', anySlot), chain.clock.firstSlot)
  const end = Math.min(hasEnd ? integerParam(endParam, 'endSlot', anySlot) : newest, newest)
  if (end - start > 500_000) throw invalidParams('Slot range too large; max 500000')
  return Array.from({ length: Math.max(0, end - start + 1) }, (_, index) => start + index)
}

// Nobody competes for blocks here: transactions land for no priority fee.
const getRecentPrioritizationFees: RpcMethod = (chain, [addresses]) => {
  arrayParam(addresses ?? [], 'addresses', 128)
  const slot = chain.slot('processed')
  return Array.from({ length: 8 }, (_, index) => ({ slot: slot - 7 + index, prioritizationFee: 0 }))
}

/** The methods of this file by name. */
export const clusterMethods: Record<string, RpcMethod> = {
  getHealth: () => 'ok',
  getVersion: () => ({ 'solana-core': apiVersion, 'feature-set': 0 }),
  getGenesisHash: () => genesisHash,
  getSlot,
  getBlockHeight: getSlot,
  getEpochInfo,
  getLatestBlockhash,
  isBlockhashValid,
  getFeeForMessage,
  getMinimumBalanceForRentExemption: (chain, [bytes]) =>
    chain.rentExemptLamports(BigInt(integerParam(bytes, 'bytes', { min: 0, max: 10 * 1024 * 1024 }))),
  getRecentPrioritizationFees,
  getBlockTime,
  getBlocks,
  getFirstAvailableBlock: (chain) => chain.clock.firstSlot,
  getTransactionCount: (chain) => chain.history.all().length,
}
