// JSON-RPC about tokens: the token accounts of an owner, balances and supplies.
import type { Address, EncodedAccount } from '@solana/kit'
import type { Chain } from '../chain.ts'
import { mintOf, tokenAccountOf, tokenPrograms, uiTokenAmount } from '../token-state.ts'
import { accountEncodingParam, encodeAccount } from './encode-account.ts'
import { addressParam, type Config, configParam, type RpcMethod, withContext } from './params.ts'
import { invalidParams } from './rpc-error.ts'

const getTokenAccountsByOwner: RpcMethod = (chain, [owner, filter, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config)
  const isWanted = tokenFilter(chain, configParam(filter))
  const accounts = chain.accounts
    .tokenAccountsOfOwner(addressParam(owner))
    .filter(isWanted)
    .map((account) => ({ pubkey: account.address, account: encodeAccount(account, how, (mint) => chain.accounts.decimalsOf(mint)) }))
  return withContext(chain, config, accounts)
}

function tokenFilter(chain: Chain, filter: Config): (account: EncodedAccount) => boolean {
  if (filter.mint !== undefined) {
    const mint = addressParam(filter.mint)
    if (chain.accounts.decimalsOf(mint) === undefined) throw invalidParams('Invalid param: could not find mint')
    return (account) => tokenAccountOf(account)?.mint === mint
  }
  const program = addressParam(filter.programId)
  if (!tokenPrograms.has(program)) throw invalidParams('Invalid param: unrecognized Token program id')
  return (account) => account.programAddress === program
}

const getTokenAccountBalance: RpcMethod = (chain, [address, config]) => {
  const account = existing(chain, addressParam(address))
  const token = tokenAccountOf(account)
  const decimals = token && chain.accounts.decimalsOf(token.mint)
  if (!token || decimals === undefined) throw invalidParams('Invalid param: not a Token account')
  return withContext(chain, configParam(config), uiTokenAmount(token.amount, decimals))
}

const getTokenSupply: RpcMethod = (chain, [address, config]) => {
  const mint = mintOf(existing(chain, addressParam(address)))
  if (!mint) throw invalidParams('Invalid param: not a Token mint')
  return withContext(chain, configParam(config), uiTokenAmount(mint.supply, mint.decimals))
}

function existing(chain: Chain, address: Address): EncodedAccount {
  const account = chain.accounts.get(address)
  if (!account) throw invalidParams('Invalid param: could not find account')
  return account
}

/** The methods of this file by name. */
export const tokenMethods: Record<string, RpcMethod> = { getTokenAccountsByOwner, getTokenAccountBalance, getTokenSupply }
