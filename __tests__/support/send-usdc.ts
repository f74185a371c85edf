// Sends test USDC past the market: what a wallet does with its money while the market works, or sends to it without being asked.
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
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'

const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

/** Moves `atoms` from a wallet to an owner's account, made if it is missing, and resolves with the signature once it has landed. */
export async function sendUsdc(
  chain: { rpcUrl: string; mint: string },
  from: KeyPairSigner,
  to: string,
  atoms: bigint,
  memo?: string,
): Promise<string> {
  const rpc = createSolanaRpc(chain.rpcUrl)
  const mint = address(chain.mint)
  const accountOf = async (owner: string) =>
    (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram: TOKEN_PROGRAM_ADDRESS }))[0]
  const [source, destination] = [await accountOf(from.address), await accountOf(to)]
  const { value: lifetime } = await rpc.getLatestBlockhash().send()
  const instructions = [
    getCreateAssociatedTokenIdempotentInstruction({ payer: from, ata: destination, owner: address(to), mint }),
    getTransferCheckedInstruction({ source, mint, destination, authority: from, amount: atoms, decimals: 6 }),
    ...(memo === undefined ? [] : [getAddMemoInstruction({ memo }, { programAddress: memoProgram })]),
  ]
  const signed = await signTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: 0 }),
      (message) => setTransactionMessageFeePayerSigner(from, message),
      (message) => setTransactionMessageLifetimeUsingBlockhash(lifetime, message),
      (message) => appendTransactionMessageInstructions(instructions, message),
    ),
  )
  const signature = getSignatureFromTransaction(signed)
  await rpc.sendTransaction(getBase64EncodedWireTransaction(signed), { encoding: 'base64', preflightCommitment: 'confirmed' }).send()
  for (const giveUpAt = Date.now() + 10_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    const { value } = await rpc.getSignatureStatuses([signature]).send()
    if (value[0]?.err)
      throw new Error(`the transfer failed: ${JSON.stringify(value[0].err, (_, v) => (typeof v === 'bigint' ? `${v}` : v))}`)
    if (value[0]) return signature
    if (Date.now() > giveUpAt) throw new Error(`${signature} never landed`)
  }
}
