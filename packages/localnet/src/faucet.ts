// What the chain's own keys do with test money: mint USDC and freeze accounts of it by real token transactions, and give SOL for fees.
import { randomUUID } from 'node:crypto'
import {
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  createTransactionMessage,
  getTransactionEncoder,
  type Instruction,
  isAddress,
  isSome,
  lamports,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getAddMemoInstruction } from '@solana-program/memo'
import { getTransferSolInstruction } from '@solana-program/system'
import {
  AccountState,
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstructionAsync,
  getFreezeAccountInstruction,
  getMintDecoder,
  getMintToCheckedInstruction,
  getThawAccountInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import type { Chain } from './chain.ts'
import { FaultImpossibleError } from './faults.ts'
import { usdcDecimals, usdcMint } from './genesis.ts'
import { tokenAccountOf } from './token-state.ts'

// The memo program of mainnet and devnet; the client's default is a newer one that is not everywhere.
const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')

const solLamports = 1_000_000_000n
const lowBalanceLamports = solLamports / 10n
const mostUsdcAtoms = 1_000_000_000_000n

/** The body of a faucet request is wrong; the message says what. */
export class FaucetRequestError extends Error {
  override readonly name = 'FaucetRequestError'
}

/** What somebody asks of the faucet. */
export interface FaucetRequest {
  address: Address
  /** Millionths of a USDC, 0 to 10^12; 0 still creates the token account. */
  usdcAtoms: bigint
}

/** Reads `{ address, usdcAtoms }`, the atoms as a decimal string or an integer. Throws FaucetRequestError. */
export function readFaucetRequest(body: unknown): FaucetRequest {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new FaucetRequestError('the body must be a JSON object with address and usdcAtoms')
  const { address: to, usdcAtoms, ...others } = body as Record<string, unknown>
  const other = Object.keys(others)[0]
  if (other !== undefined) throw new FaucetRequestError(`${other} is not a member of this request`)
  if (typeof to !== 'string' || !isAddress(to)) throw new FaucetRequestError('address must be a base58 Solana address')
  const isInteger =
    typeof usdcAtoms === 'string' ? /^\d{1,20}$/.test(usdcAtoms) : typeof usdcAtoms === 'bigint' || Number.isSafeInteger(usdcAtoms)
  const atoms = isInteger ? BigInt(usdcAtoms as string | number | bigint) : -1n
  if (atoms < 0n || atoms > mostUsdcAtoms) throw new FaucetRequestError(`usdcAtoms must be an integer from 0 to ${mostUsdcAtoms}`)
  return { address: to, usdcAtoms: atoms }
}

/** Mints test USDC into the address's token account, made if it is missing, and adds 1 SOL when it has less than 0.1. Returns the signature. */
export async function giveUsdc(chain: Chain, request: FaucetRequest): Promise<string> {
  const authority = chain.keys.mintAuthority
  const [token] = await findAssociatedTokenPda({ owner: request.address, mint: usdcMint, tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const instructions: Instruction[] = [
    await getCreateAssociatedTokenIdempotentInstructionAsync({ payer: authority, owner: request.address, mint: usdcMint }),
    getMintToCheckedInstruction({ mint: usdcMint, token, mintAuthority: authority, amount: request.usdcAtoms, decimals: usdcDecimals }),
  ]
  if ((chain.accounts.get(request.address)?.lamports ?? 0n) < lowBalanceLamports) {
    instructions.push(solTransfer(chain, request.address, solLamports))
  }
  return land(chain, instructions)
}

/** Sends SOL out of the chain's own purse. Returns the signature. Throws FaultImpossibleError for less than an address must hold. */
export async function giveSol(chain: Chain, to: Address, amountLamports: bigint): Promise<string> {
  return land(chain, [solTransfer(chain, to, amountLamports)])
}

/**
 * Freezes an owner's account of test USDC, or thaws it, as the mint's issuer may. Returns the signature. Throws FaultImpossibleError
 * when there is no such account or it is so already.
 */
export async function freezeUsdc(chain: Chain, owner: Address, isFrozen: boolean): Promise<string> {
  const [key] = await findAssociatedTokenPda({ owner, mint: usdcMint, tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const found = chain.accounts.get(key)
  const token = found && tokenAccountOf(found)
  if (!token) throw new FaultImpossibleError(404, `${owner} has no account of test USDC`)
  if ((token.state === AccountState.Frozen) === isFrozen)
    throw new FaultImpossibleError(409, `it is ${isFrozen ? '' : 'not '}frozen already`)
  if (!isSome(getMintDecoder().decode(chain.accounts.get(usdcMint)?.data ?? new Uint8Array()).freezeAuthority)) {
    throw new FaultImpossibleError(409, 'the mint is from before it could freeze accounts: begin with an empty data dir')
  }
  const ofMint = { account: key, mint: usdcMint, owner: chain.keys.mintAuthority }
  return land(chain, [isFrozen ? getFreezeAccountInstruction(ofMint) : getThawAccountInstruction(ofMint)])
}

function solTransfer(chain: Chain, to: Address, amountLamports: bigint): Instruction {
  return getTransferSolInstruction({ source: chain.keys.mintAuthority, destination: to, amount: lamports(amountLamports) })
}

async function land(chain: Chain, instructions: Instruction[]): Promise<string> {
  const slot = chain.slot('processed')
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (draft) => setTransactionMessageFeePayerSigner(chain.keys.mintAuthority, draft),
    (draft) =>
      setTransactionMessageLifetimeUsingBlockhash(
        { blockhash: chain.clock.blockhash(slot) as Blockhash, lastValidBlockHeight: BigInt(chain.clock.lastValidBlockHeight(slot)) },
        draft,
      ),
    // The memo makes every gift a transaction of its own: two equal ones within a slot would count as one.
    (draft) =>
      appendTransactionMessageInstructions(
        [...instructions, getAddMemoInstruction({ memo: `faucet ${randomUUID()}` }, { programAddress: memoProgram })],
        draft,
      ),
  )
  const signed = await signTransactionMessageWithSigners(message)
  const landed = chain.execute(chain.decode(new Uint8Array(getTransactionEncoder().encode(signed))))
  if ('rejected' in landed)
    throw new FaultImpossibleError(409, `the chain's own transaction was refused: ${JSON.stringify(landed.rejected)}`)
  if (landed.err !== null) throw new FaultImpossibleError(409, `the chain's own transaction failed: ${JSON.stringify(landed.err)}`)
  return landed.signature
}
