// Index over every transaction that ever landed: by signature, by address, by message (so that none runs twice).
import type { LinePosition } from './journal.ts'
import type { TransactionErrorJson } from './transaction-error.ts'

/** What is kept in memory of a landed transaction; the rest lies in the journal at `position`. */
export interface HistoryEntry {
  signature: string
  messageHash: string
  slot: number
  err: TransactionErrorJson | null
  memo: string | null
  addresses: string[]
  position: LinePosition
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
   * A `before` that never touched the address yields nothing; an unknown `until` ends nothing.
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
      if (!entry || entry.signature === page.until) break
      if (isPast && entry.slot <= page.newestSlot) found.push(entry)
      if (entry.signature === page.before) isPast = true
    }
    return found
  }
}
