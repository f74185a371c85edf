// Payments as no honest client makes them: any instruction, any terms, signed by a real wallet.
import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  type Instruction,
  type KeyPairSigner,
  partiallySignTransactionMessageWithSigners,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from '@solana/kit'
import { getSetComputeUnitLimitInstruction, getSetComputeUnitPriceInstruction } from '@solana-program/compute-budget'
import { getAddMemoInstruction } from '@solana-program/memo'
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import type { PaymentRequired } from '@x402/core/types'

const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

/** What is to be different from an honest payment. */
export type Forgery = {
  amountAtoms?: bigint
  mint?: string
  tokenProgram?: string
  decimals?: number
  payTo?: string
  /** The account that gets the money, in place of the payee's own. */
  destination?: string
  feePayer?: string
  memos?: string[]
  microLamports?: bigint
  extra?: (wallet: KeyPairSigner, feePayer: Address) => Instruction[]
  /** Replaces members of the accepted terms. */
  accepted?: Record<string, unknown>
  /** Replaces members of the accepted terms' `extra`. */
  acceptedExtra?: Record<string, unknown>
  /** Replaces members of the whole payload. */
  payload?: Record<string, unknown>
}

/** The PAYMENT-SIGNATURE of a payment that differs from what was asked as told. */
export async function forgePayment(
  paymentRequired: PaymentRequired,
  wallet: KeyPairSigner,
  rpcUrl: string,
  forgery: Forgery = {},
): Promise<string> {
  const [asked] = paymentRequired.accepts
  if (!asked) throw new Error('nothing was asked')
  const feePayer = address(forgery.feePayer ?? String(asked.extra.feePayer))
  const mint = address(forgery.mint ?? asked.asset)
  const tokenProgram = address(forgery.tokenProgram ?? TOKEN_PROGRAM_ADDRESS)
  const account = async (owner: string) => (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram }))[0]
  const { value: lifetime } = await createSolanaRpc(rpcUrl).getLatestBlockhash().send()
  const instructions: Instruction[] = [
    getSetComputeUnitLimitInstruction({ units: 100_000 }),
    getSetComputeUnitPriceInstruction({ microLamports: forgery.microLamports ?? 1n }),
    getTransferCheckedInstruction(
      {
        source: await account(wallet.address),
        mint,
        destination: forgery.destination ? address(forgery.destination) : await account(forgery.payTo ?? asked.payTo),
        authority: wallet,
        amount: forgery.amountAtoms ?? BigInt(asked.amount),
        decimals: forgery.decimals ?? 6,
      },
      { programAddress: tokenProgram },
    ),
    ...(forgery.memos ?? [String(asked.extra.memo)]).map((memo) => getAddMemoInstruction({ memo }, { programAddress: memoProgram })),
    ...(forgery.extra?.(wallet, feePayer) ?? []),
  ]
  const signed = await partiallySignTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: 0 }),
      (message) => setTransactionMessageFeePayer(feePayer, message),
      (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
      (message) => appendTransactionMessageInstructions(instructions, message),
    ),
  )
  return encodeHeader({
    x402Version: 2,
    accepted: { ...asked, ...forgery.accepted, extra: { ...asked.extra, ...forgery.acceptedExtra } },
    payload: { transaction: getBase64EncodedWireTransaction(signed) },
    ...forgery.payload,
  })
}

/** Any JSON as the value of a payment header. */
export function encodeHeader(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}
