// Payments as no honest client makes them: any instruction, any terms, signed by a real wallet.
import {
  AccountRole,
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
import type { PaymentRequired, PaymentRequirements } from '@x402/core/types'

const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')
const lighthouseProgram = address('L2TExMFKdjpN9kozasaurPirfHy9P8sbXoAN1qA3S95')

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
  units?: number
  /** The last word on which instructions there are, and in which order. */
  arrange?: (honest: { budget: Instruction[]; transfer: Instruction; memos: Instruction[] }, feePayer: Address) => Instruction[]
  version?: 0 | 'legacy'
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
  const { value: lifetime } = await createSolanaRpc(rpcUrl).getLatestBlockhash().send()
  return encodeHeader({
    x402Version: 2,
    accepted: { ...asked, ...forgery.accepted, extra: { ...asked.extra, ...forgery.acceptedExtra } },
    payload: { transaction: await forgeTransaction(asked, wallet, lifetime, forgery) },
    ...forgery.payload,
  })
}

/** The transaction of such a payment, signed by the wallet, base64. Needs no chain. */
export async function forgeTransaction(
  asked: PaymentRequirements,
  wallet: KeyPairSigner,
  lifetime: Parameters<typeof setTransactionMessageLifetimeUsingBlockhash>[0],
  forgery: Forgery = {},
): Promise<string> {
  const feePayer = address(forgery.feePayer ?? String(asked.extra.feePayer))
  const mint = address(forgery.mint ?? asked.asset)
  const tokenProgram = address(forgery.tokenProgram ?? TOKEN_PROGRAM_ADDRESS)
  const account = async (owner: string) => (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram }))[0]
  const budget = [
    getSetComputeUnitLimitInstruction({ units: forgery.units ?? 100_000 }),
    getSetComputeUnitPriceInstruction({ microLamports: forgery.microLamports ?? 1n }),
  ]
  const transfer = getTransferCheckedInstruction(
    {
      source: await account(wallet.address),
      mint,
      destination: forgery.destination ? address(forgery.destination) : await account(forgery.payTo ?? asked.payTo),
      authority: wallet,
      amount: forgery.amountAtoms ?? BigInt(asked.amount),
      decimals: forgery.decimals ?? 6,
    },
    { programAddress: tokenProgram },
  )
  const memos = (forgery.memos ?? [String(asked.extra.memo)]).map((memo) =>
    getAddMemoInstruction({ memo }, { programAddress: memoProgram }),
  )
  const instructions = [
    ...(forgery.arrange?.({ budget, transfer, memos }, feePayer) ?? [...budget, transfer, ...memos]),
    ...(forgery.extra?.(wallet, feePayer) ?? []),
  ]
  const signed = await partiallySignTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: forgery.version ?? 0 }),
      (message) => setTransactionMessageFeePayer(feePayer, message),
      (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
      (message) => appendTransactionMessageInstructions(instructions, message),
    ),
  )
  return getBase64EncodedWireTransaction(signed)
}

/** What a wallet puts into a transaction to keep a promise to its owner: a Lighthouse instruction, by its number, about some accounts. */
export function guardOf(number: number, accounts: Address[], role = AccountRole.READONLY): Instruction {
  const data = Uint8Array.of(number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4)
  return { programAddress: lighthouseProgram, accounts: accounts.map((each) => ({ address: each, role })), data }
}

/** Any JSON as the value of a payment header. */
export function encodeHeader(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64')
}
