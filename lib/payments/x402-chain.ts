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
  getBase64Encoder,
  getCompiledTransactionMessageDecoder,
  getSignatureFromTransaction,
  getTransactionDecoder,
  getUtf8Decoder,
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
import {
  type Charge,
  type ChargeFact,
  type EscrowMovement,
  type Movement,
  type MovementFact,
  nameIn,
  type ScanPage,
  type ScanPosition,
  type SignedMovement,
} from './payment-rail.ts'
import { memoProgram, readTransaction, type TokenTransfer } from './x402-transaction.ts'

const usdcDecimals = 6
/** Create account, transfer and a memo of 101 bytes stay well below this. */
const movementComputeUnits = 120_000
const movementMicroLamports = 1n
const historyPage = 200
const historyPagesAtMost = 25
/** How much of the escrow's history is read in one go, and how many of its transactions at once. */
const scanPage = 100
const scanAtOnce = 10

/** A signer from a 32-byte Ed25519 seed in base64url. */
export function signerFromSeed(seed: string): Promise<KeyPairSigner> {
  return createKeyPairSignerFromPrivateKeyBytes(new Uint8Array(Buffer.from(seed, 'base64url')))
}

type Node = Rpc<SolanaRpcApi>

/**
 * Opens the chain for one escrow and one asset. `witnessUrls` are further nodes: that something is not on chain is believed only when all
 * of them say so. Calls throw when the RPC cannot be reached.
 */
export function openChain(config: {
  rpcUrl: string
  witnessUrls: readonly string[]
  asset: string
  escrow: KeyPairSigner
  feePayer: KeyPairSigner
}) {
  const rpc: Node = createSolanaRpc(config.rpcUrl)
  const nodes: Node[] = [rpc, ...config.witnessUrls.map((url) => createSolanaRpc(url))]
  const mint = address(config.asset)
  const escrowAccount = tokenAccount(config.escrow.address)
  const timeout = (ms = 15_000) => ({ abortSignal: AbortSignal.timeout(ms) })

  async function tokenAccount(owner: Address): Promise<Address> {
    const [account] = await findAssociatedTokenPda({ owner, mint, tokenProgram: TOKEN_PROGRAM_ADDRESS })
    return account
  }

  async function read(node: Node, signature: string, commitment: 'confirmed' | 'finalized') {
    const found = await node
      .getTransaction(signature as Signature, { encoding: 'base64', commitment, maxSupportedTransactionVersion: 0 })
      .send(timeout())
    if (found && !found.meta) throw new Error(`the RPC knows ${signature} without its outcome`)
    return found
  }

  /**
   * Re-checks a landed transaction against the charge it should be: asset, amount, receiver, memo, and no error. `own`: the signature under
   * which the payment was sent, when it is known; one that is found by its memo may be anybody's.
   */
  async function readCharge(node: Node, charge: Charge, signature: string, own: string | null): Promise<ChargeFact | undefined> {
    const found = await read(node, signature, 'confirmed')
    if (!found?.meta) return undefined
    const moved = await movementOf(found)
    // A signature that a facilitator told and that is not of this payment says nothing about it.
    if (moved.memo !== charge.paymentId) return undefined
    // Anybody can fail under the memo of another's payment; only the payment's own transaction fails it.
    if (found.meta.err) return signature === own ? { kind: 'failed', signature } : undefined
    const escrow = await escrowAccount
    const transfer = transfersOf(found.transaction[0]).find(
      (t) => t.destination === escrow && t.mint === mint && t.amountAtoms === charge.amountAtoms,
    )
    if (!transfer || moved.deltaAtoms < charge.amountAtoms) return undefined
    return { kind: 'landed', signature, payer: transfer.authority, amountAtoms: charge.amountAtoms }
  }

  /** What a transaction did to the escrow's account, whatever programs did it. */
  async function movementOf(found: NonNullable<Awaited<ReturnType<typeof read>>>): Promise<EscrowMovement> {
    const { meta, slot, blockTime } = found
    const transaction = getTransactionDecoder().decode(getBase64Encoder().encode(found.transaction[0]))
    const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
    const loaded = meta?.loadedAddresses
    const accounts = [...message.staticAccounts, ...(loaded?.writable ?? []), ...(loaded?.readonly ?? [])]
    const escrow = await escrowAccount
    type Balances = NonNullable<typeof meta>['postTokenBalances']
    const at = (balances: Balances, index: number) => BigInt(balances?.find((b) => b.accountIndex === index)?.uiTokenAmount.amount ?? '0')
    const changes = [...(meta?.preTokenBalances ?? []), ...(meta?.postTokenBalances ?? [])]
      .filter((balance) => balance.mint === config.asset)
      .map(({ accountIndex, owner }) => ({
        account: accounts[accountIndex],
        owner: owner ?? null,
        delta: at(meta?.postTokenBalances, accountIndex) - at(meta?.preTokenBalances, accountIndex),
      }))
    const payer = changes.filter(({ account }) => account !== escrow).toSorted((a, b) => (a.delta < b.delta ? -1 : 1))[0]
    const memos = instructionsOf(message)
      .filter(({ programAddressIndex }) => message.staticAccounts[programAddressIndex] === memoProgram)
      .map(({ data }) => getUtf8Decoder().decode(data ?? new Uint8Array()))
    return {
      signature: getSignatureFromTransaction(transaction),
      slot,
      landedAtMs: blockTime === null ? Date.now() : Number(blockTime) * 1000,
      deltaAtoms: changes.find(({ account }) => account === escrow)?.delta ?? 0n,
      hasFailed: Boolean(meta?.err),
      memo: memos.length === 1 ? (memos[0]?.replaceAll('\0', '').slice(0, 300) ?? null) : null,
      counterparty: payer && payer.delta < 0n ? payer.owner : null,
      feeLamports: message.staticAccounts[0] === config.feePayer.address ? BigInt(meta?.fee ?? 0) : 0n,
    }
  }

  /** The newest finalized block that a node knows. */
  async function finalizedPoint(node: Node): Promise<{ slot: bigint; height: bigint }> {
    const { absoluteSlot, blockHeight } = await node.getEpochInfo({ commitment: 'finalized' }).send(timeout())
    return { slot: absoluteSlot, height: blockHeight }
  }

  /** Walks the escrow's history of a node that knows it up to `slot` back to `sinceMs`; answers the first fact about this memo. */
  async function findByMemo<T>(
    node: Node,
    memo: string,
    sinceMs: number,
    slot: bigint,
    look: (signature: Signature) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const escrow = await escrowAccount
    let before: Signature | undefined
    for (let page = 0; page < historyPagesAtMost; page++) {
      const history = await node
        .getSignaturesForAddress(escrow, {
          limit: historyPage,
          commitment: 'confirmed',
          minContextSlot: slot,
          ...(before ? { before } : {}),
        })
        .send(timeout())
      for (const entry of history) {
        const fact = entry.memo?.includes(memo) ? await look(entry.signature) : undefined
        if (fact) return fact
      }
      const last = history.at(-1)
      if (!last || history.length < historyPage) return undefined
      if (last.blockTime !== null && Number(last.blockTime) * 1000 < sinceMs) return undefined
      before = last.signature
    }
    throw new Error(`the escrow's history is too long to search since ${new Date(sinceMs).toISOString()}`)
  }

  /**
   * Asks every node, by signature and by memo. Each one's height is read before its history, and its history must be known up to there,
   * so "absent" means absent at the lowest of these finalized heights for all of them.
   */
  async function searchEverywhere<T>(
    memo: string,
    signature: string | null,
    sinceMs: number,
    look: (node: Node, signature: string) => Promise<T | undefined>,
  ): Promise<T | { kind: 'absent'; finalizedHeight: bigint }> {
    const answers = await Promise.all(
      nodes.map(async (node) => {
        const { slot, height } = await finalizedPoint(node)
        const fact =
          (signature !== null && (await look(node, signature))) ||
          (await findByMemo(node, memo, sinceMs, slot, (found) => look(node, found)))
        return { fact: fact || undefined, height }
      }),
    )
    const found = answers.find(({ fact }) => fact !== undefined)?.fact
    if (found !== undefined) return found
    return { kind: 'absent', finalizedHeight: answers.map(({ height }) => height).reduce((a, b) => (a < b ? a : b)) }
  }

  return {
    rpc,

    /** What the chain says of a charge. */
    async findCharge(charge: Charge, signature: string | null, sinceMs: number): Promise<ChargeFact> {
      const quick = signature ? await readCharge(rpc, charge, signature, signature) : undefined
      if (quick) return quick
      return searchEverywhere(charge.paymentId, signature, sinceMs, (node, found) => readCharge(node, charge, found, signature))
    },

    /** What the chain says of a transfer out, whichever signature carried it. Somebody else's money with its memo says nothing. */
    async findMovement(transferId: string, signature: string | null, sinceMs: number): Promise<MovementFact> {
      return searchEverywhere<MovementFact>(transferId, signature, sinceMs, async (node, found) => {
        const transaction = await read(node, found, 'confirmed')
        if (!transaction) return undefined
        if (transaction.meta?.err) return found === signature ? { kind: 'failed', reason: inWords(transaction.meta.err) } : undefined
        const { deltaAtoms, memo } = await movementOf(transaction)
        return deltaAtoms < 0n && nameIn(memo) === transferId ? { kind: 'landed', signature: found } : undefined
      })
    },

    /** The next part of the escrow's history, newest first. */
    async scanEscrow(position: ScanPosition, sinceMs: number, atLeastSlot: bigint): Promise<ScanPage> {
      const history = await rpc
        .getSignaturesForAddress(await escrowAccount, {
          limit: scanPage,
          commitment: 'finalized',
          minContextSlot: atLeastSlot,
          ...(position.before === null ? {} : { before: position.before as Signature }),
          ...(position.doneTo === null ? {} : { until: position.doneTo as Signature }),
        })
        .send(timeout())
      const isOld = (entry: (typeof history)[number]) => entry.blockTime !== null && Number(entry.blockTime) * 1000 < sinceMs
      const recent = history.filter((entry) => !isOld(entry))
      const movements: EscrowMovement[] = []
      for (let from = 0; from < recent.length; from += scanAtOnce)
        movements.push(
          ...(await Promise.all(
            recent.slice(from, from + scanAtOnce).map(async ({ signature }) => {
              const found = await read(rpc, signature, 'finalized')
              if (!found) throw new Error(`the RPC lists ${signature} and does not have it`)
              return movementOf(found)
            }),
          )),
        )
      const isComplete = history.length < scanPage || recent.length < history.length
      const top = position.top ?? history[0]?.signature ?? position.doneTo
      const next = isComplete
        ? { doneTo: top, top: null, before: null }
        : { doneTo: position.doneTo, top, before: history.at(-1)?.signature ?? null }
      return { movements, next, isComplete }
    },

    /** What the escrow's account holds at the newest finalized slot. */
    async escrowBalance(): Promise<{ slot: bigint; atoms: bigint }> {
      const { context, value } = await rpc.getTokenAccountBalance(await escrowAccount, { commitment: 'finalized' }).send(timeout())
      return { slot: context.slot, atoms: BigInt(value.amount) }
    },

    /** The escrow's own token account. */
    escrowAccount: () => escrowAccount,

    async lastValidHeight(): Promise<bigint> {
      // The newest of all nodes: one that is behind would let a payment be given up that can still land. The first one must answer.
      const heights = await Promise.all(
        nodes.map(async (node, index) => {
          const answer = node.getLatestBlockhash({ commitment: 'confirmed' }).send(timeout())
          return index === 0 ? answer : answer.catch(() => undefined)
        }),
      )
      return heights.reduce((newest, found) => {
        const height = found?.value.lastValidBlockHeight ?? 0n
        return height > newest ? height : newest
      }, 0n)
    },

    /**
     * Signs a transfer out of the escrow. Nothing is sent. Where an account may be opened its rent is the fee payer's: whoever could close
     * it and have it opened again and again would drain it.
     */
    async signMovement(movement: Movement, memo: string, mayOpenAccount: boolean): Promise<SignedMovement> {
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
            ...(mayOpenAccount ? [createAccount] : []),
            getTransferCheckedInstruction({
              source,
              mint,
              destination,
              authority: config.escrow,
              amount: movement.amountAtoms,
              decimals: usdcDecimals,
            }),
            getAddMemoInstruction({ memo }, { programAddress: memoProgram }),
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

    async ping(): Promise<void> {
      await rpc.getLatestBlockhash().send({ abortSignal: AbortSignal.timeout(3_000) })
    },
  }
}

type CompiledMessage = ReturnType<ReturnType<typeof getCompiledTransactionMessageDecoder>['decode']>
type CompiledInstruction = { programAddressIndex: number; data?: Parameters<ReturnType<typeof getUtf8Decoder>['decode']>[0] }

/** The instructions of a compiled message of any version. */
function instructionsOf(message: CompiledMessage): readonly CompiledInstruction[] {
  return 'instructions' in message ? message.instructions : []
}

/** A chain's error as one line. */
function inWords(error: unknown): string {
  return JSON.stringify(error, (_, value) => (typeof value === 'bigint' ? value.toString() : value))
}

/** The transfers of a landed transaction; none when it cannot be read offline, because such a one was never accepted as a payment. */
function transfersOf(wireBase64: string): TokenTransfer[] {
  try {
    return readTransaction(wireBase64).transfers
  } catch {
    return []
  }
}
