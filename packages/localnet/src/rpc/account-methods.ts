// JSON-RPC about accounts: balances, data, and the accounts of a program.
import { type EncodedAccount, getBase58Encoder, type ReadonlyUint8Array } from '@solana/kit'
import { accountEncodingParam, encodeAccount } from './encode-account.ts'
import { addressParam, arrayParam, type Config, configParam, integerParam, type RpcMethod, stringParam, withContext } from './params.ts'
import { invalidParams } from './rpc-error.ts'

const getBalance: RpcMethod = (view, [addressValue, config]) => {
  const address = addressParam(addressValue)
  return withContext(view, configParam(config), (account) => account(address)?.lamports ?? 0n)
}

const getAccountInfo: RpcMethod = (view, [addressValue, configValue]) => {
  const config = configParam(configValue)
  const address = addressParam(addressValue)
  const how = accountEncodingParam(config)
  return withContext(view, config, (account) => encodeAccount(account(address), how, (mint) => view.chain.accounts.decimalsOf(mint)))
}

const getMultipleAccounts: RpcMethod = (view, [addressValues, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config, 'base64')
  const addresses = arrayParam(addressValues, 'addresses', 100).map(addressParam)
  return withContext(view, config, (account) =>
    addresses.map((address) => encodeAccount(account(address), how, (mint) => view.chain.accounts.decimalsOf(mint))),
  )
}

const getProgramAccounts: RpcMethod = (view, [programValue, configValue]) => {
  const config = configParam(configValue)
  const how = accountEncodingParam(config)
  const filters = arrayParam(config.filters ?? [], 'filters', 4).map((filter) => filterOf(configParam(filter)))
  const program = addressParam(programValue)
  const { accounts } = view.chain
  const answer = withContext(view, config, (read) =>
    accounts
      .ofProgram(program, read)
      .filter((account) => filters.every((isWanted) => isWanted(account)))
      .map((account) => ({ pubkey: account.address, account: encodeAccount(account, how, (mint) => accounts.decimalsOf(mint)) })),
  )
  return config.withContext === true ? answer : answer.value
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
