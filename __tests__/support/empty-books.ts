// What the ledger says when everybody has what is theirs: every account is at zero.
import type { Account } from '../../lib/ledger/store.ts'

export const emptyBooks: Record<Account, bigint> = {
  escrow: 0n,
  held: 0n,
  provider: 0n,
  fee: 0n,
  refund: 0n,
  unmatched: 0n,
  disputed: 0n,
  capital: 0n,
}
