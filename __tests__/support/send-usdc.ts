// A plain transfer of USDC as any wallet makes it, outside of the market: with a memo or without, to whomever.
import {
  address,
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createTransactionMessage,
  getBase64EncodedWireTransaction,
  getSignatureFromTransaction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getAddMemoInstruction } from '@solana-program/memo'
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'

const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

/** Sends USDC from a wallet that pays its own fee; answers the signature once the node took it. Throws when the node refuses it. */
export async function sendUsdc(
  place: { rpcUrl: string; usdcMint: string },
  wallet: KeyPairSigner,
  transfer: { to: string; atoms: bigint; memo?: string },
): Promise<string> {
  const rpc = createSolanaRpc(place.rpcUrl)
  const mint = address(place.usdcMint)
  const account = async (owner: string) =>
    (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram: TOKEN_PROGRAM_ADDRESS }))[0]
  const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()
  const instructions = [
    getTransferCheckedInstruction({
      source: await account(wallet.address),
      mint,
      destination: await account(transfer.to),
      authority: wallet,
      amount: transfer.atoms,
      decimals: 6,
    }),
    ...(transfer.memo === undefined ? [] : [getAddMemoInstruction({ memo: transfer.memo }, { programAddress: memoProgram })]),
  ]
  const signed = await signTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: 0 }),
      (message) => setTransactionMessageFeePayerSigner(wallet, message),
      (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
      (message) => appendTransactionMessageInstructions(instructions, message),
    ),
  )
  await rpc.sendTransaction(getBase64EncodedWireTransaction(signed), { encoding: 'base64', preflightCommitment: 'confirmed' }).send()
  return getSignatureFromTransaction(signed)
}
