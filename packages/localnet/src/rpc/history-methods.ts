// JSON-RPC about what has landed: statuses, whole transactions, and the transactions of an address.

import { encodeLanded, transactionEncodingParam } from './encode-transaction.ts'
import {
  addressParam,
  arrayParam,
  commitmentParam,
  configParam,
  contextSlot,
  integerParam,
  type RpcMethod,
  signatureParam,
  withContext,
} from './params.ts'

// The whole history is at hand, so searchTransactionHistory makes no difference here.
const getSignatureStatuses: RpcMethod = (view, [signatures]) => {
  const statuses = arrayParam(signatures, 'signatures', 256).map((signature) => {
    const entry = view.find(signatureParam(signature), 'processed')
    if (!entry) return null
    const confirmationStatus = view.commitmentOf(entry.slot)
    return {
      slot: entry.slot,
      confirmations: confirmationStatus === 'finalized' ? null : view.slot('processed') - entry.slot,
      err: entry.err,
      status: entry.err === null ? { Ok: null } : { Err: entry.err },
      confirmationStatus,
    }
  })
  return withContext(view, { commitment: 'processed' }, () => statuses)
}

const getTransaction: RpcMethod = (view, [signature, configValue]) => {
  // The older form of this call gives the encoding alone.
  const config = typeof configValue === 'string' ? { encoding: configValue } : configParam(configValue)
  const encoding = transactionEncodingParam(config.encoding)
  const { maxSupportedTransactionVersion: max } = config
  const maxVersion =
    max === undefined || max === null ? undefined : integerParam(max, 'maxSupportedTransactionVersion', { min: 0, max: 255 })
  const entry = view.find(signatureParam(signature), commitmentParam(config))
  if (!entry) return null
  const { chain } = view
  return {
    slot: entry.slot,
    blockTime: chain.clock.blockTime(entry.slot) ?? null,
    ...encodeLanded(chain.landed(entry), encoding, maxVersion),
  }
}

const getSignaturesForAddress: RpcMethod = (view, [address, configValue]) => {
  const config = configParam(configValue)
  const limit = integerParam(config.limit ?? 1000, 'limit', { min: 1, max: 1000 })
  const before = config.before === undefined || config.before === null ? undefined : signatureParam(config.before)
  const until = config.until === undefined || config.until === null ? undefined : signatureParam(config.until)
  const newestSlot = contextSlot(view, config)
  const { history, clock } = view.chain
  return history.ofAddress(addressParam(address), { limit, newestSlot, before, until }).map((entry) => ({
    signature: entry.signature,
    slot: entry.slot,
    err: entry.err,
    memo: entry.memo,
    blockTime: clock.blockTime(entry.slot) ?? null,
    confirmationStatus: view.commitmentOf(entry.slot),
  }))
}

/** The methods of this file by name. */
export const historyMethods: Record<string, RpcMethod> = { getSignatureStatuses, getTransaction, getSignaturesForAddress }
