// Reads what token programs keep in accounts: token accounts, mints and multisigs of Token and Token-2022.
import type { Address, EncodedAccount, ReadonlyUint8Array } from '@solana/kit'
import { getMintDecoder, getMultisigDecoder, getTokenDecoder, type Mint, type Multisig, type Token } from '@solana-program/token'

/** The token programs and the names JSON-RPC gives them. */
export const tokenPrograms: ReadonlyMap<string, string> = new Map([
  ['TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA', 'spl-token'],
  ['TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb', 'spl-token-2022'],
])

const accountLength = 165
const mintLength = 82
const multisigLength = 355

// Token-2022 puts the kind of an extended account behind the space of a token account: 1 is a mint, 2 is an account.
function extendedKind(data: ReadonlyUint8Array): number | undefined {
  return data.length > accountLength && data.length !== multisigLength ? data[accountLength] : undefined
}

/** The token account in an account, or undefined when it holds none. */
export function tokenAccountOf(account: EncodedAccount): Token | undefined {
  if (!tokenPrograms.has(account.programAddress)) return undefined
  if (account.data.length !== accountLength && extendedKind(account.data) !== 2) return undefined
  const token = getTokenDecoder().decode(account.data)
  return token.state === 0 ? undefined : token
}

/** The mint in an account, or undefined when it holds none. */
export function mintOf(account: EncodedAccount): Mint | undefined {
  if (!tokenPrograms.has(account.programAddress)) return undefined
  if (account.data.length !== mintLength && extendedKind(account.data) !== 1) return undefined
  const mint = getMintDecoder().decode(account.data)
  return mint.isInitialized ? mint : undefined
}

/** The multisig in an account, or undefined when it holds none. */
export function multisigOf(account: EncodedAccount): Multisig | undefined {
  if (!tokenPrograms.has(account.programAddress) || account.data.length !== multisigLength) return undefined
  return getMultisigDecoder().decode(account.data)
}

/** A token amount as JSON-RPC writes it; `amount` are atoms. */
export interface UiTokenAmount {
  amount: string
  decimals: number
  uiAmount: number | null
  uiAmountString: string
}

/** Writes atoms with their decimals. */
export function uiTokenAmount(atoms: bigint, decimals: number): UiTokenAmount {
  const digits = atoms.toString().padStart(decimals + 1, '0')
  const whole = digits.slice(0, digits.length - decimals)
  const fraction = digits.slice(digits.length - decimals).replace(/0+$/, '')
  const uiAmountString = fraction ? `${whole}.${fraction}` : whole
  return { amount: atoms.toString(), decimals, uiAmount: Number(uiAmountString), uiAmountString }
}

/** A token account's balance before or after a transaction, as JSON-RPC writes it. */
export interface TokenBalance {
  accountIndex: number
  mint: Address
  owner: Address
  programId: Address
  uiTokenAmount: UiTokenAmount
}

/** Token balances among a transaction's accounts; `accounts[i]` is undefined where nothing exists. */
export function tokenBalances(
  accounts: readonly (EncodedAccount | undefined)[],
  decimalsOf: (mint: Address) => number | undefined,
): TokenBalance[] {
  return accounts.flatMap((account, accountIndex) => {
    const token = account && tokenAccountOf(account)
    const decimals = token && decimalsOf(token.mint)
    if (!token || decimals === undefined) return []
    return [
      {
        accountIndex,
        mint: token.mint,
        owner: token.owner,
        programId: account.programAddress,
        uiTokenAmount: uiTokenAmount(token.amount, decimals),
      },
    ]
  })
}
