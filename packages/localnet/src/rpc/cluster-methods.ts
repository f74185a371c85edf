// JSON-RPC about the chain as a whole: its identity, slots, blockhashes, fees and time.
import { type CompiledTransactionMessage, getCompiledTransactionMessageDecoder } from '@solana/kit'
import { slotsPerEpoch } from '../chain.ts'
import { messageFee } from '../decode-transaction.ts'
import { genesisHash } from '../genesis.ts'
import { apiVersion, arrayParam, configParam, contextSlot, integerParam, type RpcMethod, stringParam, withContext } from './params.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

const anySlot = { min: 0, max: Number.MAX_SAFE_INTEGER }

// Every slot has a block here, so block height and slot are the same number.
const getSlot: RpcMethod = (view, [config]) => contextSlot(view, configParam(config))

const getEpochInfo: RpcMethod = (view, [config]) => {
  const slot = contextSlot(view, configParam(config))
  return {
    absoluteSlot: slot,
    blockHeight: slot,
    epoch: Math.floor(slot / slotsPerEpoch),
    slotIndex: slot % slotsPerEpoch,
    slotsInEpoch: slotsPerEpoch,
    transactionCount: view.chain.history.all().length,
  }
}

const getLatestBlockhash: RpcMethod = (view, [config]) => {
  const slot = contextSlot(view, configParam(config))
  const { clock } = view.chain
  const value = { blockhash: clock.blockhash(slot), lastValidBlockHeight: clock.lastValidBlockHeight(slot) }
  return { context: { apiVersion, slot }, value }
}

const isBlockhashValid: RpcMethod = (view, [blockhashValue, config]) => {
  const blockhash = stringParam(blockhashValue, 'blockhash')
  return withContext(view, configParam(config), () => view.slotOfBlockhash(blockhash) !== undefined)
}

const getFeeForMessage: RpcMethod = (view, [encoded, config]) => {
  let message: CompiledTransactionMessage & { lifetimeToken: string }
  try {
    message = getCompiledTransactionMessageDecoder().decode(Buffer.from(stringParam(encoded, 'message'), 'base64'))
  } catch (error) {
    throw invalidParams(`failed to deserialize the message: ${String(error)}`)
  }
  if (message.version !== 'legacy' && message.version !== 0) throw invalidParams('only legacy and version 0 messages are supported')
  return withContext(view, configParam(config), () =>
    view.slotOfBlockhash(message.lifetimeToken) === undefined ? null : messageFee(message),
  )
}

const getBlockTime: RpcMethod = (view, [slotParam]) => {
  const slot = integerParam(slotParam, 'slot', anySlot)
  const time = slot <= view.slot('processed') ? view.chain.clock.blockTime(slot) : undefined
  if (time === undefined) throw new RpcError(-32004, `Block not available for slot ${slot}`)
  return time
}

const getBlocks: RpcMethod = (view, [startParam, endParam, configAsThird]) => {
  const hasEnd = typeof endParam === 'number' || typeof endParam === 'bigint'
  const newest = contextSlot(view, configParam(hasEnd ? configAsThird : endParam))
  const start = Math.max(integerParam(startParam, 'startSlot', anySlot), view.chain.clock.firstSlot)
  const end = Math.min(hasEnd ? integerParam(endParam, 'endSlot', anySlot) : newest, newest)
  if (end - start > 500_000) throw invalidParams('Slot range too large; max 500000')
  return Array.from({ length: Math.max(0, end - start + 1) }, (_, index) => start + index)
}

// Nobody competes for blocks here: transactions land for no priority fee.
const getRecentPrioritizationFees: RpcMethod = (view, [addresses]) => {
  arrayParam(addresses ?? [], 'addresses', 128)
  const slot = view.slot('processed')
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
  getMinimumBalanceForRentExemption: ({ chain }, [bytes]) =>
    chain.rentExemptLamports(BigInt(integerParam(bytes, 'bytes', { min: 0, max: 10 * 1024 * 1024 }))),
  getRecentPrioritizationFees,
  getBlockTime,
  getBlocks,
  getFirstAvailableBlock: ({ chain }) => chain.clock.firstSlot,
  getTransactionCount: ({ chain }) => chain.history.all().length,
}
