// For tests only: accounts as strangers may have them. Frozen and closed ones, mints that are not USDC, tokens that take a fee.
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  createSolanaRpc,
  createTransactionMessage,
  devnet,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getCreateAccountInstruction } from '@solana-program/system'
import {
  fetchMaybeToken,
  findAssociatedTokenPda,
  getBurnInstruction,
  getCloseAccountInstruction,
  getCreateAssociatedTokenIdempotentInstruction,
  getInitializeMint2Instruction,
  getMintToInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import { usdcMint } from './genesis.ts'

/** The program of Token-2022: its accounts may have extensions, and its mints may take a fee of every transfer. */
export const token2022Program: Address = address('TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb')

/** A mint that a test made, and the account of it that its holder has. */
export interface TestToken {
  mint: Address
  /** The holder's associated token account. */
  account: Address
}

/** Freezes an owner's test USDC: nothing can be sent from the account or to it. Throws when the owner has no account of it. */
export async function freezeUsdc(rpcUrl: string, owner: Address): Promise<void> {
  await askFault(rpcUrl, { freeze: owner })
}

/** Ends a freeze. */
export async function thawUsdc(rpcUrl: string, owner: Address): Promise<void> {
  await askFault(rpcUrl, { thaw: owner })
}

/** Burns what is left in a wallet's account of test USDC and closes the account, as its owner may; the wallet pays. */
export async function closeUsdcAccount(rpcUrl: string, wallet: KeyPairSigner): Promise<void> {
  const account = await tokenAccountAddress(wallet.address, usdcMint, TOKEN_PROGRAM_ADDRESS)
  const token = await fetchMaybeToken(createSolanaRpc(devnet(rpcUrl)), account)
  if (!token.exists) throw new Error(`${wallet.address} has no account of test USDC`)
  await land(rpcUrl, wallet, [
    getBurnInstruction({ account, mint: usdcMint, authority: wallet, amount: token.data.amount }),
    getCloseAccountInstruction({ account, destination: wallet.address, owner: wallet }),
  ])
}

/** Makes a mint of 6 decimals that is not USDC, and gives the holder so many atoms of it; a purse of its own pays. */
export async function giveOtherToken(rpcUrl: string, holder: Address, amountAtoms: bigint): Promise<TestToken> {
  return giveNewToken(rpcUrl, holder, amountAtoms, { program: TOKEN_PROGRAM_ADDRESS, mintBytes: 82, extend: () => [] })
}

/** Makes a Token-2022 mint of 6 decimals that keeps `feeBasisPoints` (hundredths of a percent) of every transfer, and gives some of it. */
export async function giveFeeToken(rpcUrl: string, holder: Address, amountAtoms: bigint, feeBasisPoints: number): Promise<TestToken> {
  return giveNewToken(rpcUrl, holder, amountAtoms, {
    program: token2022Program,
    // A mint padded to the length of an account, its kind (1 byte), and the fee's extension (type 2, length 2, value 108 bytes).
    mintBytes: 165 + 1 + 4 + 108,
    extend: (mint, authority) => [transferFeeConfig(mint, authority, feeBasisPoints)],
  })
}

interface TokenKind {
  program: Address
  mintBytes: number
  /** What must run between the mint's creation and its initialization. */
  extend: (mint: Address, authority: Address) => Instruction[]
}

async function giveNewToken(rpcUrl: string, holder: Address, amountAtoms: bigint, kind: TokenKind): Promise<TestToken> {
  const [purse, mint] = await Promise.all([generateKeyPairSigner(), generateKeyPairSigner()])
  await askFault(rpcUrl, { giveSol: purse.address, lamports: 1_000_000_000 })
  const lamports = await createSolanaRpc(devnet(rpcUrl)).getMinimumBalanceForRentExemption(BigInt(kind.mintBytes)).send()
  const account = await tokenAccountAddress(holder, mint.address, kind.program)
  const ofProgram = { programAddress: kind.program }
  await land(rpcUrl, purse, [
    getCreateAccountInstruction({ payer: purse, newAccount: mint, lamports, space: kind.mintBytes, programAddress: kind.program }),
    ...kind.extend(mint.address, purse.address),
    getInitializeMint2Instruction({ mint: mint.address, decimals: 6, mintAuthority: purse.address }, ofProgram),
    getCreateAssociatedTokenIdempotentInstruction({
      payer: purse,
      ata: account,
      owner: holder,
      mint: mint.address,
      tokenProgram: kind.program,
    }),
    getMintToInstruction({ mint: mint.address, token: account, mintAuthority: purse, amount: amountAtoms }, ofProgram),
  ])
  return { mint: mint.address, account }
}

// InitializeTransferFeeConfig (26, 0): two optional authorities (1 byte, 32), basis points u16, the largest fee u64.
// Source: spl-token-2022, extension/transfer_fee/instruction.rs.
function transferFeeConfig(mint: Address, authority: Address, feeBasisPoints: number): Instruction {
  const authorityBytes = getAddressEncoder().encode(authority) as Uint8Array
  const fee = Buffer.alloc(10)
  fee.writeUInt16LE(feeBasisPoints)
  fee.writeBigUInt64LE(2n ** 64n - 1n, 2)
  const data = new Uint8Array(Buffer.concat([Buffer.of(26, 0, 1), authorityBytes, Buffer.of(1), authorityBytes, fee]))
  return { programAddress: token2022Program, accounts: [{ address: mint, role: AccountRole.WRITABLE }], data }
}

async function tokenAccountAddress(owner: Address, mint: Address, tokenProgram: Address): Promise<Address> {
  const [account] = await findAssociatedTokenPda({ owner, mint, tokenProgram })
  return account
}

async function land(rpcUrl: string, payer: KeyPairSigner, instructions: Instruction[]): Promise<void> {
  const rpc = createSolanaRpc(devnet(rpcUrl))
  const { value: lifetime } = await rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()
  const signed = await signTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: 0 }),
      (draft) => setTransactionMessageFeePayerSigner(payer, draft),
      (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
      (draft) => appendTransactionMessageInstructions(instructions, draft),
    ),
  )
  // Preflight makes a failure of it an error here; what passes lands in the same moment.
  await rpc.sendTransaction(getBase64EncodedWireTransaction(signed), { encoding: 'base64', preflightCommitment: 'confirmed' }).send()
}

async function askFault(rpcUrl: string, body: object): Promise<void> {
  const answer = await fetch(new URL('/fault', rpcUrl), { method: 'POST', body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`the chain refused ${JSON.stringify(body)}: ${await answer.text()}`)
}
