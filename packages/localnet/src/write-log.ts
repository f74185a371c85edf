// Who wrote which account when: what it takes to read an account as of a slot, and to undo what a fork drops.
import type { LinePosition } from './journal.ts'

/** Something that changed accounts; the journal line at `position` has them as they were before and as they were left. */
export interface Write {
  slot: number
  /** Addresses whose earlier state is written down; nothing in a journal from before that was kept. */
  written: string[]
  position: LinePosition
}

/** Every write since the chain began, in its order. */
export class WriteLog {
  private readonly writes: Write[] = []
  private readonly byAddress = new Map<string, Write[]>()

  add(write: Write): void {
    this.writes.push(write)
    for (const address of write.written) {
      const list = this.byAddress.get(address)
      if (list) list.push(write)
      else this.byAddress.set(address, [write])
    }
  }

  remove(write: Write): void {
    const without = (list: Write[]) => list.splice(list.lastIndexOf(write), 1)
    without(this.writes)
    for (const address of write.written) without(this.byAddress.get(address) ?? [])
  }

  /** The first write of an address after a slot: the account before it is the account as of that slot. */
  firstAfter(address: string, slot: number): Write | undefined {
    const list = this.byAddress.get(address) ?? []
    let first: Write | undefined
    for (let index = list.length - 1; index >= 0; index--) {
      const write = list[index]
      if (!write || write.slot <= slot) break
      first = write
    }
    return first
  }

  /** A write and every later one that cannot stay without it, because it wrote an account that one of them wrote; oldest first. */
  withDependents(first: Write): Write[] {
    const touched = new Set(first.written)
    const found = [first]
    for (const write of this.writes.slice(this.writes.lastIndexOf(first) + 1)) {
      if (!write.written.some((address) => touched.has(address))) continue
      found.push(write)
      for (const address of write.written) touched.add(address)
    }
    return found
  }
}
