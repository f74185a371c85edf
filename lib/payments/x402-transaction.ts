// Solana transactions as x402 exact sends them: decoded once to the few facts that decide a payment.
import { createHash } from 'node:crypto'
import { type Address, address, getAddressDecoder, getAddressEncoder } from '@solana/kit'
import { COMPUTE_BUDGET_PROGRAM_ADDRESS } from '@solana-program/compute-budget'
import { TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'

/** The memo program that x402 `exact` prescribes; @solana-program/memo 0.15 has another one as its default. */
export const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')
/** Lighthouse, with which Phantom and Solflare let a transaction assert what they promised their owner. */
export const lighthouseProgram = address('L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95')

/** One classic-token TransferChecked instruction. */
export type TokenTransfer = { source: Address; mint: Address; destination: Address; authority: Address; amountAtoms: bigint }

/** One instruction; `accounts` are places in the message's list of accounts, 0 is the fee payer. */
export type InstructionFacts = { program: Address; accounts: readonly number[]; data: Buffer }

/** What a transaction says. Lookup tables are refused: what cannot be read offline is not accepted. */
export type TransactionFacts = {
  messageHash: string
  feePayer: Address
  /** Whose signatures are required, the fee payer first. */
  signers: Address[]
  /** 64 bytes for every signer, in the same order; zeros where nobody signed yet. */
  signatures: Buffer[]
  messageBytes: Buffer
  /** The whole transaction as it was sent. */
  wireBytes: Buffer
  memos: string[]
  transfers: TokenTransfer[]
  /** The program of every instruction, in order. */
  programs: Address[]
  instructions: InstructionFacts[]
}

const transferCheckedTag = 12
const signatureBytes = 64
const keyBytes = 32
const maxNamesKept = 20_000

/** Decodes a base64 wire transaction, legacy or version 0. Throws on anything that is not exactly one, and on address lookup tables. */
export function readTransaction(wireBase64: string): TransactionFacts {
  const wireBytes = Buffer.from(wireBase64, 'base64')
  if (wireBytes.length === 0 || wireBytes.toString('base64') !== wireBase64) throw new Error('it is not base64')
  const reader = openReader(wireBytes)
  const signatures = reader.list(() => reader.bytes(signatureBytes))
  const messageBytes = wireBytes.subarray(reader.at())

  const version = (messageBytes[0] ?? 0) & 0x80 ? reader.byte() & 0x7f : 'legacy'
  if (version !== 'legacy' && version !== 0) throw new Error(`version ${version} is not known`)
  const [required, readonlySigners, readonlyOthers] = [reader.byte(), reader.byte(), reader.byte()]
  const keys = reader.list(() => reader.bytes(keyBytes))
  if (required < 1 || readonlySigners >= required || required + readonlyOthers > keys.length)
    throw new Error('its header contradicts itself')
  if (signatures.length !== required) throw new Error('it has not as many places for signatures as it requires')
  reader.bytes(keyBytes) // The blockhash.
  const names = keys.map(nameOf)
  if (new Set(names).size !== names.length) throw new Error('it names an account twice')

  const named = (place: number): Address => {
    const name = names[place]
    if (name === undefined) throw new Error('it names an account that it does not list')
    return name
  }
  const instructions = reader.list((): InstructionFacts => {
    const program = named(reader.byte())
    const accounts = [...reader.bytes(reader.length())]
    for (const place of accounts) named(place)
    return { program, accounts, data: reader.bytes(reader.length()) }
  })
  if (version === 0 && reader.length() > 0) throw new Error('address lookup tables are not accepted')
  if (reader.at() !== wireBytes.length) throw new Error('something follows its end')

  const transfers = instructions.filter(isTransfer).map(({ accounts, data }): TokenTransfer => {
    const [source, mint, destination, authority] = accounts.map(named)
    if (!source || !mint || !destination || !authority || data.length < 10) throw new Error('its transfer is not whole')
    return { source, mint, destination, authority, amountAtoms: data.readBigUInt64LE(1) }
  })
  return {
    messageHash: createHash('sha256').update(messageBytes).digest('hex'),
    feePayer: named(0),
    signers: names.slice(0, required),
    signatures,
    messageBytes,
    wireBytes,
    memos: instructions.filter(({ program }) => program === memoProgram).map(({ data }) => data.toString('utf8')),
    transfers,
    programs: instructions.map(({ program }) => program),
    instructions,
  }
}

/** Whether an instruction is the classic token program's TransferChecked. */
export function isTransfer({ program, data }: Pick<InstructionFacts, 'program' | 'data'>): boolean {
  return program === TOKEN_PROGRAM_ADDRESS && data[0] === transferCheckedTag
}

/** The same transaction with the fee payer's signature in its place, base64. */
export function withFeePayerSignature(
  facts: Pick<TransactionFacts, 'wireBytes' | 'messageBytes' | 'signatures'>,
  signature: Buffer,
): string {
  const wire = Buffer.from(facts.wireBytes)
  signature.copy(wire, wire.length - facts.messageBytes.length - facts.signatures.length * signatureBytes)
  return wire.toString('base64')
}

/** Reads what Solana's wire format is made of. Every read past the end throws. */
function openReader(bytes: Buffer) {
  let offset = 0
  function take(count: number): Buffer {
    if (offset + count > bytes.length) throw new Error('it ends too soon')
    offset += count
    return bytes.subarray(offset - count, offset)
  }
  const byte = (): number => take(1)[0] as number
  /** A compact-u16 in its only allowed, shortest form. */
  function length(): number {
    let value = 0
    for (let shift = 0; shift <= 14; shift += 7) {
      const next = byte()
      value |= (next & 0x7f) << shift
      if (next & 0x80) continue
      if ((next === 0 && shift > 0) || value > 0xffff) break
      return value
    }
    throw new Error('one of its lengths is malformed')
  }
  return {
    at: () => offset,
    byte,
    bytes: take,
    length,
    list: <T>(read: () => T): T[] => Array.from({ length: length() }, read),
  }
}

/** Base58 is the dear part of reading: names that come again are remembered. */
const kept = new Map<string, Address>()
for (const known of [COMPUTE_BUDGET_PROGRAM_ADDRESS, TOKEN_PROGRAM_ADDRESS, memoProgram, lighthouseProgram])
  kept.set(Buffer.from(getAddressEncoder().encode(known)).toString('latin1'), known)

function nameOf(key: Buffer): Address {
  const bytes = key.toString('latin1')
  const known = kept.get(bytes)
  if (known) return known
  const name = getAddressDecoder().decode(key)
  if (kept.size >= maxNamesKept) kept.clear()
  kept.set(bytes, name)
  return name
}
