// Index over every transaction that ever landed: by signature, by address, by message (so that none runs twice).
import type { TransactionErrorJson } from './transaction-error.ts'
import type { Write } from './write-log.ts'

/** What is kept in memory of a landed transaction; the rest lies in the journal at `position`. */
export interface HistoryEntry extends Write {
  signature: string
  messageHash: string
  err: TransactionErrorJson | null
  memo: string | null
  addresses: string[]
}

/** All landed transactions, oldest first within each address. */
export class History {
  private readonly entries: HistoryEntry[] = []
  private readonly bySignature = new Map<string, HistoryEntry>()
  private readonly byAddress = new Map<string, HistoryEntry[]>()
  private readonly messageHashes = new Set<string>()

  add(entry: HistoryEntry): void {
    this.entries.push(entry)
    this.bySignature.set(entry.signature, entry)
    this.messageHashes.add(entry.messageHash)
    for (const address of new Set(entry.addresses)) {
      const list = this.byAddress.get(address)
      if (list) list.push(entry)
      else this.byAddress.set(address, [entry])
    }
  }

  /** Forgets one, as if it had never landed. */
  remove(entry: HistoryEntry): void {
    const without = (list: HistoryEntry[]) => list.splice(list.lastIndexOf(entry), 1)
    without(this.entries)
    this.bySignature.delete(entry.signature)
    this.messageHashes.delete(entry.messageHash)
    for (const address of new Set(entry.addresses)) without(this.byAddress.get(address) ?? [])
  }

  all(): readonly HistoryEntry[] {
    return this.entries
  }

  find(signature: string): HistoryEntry | undefined {
    return this.bySignature.get(signature)
  }

  hasMessage(messageHash: string): boolean {
    return this.messageHashes.has(messageHash)
  }

  /**
   * An address's transactions up to `newestSlot`, newest first, starting after `before` and ending ahead of `until`.
   * A `before` that is not among them yields nothing; an `until` that is not ends nothing: as a validator, where what is newer than
   * the commitment asked for is not known. Source: Agave, blockstore, get_confirmed_signatures_for_address2.
   */
  ofAddress(
    address: string,
    page: { limit: number; newestSlot: number; before?: string | undefined; until?: string | undefined },
  ): HistoryEntry[] {
    const list = this.byAddress.get(address) ?? []
    const found: HistoryEntry[] = []
    let isPast = page.before === undefined
    for (let index = list.length - 1; index >= 0 && found.length < page.limit; index--) {
      const entry = list[index]
      if (!entry || entry.slot > page.newestSlot) continue
      if (entry.signature === page.until) break
      if (isPast) found.push(entry)
      if (entry.signature === page.before) isPast = true
    }
    return found
  }
}
