// The payment rail: the one port through which money comes in and goes out. A new way to pay is one new file that fills it.
import type { Quote } from '@flow402/protocol/payment'

/** What a payment must be, exactly. `memo` binds it on chain to one payment id. */
export type Charge = { paymentId: string; amountAtoms: bigint; payTo: string; asset: string; network: string }

/** The charge that a quote asks for. */
export function chargeOf(quote: Pick<Quote, 'paymentId' | 'amountAtoms' | 'payTo' | 'asset' | 'network'>): Charge {
  const { paymentId, payTo, asset, network } = quote
  return { paymentId, amountAtoms: BigInt(quote.amountAtoms), payTo, asset, network }
}

/** What a client sent as payment, read but not believed: the quote's signature and the chain decide. */
export type PaymentProof = {
  quoteToken: string
  /** SHA-256 of what was signed, hex: the same for every wrapping of one payment. */
  messageHash: string
  payer: string
  /** The terms that the client says it accepted; they must be the ones it was asked for. */
  accepted: { network: string; amount: string; asset: string; payTo: string }
  /** The proof as the rail wants it back in `settle`; JSON, stored with the claim. */
  payload: unknown
  /** The client's own name for this payment (x402 payment-identifier), if it gave one. */
  identifier?: string
}

/** refused: judged invalid, never broadcast. unsent: never broadcast and not judged, try again. unknown: it may land; only the chain can tell. */
export type SettleOutcome =
  | { kind: 'landed'; signature: string }
  | { kind: 'refused'; reason: string }
  | { kind: 'unsent'; reason: string }
  | { kind: 'unknown'; reason: string }

/** What the chain says of a charge. absent: not there at this finalized block height. failed: landed with an error, moved nothing. */
export type ChargeFact =
  | { kind: 'landed'; signature: string; payer: string; amountAtoms: bigint }
  | { kind: 'failed'; signature: string }
  | { kind: 'absent'; finalizedHeight: bigint }

/** Money out. `externalId` is unique per kind; refunds name the payment, or the receipt, that they answer. */
export type Movement = { kind: 'payout' | 'fee' | 'refund'; externalId: string; destination: string; amountAtoms: bigint }

/**
 * What a transfer out says on chain: its id, and after a space what it anchors there (hex), if anything. Whatever looks for it goes by the
 * first word, which follows from what the transfer is for.
 */
export function memoOf({ id, anchor }: { id: string; anchor: string | null }): string {
  return anchor === null ? id : `${id} ${anchor}`
}

/** The first word of a memo: whose transfer it is. */
export function nameIn(memo: string | null): string {
  return memo?.split(' ', 1)[0] ?? ''
}

/** A movement signed but not sent: the signature is known, and stored, before anything is broadcast. */
export type SignedMovement = { signature: string; wire: string; lastValidBlockHeight: bigint }

/** What the chain says of a movement. failed: landed with an error, moved nothing. absent: not there at this finalized block height. */
export type MovementFact =
  | { kind: 'landed'; signature: string }
  | { kind: 'failed'; reason: string }
  | { kind: 'absent'; finalizedHeight: bigint }

/**
 * One landed transaction that touched the escrow, read at finalized commitment. `deltaAtoms`: in is positive, out negative, 0 when it
 * failed. `counterparty`: the wallet whose balance fell for it, when money came in. `feeLamports`: what our own fee payer paid for it.
 */
export type EscrowMovement = {
  signature: string
  slot: bigint
  landedAtMs: number
  deltaAtoms: bigint
  hasFailed: boolean
  memo: string | null
  counterparty: string | null
  feeLamports: bigint
}

/** Where the reading of the history stands: all up to `doneTo` is read; a pass that began at `top` has come down to `before`. */
export type ScanPosition = { doneTo: string | null; top: string | null; before: string | null }

/** A part of the history, and where to go on. `isComplete`: nothing older is left, the history is read up to where this pass began. */
export type ScanPage = { movements: EscrowMovement[]; next: ScanPosition; isComplete: boolean }

/** What a rental was paid with: refunds go back to these wallets. */
export type PaidBy = { paymentId: string; payer: string; amountAtoms: bigint; settledAtMs: number }

export type PaymentRail = {
  /** Where money is asked for. */
  payee(): { payTo: string; asset: string; network: string }
  /** The header value of a 402 for a signed quote. `resourceUrl` is what is being bought. */
  challenge(quote: Quote, token: string, resourceUrl: string): Promise<string>
  /** Reads the proof that a client sent. Throws Problem payment_invalid when it is not one. */
  readProof(header: string): PaymentProof
  /** Checks what can be checked without the chain: amount, asset, payee, memo, signatures. Throws Problem payment_invalid. */
  checkProof(proof: PaymentProof, charge: Charge): void
  /**
   * Asks, moving nothing, whether this payment could settle now: signatures, funds, blockhash. The reason when it could not.
   * Throws Problem chain_unavailable when nobody can tell; then nothing is known against the payment.
   */
  refusalOf(charge: Charge, payload: unknown): Promise<string | undefined>
  /**
   * Moves the money. `beforeBroadcast` gets the signature, or null where it is known only afterwards, and must have stored that the
   * payment may land from now on before it resolves; if it throws nothing is sent.
   */
  settle(charge: Charge, payload: unknown, beforeBroadcast: (signature: string | null) => Promise<void>): Promise<SettleOutcome>
  /** Asks the chain, by signature when known, otherwise by memo over the escrow's history since `sinceMs`. */
  findCharge(charge: Charge, signature: string | null, sinceMs: number): Promise<ChargeFact>
  /** The block height after which what is signed now can no longer land. */
  lastValidHeight(): Promise<bigint>
  /** The escrow's own account of the token, where the rail has one beside the owner's address. */
  escrowAccount(): string | null
  /** Where the market's fee goes. */
  feeAddress(): string
  /**
   * Signs money out under this memo; sends nothing. `mayOpenAccount`: a destination without an account gets one at our cost; otherwise it must
   * have one.
   */
  signMovement(movement: Movement, memo: string, mayOpenAccount: boolean): Promise<SignedMovement>
  /** Sends a signed movement; safe to repeat. */
  broadcast(signed: Pick<SignedMovement, 'signature' | 'wire'>): Promise<void>
  /**
   * Looks for a movement over the escrow's history since `sinceMs` by the first word of its memo, whichever signature carried it.
   * "absent" means that every node asked knew the chain up to that finalized height and none had it.
   */
  findMovement(transferId: string, signature: string | null, sinceMs: number): Promise<MovementFact>
  /**
   * Reads the next part of the escrow's history at finalized commitment, newest first, not older than `sinceMs`, from a node that knows
   * the chain at least up to `atLeastSlot`.
   */
  scanEscrow(position: ScanPosition, sinceMs: number, atLeastSlot: bigint): Promise<ScanPage>
  /** What the escrow holds at the newest finalized slot. */
  escrowBalance(): Promise<{ slot: bigint; atoms: bigint }>
  /** The header value that tells the payer which transaction paid. */
  receiptHeader(charge: Charge, landed: { signature: string; payer: string }): string
  /** Throws when the chain cannot be reached. */
  ping(): Promise<void>
}
