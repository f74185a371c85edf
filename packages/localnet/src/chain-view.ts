// One node's view of the chain: what it knows of it, which may be less than there is.
import type { Chain, Commitment } from './chain.ts'
import type { HistoryEntry } from './history.ts'
import { blockhashWindowSlots } from './slot-clock.ts'

/** A node of the chain. Several may look at one chain, each behind by its own number of slots. */
export class ChainView {
  readonly chain: Chain
  /** How many slots behind the chain this node answers. */
  lagSlots = 0

  constructor(chain: Chain) {
    this.chain = chain
  }

  /** The newest slot of a commitment that this node has seen. */
  slot(commitment: Commitment): number {
    return this.chain.slot(commitment) - this.lagSlots
  }

  /** Whether a slot is final for this node, or only confirmed. */
  commitmentOf(slot: number): Commitment {
    return slot <= this.slot('finalized') ? 'finalized' : 'confirmed'
  }

  /** A landed transaction, unless this node does not know of it yet at that commitment. */
  find(signature: string, commitment: Commitment): HistoryEntry | undefined {
    const entry = this.chain.history.find(signature)
    return entry && entry.slot <= this.slot(commitment) ? entry : undefined
  }

  /** The slot of a blockhash that this node would accept, else undefined. */
  slotOfBlockhash(blockhash: string): number | undefined {
    const newest = this.slot('processed')
    if (this.lagSlots === 0) return this.chain.clock.slotOfBlockhash(blockhash)
    for (let slot = newest; slot > newest - blockhashWindowSlots; slot--) if (this.chain.clock.blockhash(slot) === blockhash) return slot
    return undefined
  }
}
