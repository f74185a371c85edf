// What exists before the first transaction: the test USDC mint, its authority with SOL to give away, programs, and the chain's keys.
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Address,
  address,
  createKeyPairSignerFromPrivateKeyBytes,
  type EncodedAccount,
  type KeyPairSigner,
  lamports,
} from '@solana/kit'
import { getMintEncoder, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { lighthouseStandIn } from './lighthouse-stand-in.ts'

/** Circle's USDC mint on devnet; here it is test money of this chain alone. Source: Circle, "USDC contract addresses". */
export const usdcMint: Address = address('4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU')
/** Decimals of USDC: an atom is a millionth. */
export const usdcDecimals = 6

/** Devnet's genesis hash: x402 knows no network id for a local chain, so this one poses as devnet. */
export const genesisHash = 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG'

/** The chain's own secrets. */
export interface ChainKeys {
  /** Signs mints of test USDC, freezes accounts of it, and gives SOL away. */
  mintAuthority: KeyPairSigner
  /** 32 bytes every blockhash derives from. */
  blockhashSeed: Uint8Array
}

/** Reads the keys of a data dir, or makes and keeps them; without a dir they live as long as the process. */
export async function chainKeys(dataDir: string | undefined): Promise<ChainKeys> {
  const kept = dataDir === undefined ? freshKeys() : keptKeys(dataDir)
  return {
    mintAuthority: await createKeyPairSignerFromPrivateKeyBytes(Buffer.from(kept.mintAuthority, 'base64')),
    blockhashSeed: Buffer.from(kept.blockhashSeed, 'base64'),
  }
}

function freshKeys(): { mintAuthority: string; blockhashSeed: string } {
  return { mintAuthority: randomBytes(32).toString('base64'), blockhashSeed: randomBytes(32).toString('base64') }
}

function keptKeys(dataDir: string): { mintAuthority: string; blockhashSeed: string } {
  const path = join(dataDir, 'keys.json')
  mkdirSync(dataDir, { recursive: true })
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  const keys = freshKeys()
  writeFileSync(`${path}.next`, `${JSON.stringify(keys)}\n`, { mode: 0o600 })
  renameSync(`${path}.next`, path)
  return keys
}

/**
 * The accounts of a new chain: 1,000,000,000 SOL at the mint authority, the mint with nothing minted yet, and the program that stands
 * in for Lighthouse. The mint can freeze accounts, as Circle's can.
 */
export function genesisAccounts(mintAuthority: Address, rentExemptLamports: (bytes: number) => bigint): EncodedAccount[] {
  const mint = getMintEncoder().encode({
    mintAuthority,
    supply: 0n,
    decimals: usdcDecimals,
    isInitialized: true,
    freezeAuthority: mintAuthority,
  }) as Uint8Array
  return [
    {
      address: mintAuthority,
      lamports: lamports(1_000_000_000n * 1_000_000_000n),
      programAddress: address('11111111111111111111111111111111'),
      executable: false,
      data: new Uint8Array(0),
      space: 0n,
    },
    {
      address: usdcMint,
      lamports: lamports(rentExemptLamports(mint.length)),
      programAddress: TOKEN_PROGRAM_ADDRESS,
      executable: false,
      data: mint,
      space: BigInt(mint.length),
    },
    lighthouseStandIn(rentExemptLamports),
  ]
}
