// The payer: which wallet pays, whether it is connected, and what it holds.
'use client'
import type { NetworkView } from '@flow402/protocol/network'
import type { PayOptions } from '@flow402/sdk/pay'
import { useCallback, useEffect, useState } from 'react'
import { usePolled } from '../ui/use-polled.ts'

/** A wallet one may choose: the browser's test wallet (local chain only) or one found by Wallet Standard. */
export type WalletOption = { id: string; name: string; icon?: string; isTest: boolean; connect: () => Promise<Connection> }
type Connection = { address: string; signer: PayOptions['signer'] }

export type Payer = {
  options: readonly WalletOption[]
  /** False until the browser's wallets have been looked for. */
  isReady: boolean
  selected: WalletOption | null
  connection: Connection | null
  select: (option: WalletOption) => void
  /** USDC of the connected wallet in atoms; undefined while not known. */
  balance: bigint | undefined
  reloadBalance: () => void
  error: string | null
}

const balanceEveryMs = 5000

/** Looks for wallets in the browser; the test wallet connects by itself, others when chosen. */
export function usePayer(network: NetworkView): Payer {
  const [options, setOptions] = useState<readonly WalletOption[] | null>(null)
  const [selected, setSelected] = useState<WalletOption | null>(null)
  const [connection, setConnection] = useState<Connection | null>(null)
  const [error, setError] = useState<string | null>(null)

  const select = useCallback((option: WalletOption) => {
    setSelected(option)
    setConnection(null)
    setError(null)
    option.connect().then(setConnection, (cause: unknown) => {
      setError(cause instanceof Error ? cause.message : 'The wallet did not connect')
    })
  }, [])

  useEffect(() => {
    let isGone = false
    let stop = () => {}
    const look = async () => {
      const { listWallets, watchWallets, connectWallet, walletSigner } = await import('@flow402/sdk/pay-wallet')
      if (isGone) return
      const test = network.faucetUrl ? [testOption()] : []
      const refresh = () => {
        const found = listWallets(network.network).map((wallet) => ({
          id: wallet.name,
          name: wallet.name,
          icon: wallet.icon,
          isTest: false,
          connect: async () => {
            const account = await connectWallet(wallet)
            return { address: account.address, signer: walletSigner(wallet, account, network.network) }
          },
        }))
        setOptions([...test, ...found])
      }
      refresh()
      stop = watchWallets(refresh)
      const [first] = test
      if (first) select(first)
    }
    look().catch((cause: unknown) => setError(cause instanceof Error ? cause.message : 'Wallets could not be looked for'))
    return () => {
      isGone = true
      stop()
    }
  }, [network.faucetUrl, network.network, select])

  const address = connection?.address
  const load = useCallback(async () => {
    if (!address) return undefined
    const { usdcBalance } = await import('@flow402/sdk/pay-test-wallet')
    return usdcBalance(network.rpcUrl, network.usdcMint, address)
  }, [address, network.rpcUrl, network.usdcMint])
  const balance = usePolled(address ? load : null, balanceEveryMs)
  return {
    options: options ?? [],
    isReady: options !== null,
    selected,
    connection,
    select,
    balance: address ? balance.data : undefined,
    reloadBalance: balance.reload,
    error: error ?? (address && balance.error ? 'The balance could not be read from the chain' : null),
  }
}

function testOption(): WalletOption {
  return {
    id: 'test',
    name: 'Test wallet',
    isTest: true,
    connect: async () => {
      const { testWallet } = await import('@flow402/sdk/pay-test-wallet')
      const signer = await testWallet()
      return { address: signer.address, signer }
    },
  }
}
