// Waking: a verb that leaves work behind says so, and the clock does not wait for its next beat.

/** Work that can be woken. */
export type Work = 'payments' | 'assign' | 'orders' | 'time' | 'escrow' | 'books' | 'payouts' | 'transfers' | 'receipts'
export type Wake = (work: Work) => void
