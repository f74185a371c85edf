// Wallets: any Wallet Standard wallet that signs Solana transactions, as a signer for the paying client.

import {
  address,
  assertIsTransactionWithinSizeLimit,
  getCompiledTransactionMessageDecoder,
  getTransactionDecoder,
  getTransactionEncoder,
  getTransactionLifetimeConstraintFromCompiledTransactionMessage,
  type Transaction,
  type TransactionModifyingSigner,
} from '@solana/kit'
import type { SolanaSignTransactionFeature } from '@solana/wallet-standard-features'
import { getWallets } from '@wallet-standard/app'
import type { IdentifierString, Wallet, WalletAccount } from '@wallet-standard/base'
import type { StandardConnectFeature } from '@wallet-standard/features'

const chainOfNetwork: Record<string, IdentifierString> = {
  'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp': 'solana:mainnet',
  'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1': 'solana:devnet',
  'solana:4uhcVJyU9pJkvQyS88uRDiswHXSCkY3z': 'solana:testnet',
}

/** A wallet that can connect and sign on the asked chain. */
export type SigningWallet = Wallet & { readonly features: SolanaSignTransactionFeature & StandardConnectFeature }

/** The wallets of this browser that can pay on a network (CAIP-2), now. */
export function listWallets(network: string): readonly SigningWallet[] {
  const chain = chainOfNetwork[network]
  return getWallets()
    .get()
    .filter((wallet): wallet is SigningWallet => {
      const canSign = 'solana:signTransaction' in wallet.features && 'standard:connect' in wallet.features
      return canSign && chain !== undefined && wallet.chains.includes(chain)
    })
}

/** Calls back whenever a wallet comes or goes; returns the way to stop. */
export function watchWallets(onChange: () => void): () => void {
  const stops = [getWallets().on('register', onChange), getWallets().on('unregister', onChange)]
  return () => {
    for (const stop of stops) stop()
  }
}

/** Asks the wallet for its accounts (it may show a window) and gives the first that can sign; throws when the user shares none. */
export async function connectWallet(wallet: SigningWallet): Promise<WalletAccount> {
  const { accounts } = await wallet.features['standard:connect'].connect()
  const account = accounts.find((candidate) => candidate.features.includes('solana:signTransaction')) ?? accounts[0]
  if (!account) throw new Error(`${wallet.name} shared no account`)
  return account
}

/** A kit signer over a wallet's account. Wallets may change a transaction before signing; the market accepts only what satisfies its quote. */
export function walletSigner(wallet: SigningWallet, account: WalletAccount, network: string): TransactionModifyingSigner {
  const chain = chainOfNetwork[network]
  if (!chain) throw new Error(`No wallet chain is known for ${network}`)
  return {
    address: address(account.address),
    async modifyAndSignTransactions(transactions) {
      const inputs = transactions.map((transaction) => ({
        account,
        chain,
        transaction: new Uint8Array(getTransactionEncoder().encode(transaction)),
      }))
      const outputs = await wallet.features['solana:signTransaction'].signTransaction(...inputs)
      return Promise.all(outputs.map(({ signedTransaction }) => signedBy(signedTransaction)))
    },
  }
}

async function signedBy(bytes: Uint8Array) {
  const transaction: Transaction = getTransactionDecoder().decode(bytes)
  assertIsTransactionWithinSizeLimit(transaction)
  const message = getCompiledTransactionMessageDecoder().decode(transaction.messageBytes)
  if (!('lifetimeToken' in message)) throw new Error('The wallet returned a transaction without a lifetime')
  return { ...transaction, lifetimeConstraint: await getTransactionLifetimeConstraintFromCompiledTransactionMessage(message) }
}
