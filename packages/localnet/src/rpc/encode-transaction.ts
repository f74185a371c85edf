// Writes landed transactions the way getTransaction's callers ask for them: json, jsonParsed, base64 or base58.
import { getBase58Decoder, getBase58Encoder, type ReadonlyUint8Array } from '@solana/kit'
import type { LandedTransaction, StoredInnerInstruction, TransactionOutcome } from '../chain-records.ts'
import { type DecodedTransaction, decodeTransaction, type TransactionInstruction } from '../decode-transaction.ts'
import { parseInstruction } from './parse-instruction.ts'
import { invalidParams, RpcError } from './rpc-error.ts'

/** How a transaction is to be written. */
export type TransactionEncoding = 'json' | 'jsonParsed' | 'base64' | 'base58'

/** Reads `encoding`; a validator's default is json. Throws RpcError -32602. */
export function transactionEncodingParam(value: unknown): TransactionEncoding {
  const encoding = value ?? 'json'
  if (encoding === 'json' || encoding === 'jsonParsed' || encoding === 'base64' || encoding === 'base58') return encoding
  throw invalidParams(`Invalid param: unknown encoding ${String(encoding)}`)
}

/** Writes `transaction`, `meta` and `version`. A version above `maxVersion` (undefined: legacy only) is refused. */
export function encodeLanded(
  landed: LandedTransaction,
  encoding: TransactionEncoding,
  maxVersion: number | undefined,
): Record<string, unknown> {
  const wire = Buffer.from(landed.wire, 'base64')
  const decoded = decodeTransaction(wire, (_table, _index, position) => landed.addresses[position])
  const { version } = decoded.message
  if (version !== 'legacy' && (maxVersion === undefined || version > maxVersion)) {
    throw new RpcError(
      -32015,
      `Transaction version (${version}) is not supported by the requesting client. Please try the request again with the following configuration parameter: "maxSupportedTransactionVersion": ${version}`,
    )
  }
  const transaction =
    encoding === 'base64'
      ? [landed.wire, 'base64']
      : encoding === 'base58'
        ? [getBase58Decoder().decode(wire), 'base58']
        : { signatures: decoded.signatures, message: encodeMessage(decoded, encoding) }
  return { transaction, meta: encodeMeta(decoded, landed, encoding), ...(maxVersion === undefined ? {} : { version }) }
}

function encodeMessage(decoded: DecodedTransaction, encoding: 'json' | 'jsonParsed'): Record<string, unknown> {
  const { message } = decoded
  const lookups =
    message.version === 'legacy'
      ? {}
      : {
          addressTableLookups: (message.addressTableLookups ?? []).map((lookup) => ({
            accountKey: lookup.lookupTableAddress,
            readonlyIndexes: [...lookup.readonlyIndexes],
            writableIndexes: [...lookup.writableIndexes],
          })),
        }
  if (encoding === 'jsonParsed') {
    return {
      accountKeys: decoded.accounts.map(({ address, isSigner, isWritable, source }) => ({
        pubkey: address,
        signer: isSigner,
        source,
        writable: isWritable,
      })),
      instructions: decoded.instructions.map((instruction) => encodeParsed(decoded, instruction, 1)),
      recentBlockhash: decoded.lifetimeToken,
      ...lookups,
    }
  }
  return {
    accountKeys: message.staticAccounts,
    header: {
      numReadonlySignedAccounts: message.header.numReadonlySignerAccounts,
      numReadonlyUnsignedAccounts: message.header.numReadonlyNonSignerAccounts,
      numRequiredSignatures: message.header.numSignerAccounts,
    },
    instructions: decoded.instructions.map(({ programIdIndex, accounts, data }) => ({
      programIdIndex,
      accounts,
      data: getBase58Decoder().decode(data),
      stackHeight: 1,
    })),
    recentBlockhash: decoded.lifetimeToken,
    ...lookups,
  }
}

function encodeParsed(decoded: DecodedTransaction, instruction: TransactionInstruction, stackHeight: number): Record<string, unknown> {
  const addressAt = (index: number): string => decoded.accounts[index]?.address ?? ''
  const programId = addressAt(instruction.programIdIndex)
  const accounts = instruction.accounts.map(addressAt)
  const known = parseInstruction({ programId, accounts, data: instruction.data })
  return known
    ? { ...known, programId, stackHeight }
    : { programId, accounts, data: getBase58Decoder().decode(instruction.data), stackHeight }
}

function encodeMeta(decoded: DecodedTransaction, landed: LandedTransaction, encoding: TransactionEncoding): Record<string, unknown> {
  return {
    err: landed.err,
    status: landed.err === null ? { Ok: null } : { Err: landed.err },
    fee: BigInt(landed.fee),
    ...encodeBalances(landed),
    innerInstructions: encodeInnerInstructions(decoded, landed, encoding),
    logMessages: landed.logs,
    rewards: [],
    computeUnitsConsumed: BigInt(landed.computeUnits),
    ...(landed.returnData ? { returnData: landed.returnData } : {}),
    ...(encoding === 'jsonParsed' ? {} : { loadedAddresses: loadedAddresses(decoded) }),
  }
}

/** Balances before and after, lamports as integers. */
export function encodeBalances(outcome: TransactionOutcome): Record<string, unknown> {
  return {
    preBalances: outcome.preBalances.map(BigInt),
    postBalances: outcome.postBalances.map(BigInt),
    preTokenBalances: outcome.preTokenBalances,
    postTokenBalances: outcome.postTokenBalances,
  }
}

/** Instructions that programs ran themselves, by the index of the instruction they ran in. */
export function encodeInnerInstructions(
  decoded: DecodedTransaction,
  outcome: TransactionOutcome,
  encoding: TransactionEncoding,
): unknown[] {
  if (encoding !== 'jsonParsed') return outcome.innerInstructions
  const bytes = (inner: StoredInnerInstruction): ReadonlyUint8Array => getBase58Encoder().encode(inner.data)
  return outcome.innerInstructions.map(({ index, instructions }) => ({
    index,
    instructions: instructions.map((inner) => encodeParsed(decoded, { ...inner, data: bytes(inner) }, inner.stackHeight)),
  }))
}

/** The addresses a transaction named through lookup tables. */
export function loadedAddresses(decoded: DecodedTransaction): { readonly: string[]; writable: string[] } {
  const loaded = decoded.accounts.filter((account) => account.source === 'lookupTable')
  return {
    readonly: loaded.filter((account) => !account.isWritable).map((account) => account.address),
    writable: loaded.filter((account) => account.isWritable).map((account) => account.address),
  }
}
