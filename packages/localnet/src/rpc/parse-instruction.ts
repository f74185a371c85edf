// Names what common instructions do (system, token, associated token account, memo), for the jsonParsed encoding.
import type { ReadonlyUint8Array } from '@solana/kit'
import { getAddressDecoder } from '@solana/kit'
import { utf8 } from '../decode-transaction.ts'
import { tokenPrograms, uiTokenAmount } from '../token-state.ts'

/** An instruction with its accounts resolved to addresses. */
export interface ResolvedInstruction {
  programId: string
  accounts: string[]
  data: ReadonlyUint8Array
}

type Info = Record<string, unknown>
type Parsed = { type: string; info: Info }

/** `program` and `parsed` of an instruction, or undefined when it is not known here: then it is written partially decoded. */
export function parseInstruction(instruction: ResolvedInstruction): { program: string; parsed: Parsed | string } | undefined {
  const { programId, data } = instruction
  if (programId === 'MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr' || programId === 'Memo1UhkJRfHyvLMcVucJwxXeuD728EqVDDwQDxFMNo') {
    const text = utf8(data)
    return text === undefined ? undefined : { program: 'spl-memo', parsed: text }
  }
  const program = programNames[programId] ?? tokenPrograms.get(programId)
  if (!program) return undefined
  try {
    const parsed =
      program === 'system'
        ? parseSystem(instruction)
        : program === 'spl-associated-token-account'
          ? parseAta(instruction)
          : parseToken(instruction)
    return parsed && { program, parsed }
  } catch (error) {
    // Too short for what its first byte promises: the program failed on it as well, so it is shown as raw data.
    if (error instanceof RangeError) return undefined
    throw error
  }
}

const programNames: Record<string, string> = {
  '11111111111111111111111111111111': 'system',
  ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL: 'spl-associated-token-account',
}

function view(data: ReadonlyUint8Array): DataView {
  const bytes = new Uint8Array(data)
  return new DataView(bytes.buffer)
}

function addressAt(data: ReadonlyUint8Array, offset: number): string {
  if (offset + 32 > data.length) throw new RangeError('no address there')
  return getAddressDecoder().decode(data.slice(offset, offset + 32))
}

function parseSystem({ accounts, data }: ResolvedInstruction): Parsed | undefined {
  const bytes = view(data)
  const [first, second, third] = accounts
  switch (bytes.getUint32(0, true)) {
    case 0: {
      const amounts = { lamports: bytes.getBigUint64(4, true), space: bytes.getBigUint64(12, true) }
      return { type: 'createAccount', info: { source: first, newAccount: second, ...amounts, owner: addressAt(data, 20) } }
    }
    case 1:
      return { type: 'assign', info: { account: first, owner: addressAt(data, 4) } }
    case 2:
      return { type: 'transfer', info: { source: first, destination: second, lamports: bytes.getBigUint64(4, true) } }
    case 4:
      return { type: 'advanceNonce', info: { nonceAccount: first, recentBlockhashesSysvar: second, nonceAuthority: third } }
    case 8:
      return { type: 'allocate', info: { account: first, space: bytes.getBigUint64(4, true) } }
    default:
      return undefined
  }
}

function parseAta({ accounts, data }: ResolvedInstruction): Parsed | undefined {
  const kind = data.length === 0 ? 0 : data[0]
  if (kind !== 0 && kind !== 1) return undefined
  const [source, account, wallet, mint, systemProgram, tokenProgram] = accounts
  return { type: kind === 0 ? 'create' : 'createIdempotent', info: { source, account, wallet, mint, systemProgram, tokenProgram } }
}

function parseToken({ accounts, data }: ResolvedInstruction): Parsed | undefined {
  const bytes = view(data)
  const [first, second, third] = accounts
  const amount = () => ({ amount: bytes.getBigUint64(1, true).toString() })
  const tokenAmount = () => ({ tokenAmount: uiTokenAmount(bytes.getBigUint64(1, true), bytes.getUint8(9)) })
  switch (bytes.getUint8(0)) {
    case 3:
      return { type: 'transfer', info: { source: first, destination: second, ...amount(), ...authorityAt(accounts, 2, 'authority') } }
    case 4:
      return { type: 'approve', info: { source: first, delegate: second, ...amount(), ...authorityAt(accounts, 2, 'owner') } }
    case 5:
      return { type: 'revoke', info: { source: first, ...authorityAt(accounts, 1, 'owner') } }
    case 7:
      return { type: 'mintTo', info: { mint: first, account: second, ...amount(), ...authorityAt(accounts, 2, 'mintAuthority') } }
    case 8:
      return { type: 'burn', info: { account: first, mint: second, ...amount(), ...authorityAt(accounts, 2, 'authority') } }
    case 9:
      return { type: 'closeAccount', info: { account: first, destination: second, ...authorityAt(accounts, 2, 'owner') } }
    case 12: {
      const ends = { source: first, mint: second, destination: third }
      return { type: 'transferChecked', info: { ...ends, ...tokenAmount(), ...authorityAt(accounts, 3, 'authority') } }
    }
    case 14:
      return {
        type: 'mintToChecked',
        info: { mint: first, account: second, ...tokenAmount(), ...authorityAt(accounts, 2, 'mintAuthority') },
      }
    case 15:
      return { type: 'burnChecked', info: { account: first, mint: second, ...tokenAmount(), ...authorityAt(accounts, 2, 'authority') } }
    case 18:
      return { type: 'initializeAccount3', info: { account: first, mint: second, owner: addressAt(data, 1) } }
    case 22:
      return { type: 'initializeImmutableOwner', info: { account: first } }
    default:
      return undefined
  }
}

// A single signer stands under `name`; a multisig stands under its own name, its signers behind it.
function authorityAt(accounts: readonly string[], index: number, name: string): Info {
  if (accounts.length <= index + 1) return { [name]: accounts[index] }
  const multisigName = `multisig${name.charAt(0).toUpperCase()}${name.slice(1)}`
  return { [multisigName]: accounts[index], signers: accounts.slice(index + 1) }
}
