// The chain itself: runs transactions in litesvm under a validator's rules and writes every landed one down before answering.
import { createHash } from 'node:crypto'
import { type Address, type EncodedAccount, getBase58Decoder, getBase58Encoder, lamports } from '@solana/kit'
import { Clock, FailedTransactionMetadata, LiteSVM, type SlotHash } from 'litesvm'
import { AccountStore } from './account-store.ts'
import {
  accountFromStored,
  entryFromLanded,
  type ForkRecord,
  type InterventionRecord,
  type JournalRecord,
  type LandedTransaction,
  noAccount,
  type StoredAccount,
  storedAccount,
  type TransactionOutcome,
} from './chain-records.ts'
import { type DecodedTransaction, decodeTransaction, withBlockhash } from './decode-transaction.ts'
import { FaultImpossibleError } from './faults.ts'
import { type ChainKeys, chainKeys, genesisAccounts } from './genesis.ts'
import { History, type HistoryEntry } from './history.ts'
import { fileJournal, type Journal, type LinePosition, memoryJournal } from './journal.ts'
import { recall, writeSnapshot } from './recall-chain.ts'
import { SlotClock } from './slot-clock.ts'
import { type TransactionErrorJson, transactionErrorJson } from './transaction-error.ts'
import { outcomeOf, type Run } from './transaction-outcome.ts'
import { type Write, WriteLog } from './write-log.ts'

/** How sure a slot is: processed and confirmed are the same here, finalized comes `finalitySlots` later. */
export type Commitment = 'processed' | 'confirmed' | 'finalized'

/** Slots in an epoch, as on mainnet. */
export const slotsPerEpoch = 432_000

/** What a simulation found; `account` gives an account as the transaction would leave it. */
export interface Simulation extends TransactionOutcome {
  account: (key: Address) => EncodedAccount | undefined
}

/** What became of the transactions that a fork undid; signatures. */
export interface Forked {
  /** Newest first. */
  dropped: string[]
  /** In the order in which they landed. */
  landedAgain: string[]
}

/** A transaction was not taken: it did not land and cost nothing. */
export interface Rejection {
  rejected: TransactionErrorJson
  logs: string[]
}

/** One local Solana. All of it is synchronous: what a method has returned has happened and is written down. */
export class Chain {
  readonly keys: ChainKeys
  readonly clock: SlotClock
  readonly accounts: AccountStore
  readonly history = new History()
  readonly finalitySlots: number
  private readonly svm: LiteSVM
  private readonly journal: Journal
  private readonly writes = new WriteLog()
  private readonly interventions: Write[]
  private readonly barred: Set<string>
  private readonly landedListeners = new Set<(landed: LandedTransaction) => void>()
  private readonly droppedListeners = new Set<(signatures: readonly string[]) => void>()
  private stalledFinalSlot: number | undefined
  private readonly decimalsOf = (mint: Address): number | undefined => this.accounts.decimalsOf(mint)
  private svmSlot = 0
  private svmBlockhashes = 0

  /** Restores what the journal knows, or begins a new chain. */
  constructor(options: { keys: ChainKeys; journal: Journal; slotMs: number; finalitySlots: number }) {
    this.keys = options.keys
    this.journal = options.journal
    this.finalitySlots = options.finalitySlots
    // litesvm's own checks know only the newest blockhash and forget old transactions: both are done here instead.
    this.svm = new LiteSVM().withBlockhashCheck(false).withTransactionHistory(0n)
    this.accounts = new AccountStore(this.svm)
    const memory = recall(this.journal)
    for (const account of memory.accounts) this.accounts.restore(account)
    for (const entry of memory.entries) this.history.add(entry)
    this.interventions = memory.interventions
    this.barred = new Set(memory.barred)
    const writes: Write[] = [...memory.entries, ...memory.interventions]
    for (const write of writes.sort((a, b) => a.position.offset - b.position.offset)) this.writes.add(write)
    this.svmBlockhashes = memory.svmBlockhashes
    this.createGenesis(memory.accounts)
    this.clock = new SlotClock(memory.boots, this.keys.blockhashSeed, options.slotMs)
    this.write({ kind: 'boot', ...this.clock.boot })
    // A nonce derives from litesvm's blockhash: that must never repeat, so what earlier runs used up is passed over.
    for (let used = 0; used <= this.svmBlockhashes; used++) this.svm.expireBlockhash()
    this.svmBlockhashes += 1
  }

  /** The newest slot of a commitment; what was there before the first slot is final from the start. */
  slot(commitment: Commitment): number {
    const slot = this.clock.advance()
    return commitment === 'finalized' ? (this.stalledFinalSlot ?? Math.max(this.clock.firstSlot - 1, slot - this.finalitySlots)) : slot
  }

  /** Keeps the finalized slot where it is, as when the stake disagrees; when that ends it is at once where it would have been. */
  stallFinality(isStalled: boolean): void {
    if (!isStalled) this.stalledFinalSlot = undefined
    else this.stalledFinalSlot ??= this.slot('finalized')
  }

  /** The account as it was when a slot ended, or undefined when nothing with lamports was there. */
  accountAt(key: Address, slot: number): EncodedAccount | undefined {
    const write = this.writes.firstAfter(key, slot)
    if (!write) return this.accounts.get(key)
    const before = this.beforeOf(write).find(([address]) => address === key)
    if (!before) throw new Error(`the journal lacks ${key} as it was before slot ${write.slot}`)
    const account = accountFromStored(before)
    return account.lamports > 0n ? account : undefined
  }

  /** Lamports an account of this many bytes must hold. */
  rentExemptLamports(bytes: bigint): bigint {
    return this.svm.minimumBalanceForRentExemption(bytes)
  }

  /** Reads wire bytes; throws an Error with a reason when they are malformed. */
  decode(wire: Uint8Array): DecodedTransaction {
    return decodeTransaction(wire, (table, index) => this.accounts.lookupTable(table)?.[index])
  }

  /** Everything known of a landed transaction. */
  landed(entry: HistoryEntry): LandedTransaction {
    return JSON.parse(this.journal.read(entry.position)) as LandedTransaction
  }

  /** Calls back for every transaction right after it landed; returns the way to stop it. */
  onLanded(listener: (landed: LandedTransaction) => void): () => void {
    this.landedListeners.add(listener)
    return () => this.landedListeners.delete(listener)
  }

  /** Calls back with the signatures that a fork dropped. */
  onDropped(listener: (signatures: readonly string[]) => void): void {
    this.droppedListeners.add(listener)
  }

  /**
   * Drops a landed transaction that is not final, as a fork does, and every later one that wrote an account that it wrote: what they did
   * is undone and they have never been. Each can land again while its blockhash lives; `isForever` keeps the one named out for good.
   * With `isAlone` the later ones are run again at once, in their order: those that can land in a newer slot, as when the other fork has
   * them too. Throws FaultImpossibleError when the signature is unknown or the transaction is final.
   */
  fork(signature: string, options: { isForever: boolean; isAlone: boolean }): Forked {
    const entry = this.history.find(signature)
    if (!entry) throw new FaultImpossibleError(404, `no transaction ${signature} has landed`)
    if (entry.slot <= this.slot('finalized')) throw new FaultImpossibleError(409, `the transaction is final since slot ${entry.slot}`)
    if (entry.written.length === 0) throw new FaultImpossibleError(409, 'the journal does not say what the accounts were before')
    const lost = this.writes.withDependents(entry).reverse()
    if (lost.some((write) => this.interventions.includes(write))) {
      throw new FaultImpossibleError(409, 'one of its accounts was drained since: no fork undoes that')
    }

    const dropped = lost as HistoryEntry[]
    const wires = dropped.map((write) => this.landed(write).wire)
    // Newest first: the oldest one's state of an account is the one that stays.
    const restored = new Map<string, StoredAccount>()
    for (const write of dropped) for (const account of this.beforeOf(write)) restored.set(account[0], account)
    const signatures = dropped.map((write) => write.signature)
    const barredMessageHash = options.isForever ? entry.messageHash : null
    this.append({ kind: 'fork', signatures, barredMessageHash, accounts: [...restored.values()] })
    if (barredMessageHash !== null) this.barred.add(barredMessageHash)
    for (const account of restored.values()) this.accounts.restore(accountFromStored(account))
    for (const write of dropped) {
      this.history.remove(write)
      this.writes.remove(write)
    }
    for (const listener of this.droppedListeners) listener(signatures)

    // The named one is the oldest.
    const again = options.isAlone ? wires.slice(0, -1).reverse() : []
    const landedAgain = again.flatMap((wire) => {
      const result = this.execute(this.decode(new Uint8Array(Buffer.from(wire, 'base64'))))
      return 'rejected' in result ? [] : [result.signature]
    })
    return { dropped: signatures.filter((one) => !landedAgain.includes(one)), landedAgain }
  }

  /** Takes all lamports of an address away, and with them whatever account is there. No transaction of the chain could do that. */
  drain(key: Address): void {
    this.enterSlot()
    const before = this.accounts.get(key)
    if (!before) return
    this.accounts.restore({ ...before, lamports: lamports(0n), data: new Uint8Array(0), space: 0n })
    this.write({
      kind: 'intervention',
      slot: this.svmSlot,
      accounts: [noAccount(key)],
      accountsBefore: [storedAccount(before)],
    })
  }

  /** Runs a transaction for good. It may land and still have failed (`err`): then its fee is gone, as on a validator. */
  execute(decoded: DecodedTransaction): LandedTransaction | Rejection {
    this.enterSlot()
    if (!decoded.isFullySigned) return { rejected: 'SignatureFailure', logs: [] }
    const refusal = this.refusalOf(decoded)
    if (refusal) return { rejected: refusal, logs: [] }

    const before = this.accountsOf(decoded)
    const run = this.send(decoded)
    const feePaid = this.accounts.get(decoded.accounts[0]?.address as Address)?.lamports !== before[0]?.lamports
    if (run.err !== null && !feePaid) return { rejected: run.err, logs: run.meta.logs() }
    if (run.err !== null && decoded.nonceAccount) this.advanceNonce(decoded.nonceAccount)

    const landed: LandedTransaction = {
      kind: 'transaction',
      signature: decoded.signature,
      messageHash: decoded.messageHash,
      slot: this.svmSlot,
      wire: Buffer.from(decoded.wire).toString('base64'),
      memo: decoded.memo,
      addresses: decoded.accounts.map((account) => account.address),
      svmBlockhashes: this.svmBlockhashes,
      accounts: decoded.accounts.filter((account) => account.isWritable).map((account) => this.accounts.note(account.address)),
      accountsBefore: decoded.accounts.flatMap((named, index) => (named.isWritable ? [storedOr(before[index], named.address)] : [])),
      ...outcomeOf(decoded.fee, run, before, this.accountsOf(decoded), this.decimalsOf),
    }
    this.write(landed)
    for (const listener of this.landedListeners) listener(landed)
    return landed
  }

  /**
   * Runs a transaction without effect. `isSigned` demands its signatures; with `isBlockhashReplaced` it is judged as if it were
   * made now, so neither its age nor an earlier run of it counts.
   */
  simulate(decoded: DecodedTransaction, options: { isSigned: boolean; isBlockhashReplaced: boolean }): Simulation | Rejection {
    this.enterSlot()
    if (options.isSigned && !decoded.isFullySigned) return { rejected: 'SignatureFailure', logs: [] }
    const refusal = options.isBlockhashReplaced ? undefined : this.refusalOf(decoded)
    if (refusal) return { rejected: refusal, logs: [] }
    const subject = options.isBlockhashReplaced
      ? this.decode(withBlockhash(decoded, getBase58Encoder().encode(this.clock.blockhash(this.svmSlot))))
      : decoded

    const before = this.accountsOf(subject)
    const run = this.trySimulate(subject, options.isSigned)
    const after = new Map(run.postAccounts.map((account) => [account.address, account]))
    const account = (key: Address): EncodedAccount | undefined => {
      const found = after.get(key) ?? this.accounts.get(key)
      return found && found.lamports > 0n ? found : undefined
    }
    const left = subject.accounts.map((named) => account(named.address))
    const outcome = outcomeOf(subject.fee, run, before, left, this.decimalsOf)
    return { ...outcome, account }
  }

  /** Writes a snapshot, so that the next start need not read the whole journal, and lets go of the files. */
  close(): void {
    const { svmBlockhashes, interventions } = this
    const state = { svmBlockhashes, boots: this.clock.boots, accounts: this.accounts.all(), interventions, barred: [...this.barred] }
    writeSnapshot(this.journal, state, this.history.all())
    this.journal.close()
  }

  // A chain that an older program began gains what it lacks.
  private createGenesis(known: readonly EncodedAccount[]): void {
    const addresses = new Set(known.map((account) => account.address))
    const all = genesisAccounts(this.keys.mintAuthority.address, (bytes) => this.rentExemptLamports(BigInt(bytes)))
    const accounts = all.filter((account) => !addresses.has(account.address))
    if (accounts.length === 0) return
    for (const account of accounts) this.accounts.restore(account)
    this.write({ kind: 'genesis', accounts: accounts.map(storedAccount) })
  }

  private beforeOf(write: Write): StoredAccount[] {
    return (JSON.parse(this.journal.read(write.position)) as LandedTransaction | InterventionRecord).accountsBefore ?? []
  }

  private write(record: Exclude<JournalRecord, ForkRecord>): void {
    const position = this.append(record)
    if (record.kind === 'transaction') {
      const entry = entryFromLanded(record, position)
      this.history.add(entry)
      this.writes.add(entry)
    }
    if (record.kind === 'intervention') {
      const intervention = { slot: record.slot, written: record.accountsBefore.map(([key]) => key), position }
      this.interventions.push(intervention)
      this.writes.add(intervention)
    }
  }

  private append(record: JournalRecord): LinePosition {
    try {
      return this.journal.append(JSON.stringify(record))
    } catch (error) {
      // Memory is now ahead of the disk: the process must end, and the next one will know only what was written down.
      process.nextTick(() => {
        throw error
      })
      throw error
    }
  }

  // Tells litesvm which slot it is, before it runs anything.
  private enterSlot(): void {
    const slot = this.clock.advance()
    if (slot === this.svmSlot) return
    this.svmSlot = slot
    const epoch = BigInt(Math.floor(slot / slotsPerEpoch))
    const unixTime = BigInt(this.clock.blockTime(slot) ?? 0)
    this.svm.setClock(new Clock(BigInt(slot), unixTime, epoch, epoch + 1n, unixTime))
    const slotHashes = this.clock.recentBlockhashes().map(([hash, at]) => ({ slot: BigInt(at), hash }))
    this.svm.setSlotHashes(slotHashes as SlotHash[])
    this.svm.expireBlockhash()
    this.svmBlockhashes += 1
  }

  // Why a bank would not even run this, in a bank's order: age first, then whether it ran before. What a fork took for good is refused
  // as what refers to a block of a dead fork is: its blockhash is not found.
  private refusalOf(decoded: DecodedTransaction): TransactionErrorJson | undefined {
    if (this.barred.has(decoded.messageHash)) return 'BlockhashNotFound'
    if (this.clock.slotOfBlockhash(decoded.lifetimeToken) === undefined && !this.isCurrentNonce(decoded)) return 'BlockhashNotFound'
    return this.history.hasMessage(decoded.messageHash) ? 'AlreadyProcessed' : undefined
  }

  // Layout of a nonce account: version u32, state u32 (1 = initialized), authority 32, nonce 32, fee u64.
  private isCurrentNonce(decoded: DecodedTransaction): boolean {
    const account = decoded.nonceAccount && this.accounts.get(decoded.nonceAccount)
    if (account?.data.length !== 80 || account.data[4] !== 1 || account.programAddress !== '11111111111111111111111111111111') return false
    return getBase58Decoder().decode(account.data.slice(40, 72)) === decoded.lifetimeToken
  }

  // A bank uses a nonce up even when the transaction fails; litesvm rolls it back. Source: solana-nonce, DurableNonce::from_blockhash.
  private advanceNonce(key: Address): void {
    const account = this.accounts.get(key)
    if (account?.data.length !== 80) return
    const data = new Uint8Array(account.data)
    const blockhash = getBase58Encoder().encode(this.svm.latestBlockhash())
    data.set(
      createHash('sha256')
        .update('DURABLE_NONCE')
        .update(blockhash as Uint8Array)
        .digest(),
      40,
    )
    this.accounts.replaceData(key, data)
  }

  private send(decoded: DecodedTransaction): Run {
    const result = this.svm.sendTransaction(decoded.transaction)
    if (result instanceof FailedTransactionMetadata) return { err: transactionErrorJson(result), meta: result.meta(), postAccounts: [] }
    return { err: null, meta: result, postAccounts: [] }
  }

  private trySimulate(decoded: DecodedTransaction, isSigned: boolean): Run {
    this.svm.withSigverify(isSigned)
    try {
      const result = this.svm.simulateTransaction(decoded.transaction)
      if (result instanceof FailedTransactionMetadata) return { err: transactionErrorJson(result), meta: result.meta(), postAccounts: [] }
      return { err: null, meta: result.meta(), postAccounts: result.postAccounts() }
    } finally {
      this.svm.withSigverify(true)
    }
  }

  private accountsOf(decoded: DecodedTransaction): (EncodedAccount | undefined)[] {
    return decoded.accounts.map((named) => this.accounts.get(named.address))
  }
}

function storedOr(account: EncodedAccount | undefined, key: Address): StoredAccount {
  return account ? storedAccount(account) : noAccount(key)
}

/** Opens the chain of a data dir, or a chain that lives only as long as the process. */
export async function openChain(options: { dataDir?: string | undefined; slotMs: number; finalitySlots: number }): Promise<Chain> {
  const keys = await chainKeys(options.dataDir)
  const journal = options.dataDir === undefined ? memoryJournal() : fileJournal(options.dataDir)
  return new Chain({ keys, journal, slotMs: options.slotMs, finalitySlots: options.finalitySlots })
}
