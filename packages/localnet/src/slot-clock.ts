// Time of the chain: which slot it is, which blockhash belongs to a slot, and which blockhashes are still accepted.
import { createHash } from 'node:crypto'
import { getBase58Decoder } from '@solana/kit'

/** How many blockhashes a transaction may refer to: the newest and the 150 before it, as on a real validator. */
export const blockhashWindowSlots = 151

/** One run of the process: from `slot` at `timeMs` (unix) on, a slot lasts `slotMs`. */
export interface Boot {
  slot: number
  timeMs: number
  slotMs: number
}

// The slot litesvm itself starts at; its built-in programs count as deployed before it.
const firstSlot = 447_552_000

/**
 * A slot clock that is a pure function of wall time, its boots and a seed, so a chain that was killed comes back with the
 * same blockhashes and the time it was away counts: what was signed shortly before the crash can still land.
 */
export class SlotClock {
  readonly boots: Boot[]
  private readonly seed: Uint8Array
  private readonly now: () => number
  private head = 0
  private readonly slotByBlockhash = new Map<string, number>()

  /** @param boots boots of earlier runs, oldest first, empty for a new chain; @param seed 32 bytes the blockhashes derive from */
  constructor(boots: readonly Boot[], seed: Uint8Array, slotMs: number, now: () => number = Date.now) {
    this.seed = seed
    this.now = now
    const last = boots.at(-1)
    const slot = last ? Math.max(last.slot, slotAt(last, now())) + 1 : firstSlot
    this.boots = [...boots, { slot, timeMs: now(), slotMs }]
    this.head = slot
    this.remember(slot - blockhashWindowSlots + 1)
  }

  /** The boot of this run. */
  get boot(): Boot {
    const boot = this.boots.at(-1)
    if (!boot) throw new Error('a slot clock always has a boot')
    return boot
  }

  /** Moves to the slot that wall time says and returns it; it never goes back, even when the machine's clock does. */
  advance(): number {
    const slot = slotAt(this.boot, this.now())
    if (slot > this.head) {
      const from = Math.max(this.head + 1, slot - blockhashWindowSlots + 1)
      this.head = slot
      this.remember(from)
    }
    return this.head
  }

  /** The blockhash of a slot, base58. */
  blockhash(slot: number): string {
    const digest = createHash('sha256').update(this.seed).update(String(slot)).digest()
    return getBase58Decoder().decode(digest)
  }

  /** The last block height at which a transaction with this slot's blockhash is accepted. */
  lastValidBlockHeight(slot: number): number {
    return slot + blockhashWindowSlots - 1
  }

  /** The slot of a blockhash that is still accepted, else undefined. */
  slotOfBlockhash(blockhash: string): number | undefined {
    return this.slotByBlockhash.get(blockhash)
  }

  /** The blockhashes that are still accepted with their slots, newest first. */
  recentBlockhashes(): [blockhash: string, slot: number][] {
    return [...this.slotByBlockhash].reverse()
  }

  /** Unix time in whole seconds at which a slot began; undefined for a slot that lies before the chain or in the future. */
  blockTime(slot: number): number | undefined {
    if (slot > this.head) return undefined
    const boot = this.boots.findLast((candidate) => candidate.slot <= slot)
    return boot && Math.floor((boot.timeMs + (slot - boot.slot) * boot.slotMs) / 1000)
  }

  /** The chain's first slot. */
  get firstSlot(): number {
    return this.boots[0]?.slot ?? firstSlot
  }

  private remember(from: number): void {
    for (let slot = from; slot <= this.head; slot++) this.slotByBlockhash.set(this.blockhash(slot), slot)
    for (const [blockhash, slot] of this.slotByBlockhash) {
      if (slot > this.head - blockhashWindowSlots) break
      this.slotByBlockhash.delete(blockhash)
    }
  }
}

function slotAt(boot: Boot, timeMs: number): number {
  return boot.slot + Math.max(0, Math.floor((timeMs - boot.timeMs) / boot.slotMs))
}
