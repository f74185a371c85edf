// JSON-RPC about tokens: the token accounts of an owner, balances and supplies.
import type { EncodedAccount } from '@solana/kit'
import type { ChainView } from '../chain-view.ts'
import { mintOf, tokenAccountOf, tokenPrograms, uiTokenAmount } from '../token-state.ts'
import { accountEncodingParam, encodeAccount } from './encode-account.ts'
import { addressParam, type Config, configParam, type RpcMethod, withContext } from './params.ts'
import { invalidParams } from './rpc-error.ts'

const getTokenAccountsByOwner: RpcMethod = (view, [ownerValue, filter, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config)
  const isWanted = tokenFilter(view, configParam(filter))
  const owner = addressParam(ownerValue)
  const { accounts } = view.chain
  return withContext(view, config, (read) =>
    accounts
      .tokenAccountsOfOwner(owner, read)
      .filter(isWanted)
      .map((account) => ({ pubkey: account.address, account: encodeAccount(account, how, (mint) => accounts.decimalsOf(mint)) })),
  )
}

function tokenFilter({ chain }: ChainView, filter: Config): (account: EncodedAccount) => boolean {
  if (filter.mint !== undefined) {
    const mint = addressParam(filter.mint)
    if (chain.accounts.decimalsOf(mint) === undefined) throw invalidParams('Invalid param: could not find mint')
    return (account) => tokenAccountOf(account)?.mint === mint
  }
  const program = addressParam(filter.programId)
  if (!tokenPrograms.has(program)) throw invalidParams('Invalid param: unrecognized Token program id')
  return (account) => account.programAddress === program
}

const getTokenAccountBalance: RpcMethod = (view, [addressValue, config]) => {
  const address = addressParam(addressValue)
  return withContext(view, configParam(config), (read) => {
    const token = tokenAccountOf(existing(read(address)))
    const decimals = token && view.chain.accounts.decimalsOf(token.mint)
    if (!token || decimals === undefined) throw invalidParams('Invalid param: not a Token account')
    return uiTokenAmount(token.amount, decimals)
  })
}

const getTokenSupply: RpcMethod = (view, [addressValue, config]) => {
  const address = addressParam(addressValue)
  return withContext(view, configParam(config), (read) => {
    const mint = mintOf(existing(read(address)))
    if (!mint) throw invalidParams('Invalid param: not a Token mint')
    return uiTokenAmount(mint.supply, mint.decimals)
  })
}

function existing(account: EncodedAccount | undefined): EncodedAccount {
  if (!account) throw invalidParams('Invalid param: could not find account')
  return account
}

/** The methods of this file by name. */
export const tokenMethods: Record<string, RpcMethod> = { getTokenAccountsByOwner, getTokenAccountBalance, getTokenSupply }
