// Puts together what running a transaction brought about, from litesvm's report and the accounts before and after.
import { type Address, type EncodedAccount, getAddressDecoder, getBase58Decoder } from '@solana/kit'
import type { TransactionMetadata } from 'litesvm'
import type { StoredInnerInstruction, TransactionOutcome } from './chain-records.ts'
import { tokenBalances } from './token-state.ts'
import type { TransactionErrorJson } from './transaction-error.ts'

/** A run in litesvm; `postAccounts` only after a simulation that succeeded. */
export interface Run {
  err: TransactionErrorJson | null
  meta: TransactionMetadata
  postAccounts: EncodedAccount[]
}

/** The outcome of a run; `before` and `after` are the transaction's accounts in its order, undefined where nothing is. */
export function outcomeOf(
  fee: bigint,
  run: Run,
  before: (EncodedAccount | undefined)[],
  after: (EncodedAccount | undefined)[],
  decimalsOf: (mint: Address) => number | undefined,
): TransactionOutcome {
  return {
    err: run.err,
    fee: fee.toString(),
    computeUnits: run.meta.computeUnitsConsumed().toString(),
    logs: run.meta.logs(),
    innerInstructions: innerInstructionsOf(run.meta),
    preBalances: before.map((account) => (account?.lamports ?? 0n).toString()),
    postBalances: after.map((account) => (account?.lamports ?? 0n).toString()),
    preTokenBalances: tokenBalances(before, decimalsOf),
    postTokenBalances: tokenBalances(after, decimalsOf),
    returnData: returnDataOf(run.meta),
  }
}

function innerInstructionsOf(meta: TransactionMetadata): { index: number; instructions: StoredInnerInstruction[] }[] {
  return meta.innerInstructions().flatMap((inner, index) => {
    const instructions = inner.map((one) => ({
      programIdIndex: one.instruction().programIdIndex(),
      accounts: [...one.instruction().accounts()],
      data: getBase58Decoder().decode(one.instruction().data()),
      stackHeight: one.stackHeight(),
    }))
    return instructions.length > 0 ? [{ index, instructions }] : []
  })
}

function returnDataOf(meta: TransactionMetadata): TransactionOutcome['returnData'] {
  const bytes = meta.returnData().data()
  if (bytes.length === 0) return null
  return { programId: getAddressDecoder().decode(meta.returnData().programId()), data: [Buffer.from(bytes).toString('base64'), 'base64'] }
}
