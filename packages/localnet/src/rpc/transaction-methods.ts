// JSON-RPC that runs transactions: send and simulate.
import { getBase58Encoder } from '@solana/kit'
import type { Chain, Rejection, Simulation } from '../chain.ts'
import type { DecodedTransaction } from '../decode-transaction.ts'
import { giveSol } from '../faucet.ts'
import { transactionErrorSentence } from '../transaction-error.ts'
import { accountEncodingParam, encodeAccount } from './encode-account.ts'
import { encodeBalances, encodeInnerInstructions, loadedAddresses } from './encode-transaction.ts'
import {
  addressParam,
  arrayParam,
  type Config,
  configParam,
  contextSlot,
  integerParam,
  type RpcMethod,
  stringParam,
  withContext,
} from './params.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

/** Lands a transaction and answers its signature. As on a validator, skipPreflight means that nothing but the chain tells how it went. */
const sendTransaction: RpcMethod = (view, [encoded, configValue]) => {
  const config = configParam(configValue)
  const decoded = decodeParam(view.chain, encoded, config)
  const skipsPreflight = config.skipPreflight === true
  contextSlot(view, { minContextSlot: config.minContextSlot, commitment: skipsPreflight ? 'processed' : config.preflightCommitment })
  if (!skipsPreflight) preflight(view.chain, decoded)
  view.chain.execute(decoded)
  return decoded.signature
}

function preflight(chain: Chain, decoded: DecodedTransaction): void {
  const result = chain.simulate(decoded, { isSigned: true, isBlockhashReplaced: false })
  refuseBadSignature(result)
  const err = 'rejected' in result ? result.rejected : result.err
  if (err === null) return
  throw new RpcError(
    -32002,
    `Transaction simulation failed: ${transactionErrorSentence(err)}`,
    simulationValue(decoded, result, { accounts: null, hasInner: false, replacement: null }),
  )
}

const simulateTransaction: RpcMethod = (view, [encoded, configValue]) => {
  const { chain } = view
  const config = configParam(configValue)
  const isSigned = config.sigVerify === true
  const isBlockhashReplaced = config.replaceRecentBlockhash === true
  if (isSigned && isBlockhashReplaced) throw invalidParams('sigVerify may not be used with replaceRecentBlockhash')
  const decoded = decodeParam(chain, encoded, config)
  contextSlot(view, config)
  const result = chain.simulate(decoded, { isSigned, isBlockhashReplaced })
  refuseBadSignature(result)

  const slot = chain.slot('processed')
  const replacement = isBlockhashReplaced
    ? { blockhash: chain.clock.blockhash(slot), lastValidBlockHeight: chain.clock.lastValidBlockHeight(slot) }
    : null
  const accounts = 'rejected' in result ? null : simulatedAccounts(chain, result, config)
  return withContext(view, config, () =>
    simulationValue(decoded, result, { accounts, hasInner: config.innerInstructions === true, replacement }),
  )
}

function simulatedAccounts(chain: Chain, result: Simulation, config: Config): unknown[] | null {
  if (config.accounts === undefined || config.accounts === null) return null
  const wanted = configParam(config.accounts)
  const how = accountEncodingParam({ encoding: wanted.encoding }, 'base64')
  if (how.encoding === 'binary' || how.encoding === 'base58') throw invalidParams('base58 encoding not supported')
  const addresses = arrayParam(wanted.addresses, 'addresses', 128).map(addressParam)
  return addresses.map((address) =>
    result.err === null ? encodeAccount(result.account(address), how, (mint) => chain.accounts.decimalsOf(mint)) : null,
  )
}

function simulationValue(
  decoded: DecodedTransaction,
  result: Simulation | Rejection,
  shown: { accounts: unknown[] | null; hasInner: boolean; replacement: unknown },
): Record<string, unknown> {
  if ('rejected' in result) {
    const nothing = { preBalances: null, postBalances: null, preTokenBalances: null, postTokenBalances: null, loadedAddresses: null }
    const value = { err: result.rejected, logs: result.logs, accounts: shown.accounts, unitsConsumed: 0, returnData: null, fee: null }
    return { ...value, innerInstructions: null, replacementBlockhash: shown.replacement, ...nothing }
  }
  return {
    err: result.err,
    logs: result.logs,
    accounts: shown.accounts,
    unitsConsumed: BigInt(result.computeUnits),
    returnData: result.returnData,
    fee: BigInt(result.fee),
    innerInstructions: shown.hasInner ? encodeInnerInstructions(decoded, result, 'jsonParsed') : null,
    replacementBlockhash: shown.replacement,
    ...encodeBalances(result),
    loadedAddresses: loadedAddresses(decoded),
  }
}

function refuseBadSignature(result: Simulation | Rejection): void {
  const err = 'rejected' in result ? result.rejected : result.err
  if (err === 'SignatureFailure') throw new RpcError(-32003, 'Transaction signature verification failure')
}

function decodeParam(chain: Chain, encoded: unknown, config: Config): DecodedTransaction {
  const text = stringParam(encoded, 'transaction')
  const encoding = config.encoding ?? 'base58'
  if (encoding !== 'base58' && encoding !== 'base64')
    throw invalidParams(`unsupported encoding: ${String(encoding)}. Supported encodings: base58, base64`)
  if (text.length > 1700) throw invalidParams(`${encoding} encoded transaction too large: ${text.length} characters`)
  try {
    return chain.decode(
      encoding === 'base64' ? new Uint8Array(Buffer.from(text, 'base64')) : new Uint8Array(getBase58Encoder().encode(text)),
    )
  } catch (error) {
    throw invalidParams(`failed to deserialize the transaction: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const airdropLimits = { min: 1, max: 100_000_000_000 }

/** The methods of this file by name. */
export const transactionMethods: Record<string, RpcMethod> = {
  sendTransaction,
  simulateTransaction,
  requestAirdrop: ({ chain }, [address, lamports]) =>
    giveSol(chain, addressParam(address), BigInt(integerParam(lamports, 'lamports', airdropLimits))),
}
