// The chain: what really moved, read back by signature or found by memo, and transfers out of the escrow.
import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Base64EncodedWireTransaction,
  createKeyPairSignerFromPrivateKeyBytes,
  createSolanaRpc,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type KeyPairSigner,
  pipe,
  type Rpc,
  type Signature,
  type SolanaRpcApi,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getSetComputeUnitLimitInstruction, getSetComputeUnitPriceInstruction } from '@solana-program/compute-budget'
import { getAddMemoInstruction } from '@solana-program/memo'
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import type { Charge, ChargeFact, Movement, MovementFact, SignedMovement } from './payment-rail.ts'
import { memoProgram, readTransaction } from './x402-transaction.ts'

const usdcDecimals = 6
/** Create account, transfer and memo stay well below this. */
const movementComputeUnits = 80_000
const movementMicroLamports = 1n
const historyPage = 200
const historyPagesAtMost = 25

/** What the rail needs of the chain. */
export type Chain = ReturnType<typeof openChain>

/** A signer from a 32-byte Ed25519 seed in base64url. */
export function signerFromSeed(seed: string): Promise<KeyPairSigner> {
  return createKeyPairSignerFromPrivateKeyBytes(new Uint8Array(Buffer.from(seed, 'base64url')))
}

/** Opens the chain for one escrow and one asset. Calls throw when the RPC cannot be reached. */
export function openChain(config: { rpcUrl: string; asset: string; escrow: KeyPairSigner; feePayer: KeyPairSigner }) {
  const rpc: Rpc<SolanaRpcApi> = createSolanaRpc(config.rpcUrl)
  const mint = address(config.asset)
  const escrowAccount = tokenAccount(config.escrow.address)
  const timeout = (ms = 15_000) => ({ abortSignal: AbortSignal.timeout(ms) })

  async function tokenAccount(owner: Address): Promise<Address> {
    const [account] = await findAssociatedTokenPda({ owner, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS })
    return account
  }

  /** Re-checks a landed transaction against the charge it should be: asset, amount, receiver, memo, and no error. */
  async function readCharge(charge: Charge, signature: Signature): Promise<ChargeFact | undefined> {
    const found = await rpc
      .getTransaction(signature, { encoding: 'base64', commitment: 'confirmed', maxSupportedTransactionVersion: 0 })
      .send(timeout())
    if (!found) return undefined
    if (!found.meta) throw new Error(`the RPC knows ${signature} without its outcome`)
    const facts = readTransaction(found.transaction[0])
    // A signature that a facilitator told and that is not of this payment says nothing about it.
    if (facts.memos.length !== 1 || facts.memos[0] !== charge.paymentId) return undefined
    if (found.meta.err) return { kind: 'failed', signature }
    const escrow = await escrowAccount
    const transfer = facts.transfers.find((t) => t.destination === escrow && t.mint === mint && t.amountAtoms === charge.amountAtoms)
    if (!transfer) return undefined
    const balance = (list: typeof found.meta.postTokenBalances) =>
      list?.find((entry) => entry.mint === charge.asset && entry.owner === charge.payTo)?.uiTokenAmount.amount ?? '0'
    const received = BigInt(balance(found.meta.postTokenBalances)) - BigInt(balance(found.meta.preTokenBalances))
    if (received < charge.amountAtoms) return undefined
    return { kind: 'landed', signature, payer: transfer.authority, amountAtoms: charge.amountAtoms }
  }

  async function finalizedHeight(): Promise<bigint> {
    return rpc.getBlockHeight({ commitment: 'finalized' }).send(timeout())
  }

  /** Walks the escrow's history back to `sinceMs` and returns the signature whose memo is this payment. */
  async function findByMemo(charge: Charge, sinceMs: number): Promise<ChargeFact | undefined> {
    const escrow = await escrowAccount
    let before: Signature | undefined
    for (let page = 0; page < historyPagesAtMost; page++) {
      const history = await rpc
        .getSignaturesForAddress(escrow, { limit: historyPage, commitment: 'confirmed', ...(before ? { before } : {}) })
        .send(timeout())
      for (const entry of history) {
        if (!entry.memo?.includes(charge.paymentId)) continue
        const fact = await readCharge(charge, entry.signature)
        if (fact?.kind === 'landed') return fact
      }
      const last = history.at(-1)
      if (!last || history.length < historyPage) return undefined
      if (last.blockTime !== null && Number(last.blockTime) * 1000 < sinceMs) return undefined
      before = last.signature
    }
    throw new Error(`the escrow's history is too long to search since ${new Date(sinceMs).toISOString()}`)
  }

  return {
    rpc,

    /** What the chain says of a charge. The height is read first, so "absent" means absent at that height. */
    async findCharge(charge: Charge, signature: string | null, sinceMs: number): Promise<ChargeFact> {
      if (signature) {
        const fact = await readCharge(charge, signature as Signature)
        if (fact) return fact
      }
      const height = await finalizedHeight()
      const fact = (signature && (await readCharge(charge, signature as Signature))) || (await findByMemo(charge, sinceMs))
      return fact || { kind: 'absent', finalizedHeight: height }
    },

    /** Runs a transaction without sending it, unsigned places allowed; says why it would fail. Throws when the RPC cannot be asked. */
    async simulate(wire: string): Promise<string | undefined> {
      const { value } = await rpc
        .simulateTransaction(wire as Base64EncodedWireTransaction, { encoding: 'base64', commitment: 'confirmed', sigVerify: false })
        .send(timeout(8_000))
      return value.err ? inWords(value.err) : undefined
    },

    /** Sends once, without preflight: it was simulated before. */
    async send(wire: string): Promise<string> {
      return rpc
        .sendTransaction(wire as Base64EncodedWireTransaction, {
          encoding: 'base64',
          skipPreflight: true,
          preflightCommitment: 'confirmed',
        })
        .send(timeout())
    },

    /** The escrow's own token account. */
    escrowAccount: () => escrowAccount,

    async lastValidHeight(): Promise<bigint> {
      const { value } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send(timeout())
      return value.lastValidBlockHeight
    },

    /**
     * Signs a transfer out of the escrow. Nothing is sent. A missing token account is created for providers and for the market, never for
     * a refund: who paid had one, and whoever closes it to collect the rent of ours again and again would drain the fee payer.
     */
    async signMovement(movement: Movement, transferId: string): Promise<SignedMovement> {
      const destination = await tokenAccount(address(movement.destination))
      const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send(timeout())
      const message = pipe(
        createTransactionMessage({ version: 0 }),
        (m) => setTransactionMessageFeePayerSigner(config.feePayer, m),
        (m) => setTransactionMessageLifetimeUsingBlockhash(lifetime, m),
        (m) =>
          appendTransactionMessageInstructions(
            [
              getSetComputeUnitLimitInstruction({ units: movementComputeUnits }),
              getSetComputeUnitPriceInstruction({ microLamports: movementMicroLamports }),
            ],
            m,
          ),
      )
      const source = await escrowAccount
      const owner = address(movement.destination)
      const createAccount = getCreateAssociatedTokenIdempotentInstruction({ payer: config.feePayer, ata: destination, owner, mint })
      const signed = await signTransactionMessageWithSigners(
        appendTransactionMessageInstructions(
          [
            ...(movement.kind === 'refund' ? [] : [createAccount]),
            getTransferCheckedInstruction({
              source,
              mint,
              destination,
              authority: config.escrow,
              amount: movement.amountAtoms,
              decimals: usdcDecimals,
            }),
            getAddMemoInstruction({ memo: transferId }, { programAddress: memoProgram }),
          ],
          message,
        ),
      )
      return {
        signature: getSignatureFromTransaction(signed),
        wire: getBase64EncodedWireTransaction(signed),
        lastValidBlockHeight: lifetime.lastValidBlockHeight,
      }
    },

    /** Sends a signed transaction. An answer that says "already processed" is success: it is the same signature. */
    async broadcast(signed: { signature: string; wire: string }): Promise<void> {
      try {
        await rpc
          .sendTransaction(signed.wire as Base64EncodedWireTransaction, {
            encoding: 'base64',
            preflightCommitment: 'confirmed',
            maxRetries: 5n,
          })
          .send(timeout())
      } catch (error) {
        if (!String((error as Error).message).includes('already been processed')) throw error
      }
    },

    /** Polls until the signature is confirmed, failed, or the time is over; then the finalized height says whether it may still land. */
    async movementFact(signature: string, timeoutMs: number): Promise<MovementFact> {
      const giveUpAt = Date.now() + timeoutMs
      for (let waitMs = 20; ; waitMs = Math.min(waitMs * 2, 400)) {
        const isLast = Date.now() >= giveUpAt
        // The height is read before the status: "absent" is said of a height at which it had not landed.
        const height = isLast ? await finalizedHeight() : undefined
        const { value } = await rpc.getSignatureStatuses([signature as Signature], { searchTransactionHistory: true }).send(timeout())
        const status = value[0]
        if (status?.err) return { kind: 'failed', reason: inWords(status.err) }
        if (status?.confirmationStatus === 'confirmed' || status?.confirmationStatus === 'finalized') return { kind: 'landed' }
        if (height !== undefined) return { kind: 'absent', finalizedHeight: height }
        await new Promise((resolve) => setTimeout(resolve, waitMs))
      }
    },

    async ping(): Promise<void> {
      await rpc.getLatestBlockhash().send({ abortSignal: AbortSignal.timeout(3_000) })
    },
  }
}

/** A chain's error as one line. */
function inWords(error: unknown): string {
  return JSON.stringify(error, (_, value) => (typeof value === 'bigint' ? value.toString() : value))
}
