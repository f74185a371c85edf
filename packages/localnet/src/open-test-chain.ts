// For this package's tests: a running chain with clients on it, wallets with money, and token transfers to send.
import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  assertIsSendableTransaction,
  assertIsTransactionWithBlockhashLifetime,
  type Blockhash,
  createSolanaRpc,
  createSolanaRpcSubscriptions,
  createTransactionMessage,
  devnet,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getAddMemoInstruction } from '@solana-program/memo'
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { usdcDecimals, usdcMint } from './genesis.ts'
import { type LocalnetOptions, startLocalnet } from './start.ts'

/** Starts a chain in its own process, with clients of its RPC. */
export async function openTestChain(options: LocalnetOptions = {}) {
  const localnet = await startLocalnet(options)
  const rpc = createSolanaRpc(devnet(localnet.rpcUrl))
  const rpcSubscriptions = createSolanaRpcSubscriptions(devnet(localnet.wsUrl))

  const post = (path: string, body: unknown, url = localnet.rpcUrl): Promise<Response> =>
    fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

  /** Calls a method as written on the wire: what the typed client hides can be seen, and what it refuses can be sent. */
  const call = (method: string, ...params: unknown[]) => callAt(localnet.rpcUrl, method, ...params)
  const callAt = async (url: string, method: string, ...params: unknown[]) => {
    const response = await post('/', { jsonrpc: '2.0', id: 1, method, params }, url)
    // biome-ignore lint/suspicious/noExplicitAny: each test knows the shape of what it asks for
    return (await response.json()) as { result?: any; error?: { code: number; message: string; data?: any } }
  }

  /** A wallet with this much test USDC and some SOL. */
  const openWallet = async (usdcAtoms: bigint): Promise<KeyPairSigner> => {
    const wallet = await generateKeyPairSigner()
    const response = await post('/faucet', { address: wallet.address, usdcAtoms: usdcAtoms.toString() })
    if (!response.ok) throw new Error(await response.text())
    return wallet
  }

  /** Causes a fault; what it answers, or undefined when it answers nothing. Throws when it is refused. */
  const fault = async (body: object, url = localnet.rpcUrl) => {
    const response = await post('/fault', body, url)
    if (!response.ok) throw new Error(await response.text())
    return response.status === 204
      ? undefined
      : ((await response.json()) as { dropped?: string[]; landedAgain?: string[]; signature?: string })
  }

  const usdcOf = async (owner: Address): Promise<bigint> => {
    const { value } = await rpc.getTokenAccountBalance(await usdcAccount(owner), { commitment: 'confirmed' }).send()
    return BigInt(value.amount)
  }

  /** A signed transfer of test USDC that has not been sent. */
  const signTransfer = async (
    from: KeyPairSigner,
    to: Address,
    amountAtoms: bigint,
    given: { memo?: string; blockhash?: { blockhash: Blockhash; lastValidBlockHeight: bigint } } = {},
  ) => {
    const lifetime = given.blockhash ?? (await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()).value
    const transfer = getTransferCheckedInstruction({
      source: await usdcAccount(from.address),
      mint: usdcMint,
      destination: await usdcAccount(to),
      authority: from,
      amount: amountAtoms,
      decimals: usdcDecimals,
    })
    const memos =
      given.memo === undefined
        ? []
        : [getAddMemoInstruction({ memo: given.memo }, { programAddress: address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr') })]
    const signed = await signTransactionMessageWithSigners(
      pipe(
        createTransactionMessage({ version: 0 }),
        (draft) => setTransactionMessageFeePayerSigner(from, draft),
        (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
        (draft) => appendTransactionMessageInstructions([transfer, ...memos], draft),
      ),
    )
    assertIsSendableTransaction(signed)
    assertIsTransactionWithBlockhashLifetime(signed)
    return { signed, wire: getBase64EncodedWireTransaction(signed) }
  }

  return {
    ...localnet,
    localnet,
    rpc,
    rpcSubscriptions,
    post,
    call,
    callAt,
    fault,
    openWallet,
    usdcOf,
    signTransfer,
    [Symbol.asyncDispose]: localnet.stop,
  }
}

/** A wallet's account for test USDC. */
export async function usdcAccount(owner: Address): Promise<Address> {
  const [token] = await findAssociatedTokenPda({ owner, mint: usdcMint, tokenProgram: TOKEN_PROGRAM_ADDRESS })
  return token
}
