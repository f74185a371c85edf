// Tests of wallets: a Wallet Standard wallet becomes a signer whose signature is valid, and only wallets that can pay are listed.
import {
  address,
  assertIsFullySignedTransaction,
  blockhash,
  compileTransaction,
  createTransactionMessage,
  generateKeyPairSigner,
  getTransactionDecoder,
  getTransactionEncoder,
  partiallySignTransactionWithSigners,
  pipe,
  setTransactionMessageFeePayer,
  setTransactionMessageLifetimeUsingBlockhash,
} from '@solana/kit'
import { getWallets } from '@wallet-standard/app'
import type { IdentifierString, WalletAccount } from '@wallet-standard/base'
import { expect, test } from 'vitest'
import { connectWallet, listWallets, type SigningWallet, walletSigner, watchWallets } from './pay-wallet.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
const recent = { blockhash: blockhash('4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn'), lastValidBlockHeight: 150n }

async function wallet(chains: IdentifierString[] = ['solana:devnet']) {
  const key = await generateKeyPairSigner()
  const account: WalletAccount = { address: key.address, publicKey: new Uint8Array(32), chains, features: ['solana:signTransaction'] }
  const asked: unknown[] = []
  const made: SigningWallet = {
    version: '1.0.0',
    name: 'Pocket',
    icon: 'data:image/png;base64,',
    chains,
    accounts: [account],
    features: {
      'standard:connect': { version: '1.0.0', connect: async () => ({ accounts: [account] }) },
      'solana:signTransaction': {
        version: '1.0.0',
        supportedTransactionVersions: [0],
        signTransaction: async (...inputs) => {
          asked.push(...inputs.map(({ chain }) => chain))
          return Promise.all(
            inputs.map(async ({ transaction }) => {
              const signed = await partiallySignTransactionWithSigners([key], {
                ...getTransactionDecoder().decode(transaction),
                lifetimeConstraint: recent,
              } as never)
              return { signedTransaction: new Uint8Array(getTransactionEncoder().encode(signed)) }
            }),
          )
        },
      },
    },
  }
  return { made, key, asked }
}

test('a wallet signs the very message it was given, on the chain of the network', async () => {
  const { made, key, asked } = await wallet()
  const signer = walletSigner(made, await connectWallet(made), devnet)
  expect(signer.address).toBe(key.address)
  const transaction = compileTransaction(
    pipe(
      createTransactionMessage({ version: 0 }),
      (message) => setTransactionMessageFeePayer(address(key.address), message),
      (message) => setTransactionMessageLifetimeUsingBlockhash(recent, message),
    ),
  )
  const [signed] = await signer.modifyAndSignTransactions([transaction])
  if (!signed) throw new Error('nothing came back')
  assertIsFullySignedTransaction(signed)
  expect(signed.messageBytes).toEqual(transaction.messageBytes)
  expect(signed.lifetimeConstraint).toMatchObject({ blockhash: recent.blockhash })
  expect(asked).toEqual(['solana:devnet'])
})

test('only wallets of the chain that can sign are listed, and comings and goings are told', async () => {
  const { made } = await wallet()
  const { made: onMainnet } = await wallet(['solana:mainnet'])
  const { made: blind } = await wallet()
  let changes = 0
  const stop = watchWallets(() => {
    changes += 1
  })
  const unregister = getWallets().register(made, onMainnet, { ...blind, features: {} })
  expect(listWallets(devnet)).toEqual([made])
  unregister()
  expect(listWallets(devnet)).toEqual([])
  expect(changes).toBe(2)
  stop()
})

test('a wallet that shares no account is refused', async () => {
  const { made } = await wallet()
  const closed = {
    ...made,
    features: { ...made.features, 'standard:connect': { version: '1.0.0', connect: async () => ({ accounts: [] }) } },
  }
  await expect(connectWallet(closed as SigningWallet)).rejects.toThrow('shared no account')
})
