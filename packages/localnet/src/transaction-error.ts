// Why a transaction failed, in the words a validator's JSON-RPC uses.
import type { FailedTransactionMetadata } from 'litesvm'

/** A transaction error as JSON-RPC carries it, for instance "BlockhashNotFound" or { InstructionError: [2, { Custom: 1 }] }. */
export type TransactionErrorJson = string | Record<string, unknown>

// In the order of litesvm's numbers (its dist/internal.d.ts).
const transactionErrors =
  `AccountInUse AccountLoadedTwice AccountNotFound ProgramAccountNotFound InsufficientFundsForFee InvalidAccountForFee AlreadyProcessed
BlockhashNotFound CallChainTooDeep MissingSignatureForFee InvalidAccountIndex SignatureFailure InvalidProgramForExecution SanitizeFailure
ClusterMaintenance AccountBorrowOutstanding WouldExceedMaxBlockCostLimit UnsupportedVersion InvalidWritableAccount
WouldExceedMaxAccountCostLimit WouldExceedAccountDataBlockLimit TooManyAccountLocks AddressLookupTableNotFound
InvalidAddressLookupTableOwner InvalidAddressLookupTableData InvalidAddressLookupTableIndex InvalidRentPayingAccount
WouldExceedMaxVoteCostLimit WouldExceedAccountDataTotalLimit MaxLoadedAccountsDataSizeExceeded ResanitizationNeeded
InvalidLoadedAccountsDataSizeLimit UnbalancedTransaction ProgramCacheHitMaxLimit CommitCancelled`.split(/\s+/)

const instructionErrors =
  `GenericError InvalidArgument InvalidInstructionData InvalidAccountData AccountDataTooSmall InsufficientFunds IncorrectProgramId
MissingRequiredSignature AccountAlreadyInitialized UninitializedAccount UnbalancedInstruction ModifiedProgramId ExternalAccountLamportSpend
ExternalAccountDataModified ReadonlyLamportChange ReadonlyDataModified DuplicateAccountIndex ExecutableModified RentEpochModified
NotEnoughAccountKeys AccountDataSizeChanged AccountNotExecutable AccountBorrowFailed AccountBorrowOutstanding DuplicateAccountOutOfSync
InvalidError ExecutableDataModified ExecutableLamportChange ExecutableAccountNotRentExempt UnsupportedProgramId CallDepth MissingAccount
ReentrancyNotAllowed MaxSeedLengthExceeded InvalidSeeds InvalidRealloc ComputationalBudgetExceeded PrivilegeEscalation
ProgramEnvironmentSetupFailure ProgramFailedToComplete ProgramFailedToCompile Immutable IncorrectAuthority AccountNotRentExempt
InvalidAccountOwner ArithmeticOverflow UnsupportedSysvar IllegalOwner MaxAccountsDataAllocationsExceeded MaxAccountsExceeded
MaxInstructionTraceLengthExceeded BuiltinProgramsMustConsumeComputeUnits BorshIoError`.split(/\s+/)

const sentences: Record<string, string> = {
  AccountNotFound: 'Attempt to debit an account but found no record of a prior credit.',
  AlreadyProcessed: 'This transaction has already been processed',
  BlockhashNotFound: 'Blockhash not found',
  InsufficientFundsForFee: 'Insufficient funds for fee',
  InvalidAccountForFee: 'This account may not be used to pay transaction fees',
  ProgramAccountNotFound: 'Attempt to load a program that does not exist',
  SignatureFailure: 'Transaction did not pass signature verification',
}

/** Turns litesvm's error into JSON-RPC's. */
export function transactionErrorJson(failure: FailedTransactionMetadata): TransactionErrorJson {
  const error = failure.err()
  if (typeof error === 'number') return transactionErrors[error] ?? `UnknownError${error}`
  if ('err' in error) return { InstructionError: [error.index, instructionErrorJson(error.err())] }
  if ('index' in error) return { DuplicateInstruction: error.index }
  const name = error.constructor.name.replace('TransactionError', '')
  return { [name]: { account_index: error.accountIndex } }
}

function instructionErrorJson(error: number | { code: number } | { msg: string }): TransactionErrorJson {
  if (typeof error === 'number') return instructionErrors[error] ?? `UnknownError${error}`
  return 'code' in error ? { Custom: error.code } : { BorshIoError: error.msg }
}

/** The sentence a validator puts behind "Transaction simulation failed: ". */
export function transactionErrorSentence(error: TransactionErrorJson): string {
  if (typeof error === 'string') return sentences[error] ?? error
  const inInstruction = error.InstructionError as [number, TransactionErrorJson] | undefined
  if (!inInstruction) return JSON.stringify(error)
  const [index, reason] = inInstruction
  const custom = typeof reason === 'string' ? undefined : (reason.Custom as number | undefined)
  const words =
    custom === undefined ? (typeof reason === 'string' ? reason : JSON.stringify(reason)) : `custom program error: 0x${custom.toString(16)}`
  return `Error processing Instruction ${index}: ${words}`
}
