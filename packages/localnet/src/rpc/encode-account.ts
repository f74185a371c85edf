// Writes accounts the way JSON-RPC clients ask for them: base58, base64 or parsed.
import { type Address, type EncodedAccount, getBase58Decoder, type ReadonlyUint8Array, unwrapOption } from '@solana/kit'
import { mintOf, multisigOf, tokenAccountOf, tokenPrograms, uiTokenAmount } from '../token-state.ts'
import { type Config, configParam, integerParam } from './params.ts'
import { invalidParams, invalidRequest } from './rpc-error.ts'

// A validator refuses to write more than this in base58, because the cost grows with the square of the length.
const base58LimitBytes = 128
const anyLength = { min: 0, max: 10 * 1024 * 1024 }

/** How account data is to be written. */
export interface AccountEncoding {
  encoding: 'binary' | 'base58' | 'base64' | 'jsonParsed'
  slice: { offset: number; length: number } | undefined
}

/** Reads `encoding` and `dataSlice` of a config; `binary` (bare base58) is what a validator does when nothing is asked for. */
export function accountEncodingParam(config: Config, fallback: AccountEncoding['encoding'] = 'binary'): AccountEncoding {
  const encoding = config.encoding ?? fallback
  if (encoding === 'base64+zstd') throw invalidParams('base64+zstd is not supported by this chain; ask for base64')
  if (encoding !== 'binary' && encoding !== 'base58' && encoding !== 'base64' && encoding !== 'jsonParsed') {
    throw invalidParams(`Invalid param: unknown encoding ${String(encoding)}`)
  }
  if (config.dataSlice === undefined || config.dataSlice === null) return { encoding, slice: undefined }
  const { offset, length } = configParam(config.dataSlice)
  return { encoding, slice: { offset: integerParam(offset, 'offset', anyLength), length: integerParam(length, 'length', anyLength) } }
}

/** Writes one account; null where nothing is. `decimalsOf` tells a mint's decimals, for parsed token accounts. */
export function encodeAccount(
  account: EncodedAccount | undefined,
  how: AccountEncoding,
  decimalsOf: (mint: Address) => number | undefined,
): Record<string, unknown> | null {
  if (!account) return null
  return {
    data: encodeData(account, how, decimalsOf),
    executable: account.executable,
    lamports: account.lamports,
    owner: account.programAddress,
    // Rent is no longer collected: a validator says the largest u64 for every account.
    rentEpoch: 18_446_744_073_709_551_615n,
    space: account.data.length,
  }
}

function encodeData(account: EncodedAccount, how: AccountEncoding, decimalsOf: (mint: Address) => number | undefined): unknown {
  if (how.encoding === 'jsonParsed') {
    const parsed = parseTokenData(account, decimalsOf)
    if (parsed) return { program: tokenPrograms.get(account.programAddress), parsed, space: account.data.length }
  }
  const data = how.slice ? account.data.slice(how.slice.offset, how.slice.offset + how.slice.length) : account.data
  if (how.encoding === 'base64' || how.encoding === 'jsonParsed') return [toBase64(data), 'base64']
  if (data.length > base58LimitBytes) {
    throw invalidRequest('Encoded binary (base 58) data should be less than 128 bytes, please use Base64 encoding.')
  }
  const text = getBase58Decoder().decode(data)
  return how.encoding === 'binary' ? text : [text, 'base58']
}

const tokenStates = ['uninitialized', 'initialized', 'frozen']

function parseTokenData(account: EncodedAccount, decimalsOf: (mint: Address) => number | undefined): unknown {
  const token = tokenAccountOf(account)
  if (token) {
    const decimals = decimalsOf(token.mint)
    if (decimals === undefined) return undefined
    const delegate = unwrapOption(token.delegate)
    const closeAuthority = unwrapOption(token.closeAuthority)
    const rentExemptReserve = unwrapOption(token.isNative)
    return {
      type: 'account',
      info: {
        isNative: rentExemptReserve !== null,
        mint: token.mint,
        owner: token.owner,
        state: tokenStates[token.state],
        tokenAmount: uiTokenAmount(token.amount, decimals),
        ...(delegate === null ? {} : { delegate, delegatedAmount: uiTokenAmount(token.delegatedAmount, decimals) }),
        ...(closeAuthority === null ? {} : { closeAuthority }),
        ...(rentExemptReserve === null ? {} : { rentExemptReserve: uiTokenAmount(rentExemptReserve, decimals) }),
      },
    }
  }
  const mint = mintOf(account)
  if (mint) {
    return {
      type: 'mint',
      info: {
        decimals: mint.decimals,
        freezeAuthority: unwrapOption(mint.freezeAuthority),
        isInitialized: mint.isInitialized,
        mintAuthority: unwrapOption(mint.mintAuthority),
        supply: mint.supply.toString(),
      },
    }
  }
  const multisig = multisigOf(account)
  if (!multisig) return undefined
  return {
    type: 'multisig',
    info: {
      numRequiredSigners: multisig.m,
      numValidSigners: multisig.n,
      isInitialized: multisig.isInitialized,
      signers: multisig.signers.slice(0, multisig.n),
    },
  }
}

function toBase64(bytes: ReadonlyUint8Array): string {
  return Buffer.from(bytes as Uint8Array).toString('base64')
}
