// What the chain writes down: the shapes of its journal lines and of its snapshot, and accounts in a form JSON can hold.
import { type Address, address, type EncodedAccount, lamports } from '@solana/kit'
import type { HistoryEntry } from './history.ts'
import type { Boot } from './slot-clock.ts'
import type { TokenBalance } from './token-state.ts'
import type { TransactionErrorJson } from './transaction-error.ts'
import type { Write } from './write-log.ts'

/** An account as written down: address, lamports, owner, data in base64, executable. No lamports means it no longer exists. */
export type StoredAccount = [address: string, lamports: string, owner: string, data: string, executable: boolean]

/** An instruction a program ran itself; indexes are into the transaction's accounts. */
export interface StoredInnerInstruction {
  programIdIndex: number
  accounts: number[]
  /** base58 */
  data: string
  stackHeight: number
}

/** What running a transaction brought about, in JSON-RPC's shapes; big integers are decimal strings. */
export interface TransactionOutcome {
  err: TransactionErrorJson | null
  fee: string
  computeUnits: string
  logs: string[]
  innerInstructions: { index: number; instructions: StoredInnerInstruction[] }[]
  preBalances: string[]
  postBalances: string[]
  preTokenBalances: TokenBalance[]
  postTokenBalances: TokenBalance[]
  returnData: { programId: string; data: [string, 'base64'] } | null
}

/** A transaction that landed, whether it succeeded or failed. */
export interface LandedTransaction extends TransactionOutcome {
  kind: 'transaction'
  signature: string
  messageHash: string
  slot: number
  /** Wire bytes, base64. */
  wire: string
  memo: string | null
  /** Every account the transaction names, looked-up ones included, in the transaction's order. */
  addresses: string[]
  /** How many of litesvm's own blockhashes had been used up by then. */
  svmBlockhashes: number
  /** The accounts it could write, as they were afterwards. */
  accounts: StoredAccount[]
  /** The same accounts as they were before: what a fork puts back, and what is read below its slot. Older journals lack it. */
  accountsBefore?: StoredAccount[]
}

/** An account changed by a planned fault and by no transaction. */
export interface InterventionRecord {
  kind: 'intervention'
  slot: number
  accounts: StoredAccount[]
  accountsBefore: StoredAccount[]
}

/** Landed transactions dropped as on a fork. */
export interface ForkRecord {
  kind: 'fork'
  /** The dropped ones, newest first. */
  signatures: string[]
  /** The message that never lands again, if one is to. */
  barredMessageHash: string | null
  /** The accounts they had written, as they are without them. */
  accounts: StoredAccount[]
}

/** The accounts a chain begins with, or gains when it is opened by a newer program. */
export interface GenesisRecord {
  kind: 'genesis'
  accounts: StoredAccount[]
}

/** A start of the process. */
export interface BootRecord extends Boot {
  kind: 'boot'
}

/** One line of the journal. */
export type JournalRecord = LandedTransaction | InterventionRecord | ForkRecord | GenesisRecord | BootRecord

/** First line of a snapshot; a history entry per line follows. It stands for the journal's first `journalBytes`. */
export interface SnapshotHead {
  kind: 'snapshot'
  journalBytes: number
  svmBlockhashes: number
  boots: Boot[]
  accounts: StoredAccount[]
  /** Absent in older snapshots, as `barred` is. */
  interventions?: Write[]
  /** Message hashes that never land again. */
  barred?: string[]
}

/** Nothing at an address, written down. */
export const noAccount = (key: Address): StoredAccount => [key, '0', '11111111111111111111111111111111', '', false]

/** Writes an account down. */
export function storedAccount(account: EncodedAccount): StoredAccount {
  return [
    account.address,
    account.lamports.toString(),
    account.programAddress,
    Buffer.from(account.data as Uint8Array).toString('base64'),
    account.executable,
  ]
}

/** Reads an account that was written down; no lamports means there is none any more. */
export function accountFromStored([key, amount, owner, data, executable]: StoredAccount): EncodedAccount {
  const bytes = new Uint8Array(Buffer.from(data, 'base64'))
  return {
    address: key as Address,
    lamports: lamports(BigInt(amount)),
    programAddress: address(owner),
    data: bytes,
    executable,
    space: BigInt(bytes.length),
  }
}

/** What the history keeps of a landed transaction whose line lies at `position`. */
export function entryFromLanded(landed: LandedTransaction, position: HistoryEntry['position']): HistoryEntry {
  const { signature, messageHash, slot, err, memo, addresses, accountsBefore = [] } = landed
  return { signature, messageHash, slot, err, memo, addresses, written: accountsBefore.map(([key]) => key), position }
}
