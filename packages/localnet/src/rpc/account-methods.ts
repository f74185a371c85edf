// JSON-RPC about accounts: balances, data, and the accounts of a program.
import { type EncodedAccount, getBase58Encoder, type ReadonlyUint8Array } from '@solana/kit'
import { accountEncodingParam, encodeAccount } from './encode-account.ts'
import { addressParam, arrayParam, type Config, configParam, integerParam, type RpcMethod, stringParam, withContext } from './params.ts'
import { invalidParams } from './rpc-error.ts'

const getBalance: RpcMethod = (chain, [address, config]) =>
  withContext(chain, configParam(config), chain.accounts.get(addressParam(address))?.lamports ?? 0n)

const getAccountInfo: RpcMethod = (chain, [address, configValue]) => {
  const config = configParam(configValue)
  const account = chain.accounts.get(addressParam(address))
  return withContext(
    chain,
    config,
    encodeAccount(account, accountEncodingParam(config), (mint) => chain.accounts.decimalsOf(mint)),
  )
}

const getMultipleAccounts: RpcMethod = (chain, [addresses, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config, 'base64')
  const accounts = arrayParam(addresses, 'addresses', 100).map((address) =>
    encodeAccount(chain.accounts.get(addressParam(address)), how, (mint) => chain.accounts.decimalsOf(mint)),
  )
  return withContext(chain, config, accounts)
}

const getProgramAccounts: RpcMethod = (chain, [program, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config)
  const filters = arrayParam(config.filters ?? [], 'filters', 4).map((filter) => filterOf(configParam(filter)))
  const accounts = chain.accounts
    .ofProgram(addressParam(program))
    .filter((account) => filters.every((isWanted) => isWanted(account)))
    .map((account) => ({ pubkey: account.address, account: encodeAccount(account, how, (mint) => chain.accounts.decimalsOf(mint)) }))
  return config.withContext === true ? withContext(chain, config, accounts) : accounts
}

function filterOf(filter: Config): (account: EncodedAccount) => boolean {
  if (filter.dataSize !== undefined) {
    const size = integerParam(filter.dataSize, 'dataSize', { min: 0, max: Number.MAX_SAFE_INTEGER })
    return (account) => account.data.length === size
  }
  const { offset, bytes, encoding } = configParam(filter.memcmp)
  const start = integerParam(offset, 'offset', { min: 0, max: Number.MAX_SAFE_INTEGER })
  const wanted = memcmpBytes(stringParam(bytes, 'bytes'), encoding)
  return (account) => start + wanted.length <= account.data.length && wanted.every((byte, index) => account.data[start + index] === byte)
}

function memcmpBytes(text: string, encoding: unknown): ReadonlyUint8Array {
  if (encoding === 'base64') return Buffer.from(text, 'base64')
  try {
    return getBase58Encoder().encode(text)
  } catch {
    throw invalidParams('Invalid param: memcmp bytes are not base58')
  }
}

/** The methods of this file by name. */
export const accountMethods: Record<string, RpcMethod> = { getBalance, getAccountInfo, getMultipleAccounts, getProgramAccounts }
