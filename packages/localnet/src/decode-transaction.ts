// Reads a wire transaction into the facts the chain needs before running it: its accounts, fee, memo, lifetime and identity.
import { createHash } from 'node:crypto'
import {
  type Address,
  address,
  type CompiledTransactionMessage,
  getAddressDecoder,
  getBase58Decoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  type ReadonlyUint8Array,
  type Transaction,
} from '@solana/kit'

/** The largest transaction the network carries, in bytes. */
export const transactionSizeLimit = 1232

const memoPrograms = new Set<string>(['MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr', 'Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo'])
const systemProgram = '11111111111111111111111111111111'
const computeBudgetProgram = 'ComputeBudget111111111111111111111111111111'
const lamportsPerSignature = 5000n

/** One account a transaction names, in the order its instructions count them. */
export interface TransactionAccount {
  address: Address
  isSigner: boolean
  isWritable: boolean
  source: 'transaction' | 'lookupTable'
}

/** An instruction; its indexes are into the transaction's accounts. */
export interface TransactionInstruction {
  programIdIndex: number
  accounts: readonly number[]
  data: ReadonlyUint8Array
}

/** A transaction, read but not judged. */
export interface DecodedTransaction {
  wire: Uint8Array
  transaction: Transaction
  message: CompiledTransactionMessage & { version: 'legacy' | 0 }
  /** The recent blockhash, or the nonce that stands in its place, base58. */
  lifetimeToken: string
  /** The first signature, base58: the transaction's name. All zeros when the fee payer has not signed. */
  signature: string
  signatures: string[]
  isFullySigned: boolean
  /** sha256 of the message, hex: what makes two transactions the same. */
  messageHash: string
  accounts: TransactionAccount[]
  instructions: TransactionInstruction[]
  /** Lamports charged whether or not the transaction succeeds. */
  fee: bigint
  /** Memos as a validator lists them, "[length] text; ...", or null. */
  memo: string | null
  /** The nonce account when the transaction begins by advancing one. */
  nonceAccount: Address | undefined
}

/** Finds an account named through an address lookup table: entry `index` of `table`, at `position` among the transaction's accounts. */
export type Lookup = (table: Address, index: number, position: number) => string | undefined

/** Reads wire bytes. Throws an Error with a reason when they are malformed. */
export function decodeTransaction(wire: Uint8Array, lookup: Lookup): DecodedTransaction {
  if (wire.length > transactionSizeLimit)
    throw new Error(`transaction too large: ${wire.length} bytes (max: ${transactionSizeLimit} bytes)`)
  const transaction = getTransactionDecoder().decode(wire)
  const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
  if (message.version !== 'legacy' && message.version !== 0) throw new Error('only legacy and version 0 transactions are supported')

  const accounts = transactionAccounts(message, lookup)
  const instructions = message.instructions.map((instruction) => ({
    programIdIndex: instruction.programAddressIndex,
    accounts: instruction.accountIndices ?? [],
    data: instruction.data ?? new Uint8Array(0),
  }))
  if (instructions.some((instruction) => Math.max(instruction.programIdIndex, ...instruction.accounts) >= accounts.length)) {
    throw new Error('an instruction names an account the transaction does not have')
  }
  const signatures = Object.values(transaction.signatures).map((bytes) => getBase58Decoder().decode(bytes ?? new Uint8Array(64)))
  const [signature] = signatures
  if (signature === undefined) throw new Error('a transaction needs a signature')

  return {
    wire,
    transaction,
    message,
    lifetimeToken: message.lifetimeToken,
    signature,
    signatures,
    isFullySigned: Object.values(transaction.signatures).every((bytes) => bytes?.some((byte) => byte !== 0)),
    messageHash: createHash('sha256')
      .update(new Uint8Array(transaction.messageBytes as ReadonlyUint8Array))
      .digest('hex'),
    accounts,
    instructions,
    fee: feeOf(message.header.numSignerAccounts, instructions, accounts),
    memo: memoOf(instructions, accounts),
    nonceAccount: nonceAccountOf(instructions, accounts),
  }
}

/** The same wire bytes with another recent blockhash; the signatures no longer fit. */
export function withBlockhash(decoded: DecodedTransaction, blockhash: ReadonlyUint8Array): Uint8Array {
  const wire = decoded.wire.slice()
  const messageAt = 1 + 64 * decoded.signatures.length
  const versionLength = decoded.message.version === 'legacy' ? 0 : 1
  const keyCount = decoded.message.staticAccounts.length
  const keysAt = messageAt + versionLength + 3 + (keyCount < 128 ? 1 : 2)
  wire.set(blockhash, keysAt + 32 * keyCount)
  return wire
}

/** The fee of a compiled message on its own, in lamports. */
export function messageFee(message: CompiledTransactionMessage & { version: 'legacy' | 0 }): bigint {
  const accounts = message.staticAccounts.map((key) => ({
    address: key,
    isSigner: false,
    isWritable: false,
    source: 'transaction' as const,
  }))
  const instructions = message.instructions.map((instruction) => ({
    programIdIndex: instruction.programAddressIndex,
    accounts: [],
    data: instruction.data ?? new Uint8Array(0),
  }))
  return feeOf(message.header.numSignerAccounts, instructions, accounts)
}

function transactionAccounts(message: CompiledTransactionMessage & { version: 'legacy' | 0 }, lookup: Lookup): TransactionAccount[] {
  const { numSignerAccounts, numReadonlySignerAccounts, numReadonlyNonSignerAccounts } = message.header
  const accounts: TransactionAccount[] = message.staticAccounts.map((key, index) => ({
    address: key,
    isSigner: index < numSignerAccounts,
    isWritable:
      index < numSignerAccounts
        ? index < numSignerAccounts - numReadonlySignerAccounts
        : index < message.staticAccounts.length - numReadonlyNonSignerAccounts,
    source: 'transaction',
  }))
  const lookups = message.version === 0 ? (message.addressTableLookups ?? []) : []
  for (const isWritable of [true, false]) {
    for (const { lookupTableAddress, writableIndexes, readonlyIndexes } of lookups) {
      for (const index of isWritable ? writableIndexes : readonlyIndexes) {
        const found = lookup(lookupTableAddress, index, accounts.length)
        if (!found) throw new Error(`address lookup table ${lookupTableAddress} has no entry ${index}`)
        accounts.push({ address: address(found), isSigner: false, isWritable, source: 'lookupTable' })
      }
    }
  }
  return accounts
}

// Source: the address lookup table program's account layout, a 56-byte header and then 32 bytes per address.
/** The addresses an address lookup table account holds. */
export function lookupTableAddresses(data: ReadonlyUint8Array): Address[] {
  const addresses: Address[] = []
  for (let at = 56; at + 32 <= data.length; at += 32) addresses.push(getAddressDecoder().decode(data.slice(at, at + 32)))
  return addresses
}

function feeOf(signatureCount: number, instructions: readonly TransactionInstruction[], accounts: readonly TransactionAccount[]): bigint {
  let unitLimit: bigint | undefined
  let microLamportsPerUnit = 0n
  let defaultUnits = 0n
  for (const { programIdIndex, data } of instructions) {
    const program = accounts[programIdIndex]?.address
    if (program !== computeBudgetProgram) {
      defaultUnits += 200_000n
      continue
    }
    defaultUnits += 3_000n
    const view = new DataView(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength)
    if (data[0] === 2 && data.length >= 5) unitLimit = BigInt(view.getUint32(1, true))
    if (data[0] === 3 && data.length >= 9) microLamportsPerUnit = view.getBigUint64(1, true)
  }
  const cap = 1_400_000n
  const wanted = unitLimit ?? defaultUnits
  const units = wanted < cap ? wanted : cap
  return BigInt(signatureCount) * lamportsPerSignature + (units * microLamportsPerUnit + 999_999n) / 1_000_000n
}

function memoOf(instructions: readonly TransactionInstruction[], accounts: readonly TransactionAccount[]): string | null {
  const memos = instructions
    .filter((instruction) => memoPrograms.has(accounts[instruction.programIdIndex]?.address ?? ''))
    .map(({ data }) => `[${data.length}] ${utf8(data) ?? '(unparseable)'}`)
  return memos.length > 0 ? memos.join('; ') : null
}

/** Text of UTF-8 bytes, or undefined when they are not UTF-8. */
export function utf8(bytes: ReadonlyUint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes as Uint8Array)
  } catch {
    return undefined
  }
}

function nonceAccountOf(instructions: readonly TransactionInstruction[], accounts: readonly TransactionAccount[]): Address | undefined {
  const [first] = instructions
  if (!first || accounts[first.programIdIndex]?.address !== systemProgram) return undefined
  const isAdvanceNonce = first.data.length === 4 && first.data[0] === 4 && first.data[1] === 0 && first.data[2] === 0 && first.data[3] === 0
  const nonceAccount = accounts[first.accounts[0] ?? -1]
  return isAdvanceNonce && nonceAccount?.isWritable ? address(nonceAccount.address) : undefined
}
