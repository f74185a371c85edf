// The network as clients need to know it: chain, token, payee and the key that signs quotes.
import type { NetworkView } from '@flow402/protocol/network'
import type { MarketKeys } from './auth/market-keys.ts'
import type { Env } from './env.ts'

export function readNetwork(house: {
  env: Env
  keys: Pick<MarketKeys, 'publicKey'>
  payee: { payTo: string }
  feeBps: number
}): NetworkView {
  const { env } = house
  return {
    network: env.network,
    rpcUrl: env.rpcUrl,
    usdcMint: env.usdcMint,
    payTo: house.payee.payTo,
    marketPublicKey: house.keys.publicKey,
    feeBps: house.feeBps,
    ...(env.faucetUrl ? { faucetUrl: env.faucetUrl } : {}),
    ...(env.explorerUrl ? { explorerUrl: env.explorerUrl } : {}),
  }
}
