// Solana transactions as x402 exact sends them: decoded to the few facts that decide a payment.
import { createHash } from 'node:crypto'
import {
  type Address,
  address,
  decompileTransactionMessage,
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  getUtf8Decoder,
  type SignatureBytes,
  type Transaction,
} from '@solana/kit'
import { parseTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'

/** The memo program that x402 `exact` prescribes; @solana-program/memo 0.15 has another one as its default. */
export const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

/** One classic-token TransferChecked instruction. */
export type TokenTransfer = { source: Address; mint: Address; destination: Address; authority: Address; amountAtoms: bigint }

/** What a transaction says. Lookup tables are refused: what cannot be read offline is not accepted. */
export type TransactionFacts = {
  messageHash: string
  feePayer: Address
  signers: Address[]
  signatures: Record<string, SignatureBytes | null>
  messageBytes: Uint8Array
  memos: string[]
  transfers: TokenTransfer[]
  /** The program of every instruction, in order. */
  programs: Address[]
}

/** Decodes a base64 wire transaction. Throws on anything that is not one, and on address lookup tables. */
export function readTransaction(wireBase64: string): TransactionFacts {
  const transaction: Transaction = getTransactionDecoder().decode(getBase64Encoder().encode(wireBase64))
  const messageBytes = new Uint8Array(transaction.messageBytes)
  const compiled = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
  if ('addressTableLookups' in compiled && compiled.addressTableLookups && compiled.addressTableLookups.length > 0)
    throw new Error('address lookup tables are not accepted')
  const message = decompileTransactionMessage(compiled)
  const memos: string[] = []
  const transfers: TokenTransfer[] = []
  const programs: Address[] = []
  for (const instruction of message.instructions) {
    programs.push(instruction.programAddress)
    const data = instruction.data ? new Uint8Array(instruction.data) : new Uint8Array()
    if (instruction.programAddress === memoProgram) memos.push(getUtf8Decoder().decode(data))
    if (instruction.programAddress === TOKEN_PROGRAM_ADDRESS && data[0] === 12 && instruction.accounts) {
      const parsed = parseTransferCheckedInstruction({ programAddress: TOKEN_PROGRAM_ADDRESS, accounts: [...instruction.accounts], data })
      transfers.push({
        source: parsed.accounts.source.address,
        mint: parsed.accounts.mint.address,
        destination: parsed.accounts.destination.address,
        authority: parsed.accounts.authority.address,
        amountAtoms: parsed.data.amount,
      })
    }
  }
  return {
    messageHash: createHash('sha256').update(messageBytes).digest('hex'),
    feePayer: message.feePayer.address,
    signers: Object.keys(transaction.signatures) as Address[],
    signatures: transaction.signatures,
    messageBytes,
    memos,
    transfers,
    programs,
  }
}
