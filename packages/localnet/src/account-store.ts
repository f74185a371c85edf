// Accounts of the chain: reads them from litesvm, keeps track of which exist, and who owns which token account.
import type { Address, EncodedAccount } from '@solana/kit'
import type { LiteSVM } from 'litesvm'
import { noAccount, type StoredAccount, storedAccount } from './chain-records.ts'
import { lookupTableAddresses } from './decode-transaction.ts'
import { mintOf, tokenAccountOf } from './token-state.ts'

/** Reads accounts; litesvm holds them, this holds what litesvm cannot list. */
export class AccountStore {
  private readonly svm: LiteSVM
  private readonly written = new Set<Address>()
  private readonly byProgram = new Map<Address, Set<Address>>()
  private readonly byTokenOwner = new Map<Address, Set<Address>>()

  constructor(svm: LiteSVM) {
    this.svm = svm
  }

  /** The account, or undefined when nothing with lamports is there. */
  get(key: Address): EncodedAccount | undefined {
    const account = this.svm.getAccount(key)
    return account.exists && account.lamports > 0n ? account : undefined
  }

  /** Puts an account as it was written down. */
  restore(account: EncodedAccount): void {
    this.svm.setAccount(account)
    this.note(account.address)
  }

  /** Must be told of every address a transaction may have written; returns the account as it now is, to be written down. */
  note(key: Address): StoredAccount {
    this.written.add(key)
    const account = this.get(key)
    if (!account) return noAccount(key)
    addTo(this.byProgram, account.programAddress, key)
    const token = tokenAccountOf(account)
    if (token) addTo(this.byTokenOwner, token.owner, key)
    return storedAccount(account)
  }

  /** Every account ever written that still exists, as it now is. */
  all(): StoredAccount[] {
    return [...this.written].flatMap((key) => this.get(key) ?? []).map(storedAccount)
  }

  /** The accounts of a program, each read with `read`. */
  ofProgram(program: Address, read: (key: Address) => EncodedAccount | undefined): EncodedAccount[] {
    return [...(this.byProgram.get(program) ?? [])]
      .flatMap((key) => read(key) ?? [])
      .filter((account) => account.programAddress === program)
  }

  /** The token accounts of an owner, each read with `read`. */
  tokenAccountsOfOwner(owner: Address, read: (key: Address) => EncodedAccount | undefined): EncodedAccount[] {
    const accounts = [...(this.byTokenOwner.get(owner) ?? [])].flatMap((key) => read(key) ?? [])
    return accounts.filter((account) => tokenAccountOf(account)?.owner === owner)
  }

  decimalsOf(mint: Address): number | undefined {
    const account = this.get(mint)
    return account && mintOf(account)?.decimals
  }

  lookupTable(table: Address): Address[] | undefined {
    const account = this.get(table)
    return account?.programAddress === 'AddressLookupTab1e1111111111111111111111111' ? lookupTableAddresses(account.data) : undefined
  }

  /** Overwrites the data of an account that exists. */
  replaceData(key: Address, data: Uint8Array): void {
    const account = this.get(key)
    if (account) this.svm.setAccount({ ...account, data })
  }
}

function addTo(index: Map<Address, Set<Address>>, key: Address, value: Address): void {
  const values = index.get(key)
  if (values) values.add(value)
  else index.set(key, new Set([value]))
}
