// Test wallet: a throw-away key made in the browser, for the local chain and its faucet only.
import { address, createKeyPairSignerFromPrivateKeyBytes, createSolanaRpc, type KeyPairSigner } from '@solana/kit'
import { fetchMaybeToken, findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { errorFromResponse, MarketError } from './market-error.ts'

const storageKey = 'flow402.test-wallet'

/**
 * The browser's test wallet, made at the first call and kept as hex in `storage`. The key is readable by this page:
 * fine for test USDC without value, never to be offered on a chain without a faucet. Needs WebCrypto, i.e. https or localhost.
 */
export async function testWallet(storage: Pick<Storage, 'getItem' | 'setItem'> = localStorage): Promise<KeyPairSigner> {
  if (!globalThis.crypto?.subtle) throw new Error('The test wallet needs https or localhost')
  const kept = storage.getItem(storageKey)
  const hex = kept && /^[0-9a-f]{64}$/.test(kept) ? kept : hexFromBytes(crypto.getRandomValues(new Uint8Array(32)))
  if (hex !== kept) storage.setItem(storageKey, hex)
  return createKeyPairSignerFromPrivateKeyBytes(Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)))
}

/** Asks the local chain's faucet for test USDC (atoms); gives the transaction's signature. */
export async function askFaucet(faucetUrl: string, owner: string, usdcAtoms: bigint): Promise<string> {
  const response = await fetch(faucetUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ address: owner, usdcAtoms: usdcAtoms.toString() }),
  }).catch((cause: unknown) => {
    throw new MarketError('unreachable', 0, 'The faucet does not answer', {}, cause)
  })
  if (!response.ok) throw await errorFromResponse(response)
  const body: unknown = await response.json()
  if (typeof body === 'object' && body !== null && 'signature' in body && typeof body.signature === 'string') return body.signature
  throw new MarketError('unexpected_answer', response.status, 'The faucet answered without a signature')
}

/** What an address holds of a token in its associated account, in atoms; 0 when it has none. */
export async function usdcBalance(rpcUrl: string, mint: string, owner: string): Promise<bigint> {
  const [account] = await findAssociatedTokenPda({ mint: address(mint), owner: address(owner), tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const found = await fetchMaybeToken(createSolanaRpc(rpcUrl), account, { commitment: 'confirmed' })
  return found.exists ? found.data.amount : 0n
}

function hexFromBytes(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
