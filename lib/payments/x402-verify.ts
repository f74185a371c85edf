// The rules of x402 `exact` on Solana: what a transaction must be before our fee payer signs it. Nothing here asks the chain.
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { type Address, getAddressEncoder } from '@solana/kit'
import { COMPUTE_BUDGET_PROGRAM_ADDRESS } from '@solana-program/compute-budget'
import type { PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { type InstructionFacts, isTransfer, lighthouseProgram, memoProgram, type TransactionFacts } from './x402-transaction.ts'

/** What the fee payer sponsors at most: 2 signatures and a priority fee of 200,000 units at 1 lamport each, 210,000 lamports in all. */
export const limits = { computeUnits: 200_000, microLamports: 1_000_000n, signatures: 2, instructions: 12, wireBytes: 1_232 } as const

/** Who we are, and where the money has to go. `ours`: addresses whose money no payment may move. `account`: the payee's own token account. */
export type Sponsor = { feePayer: Address; ours: ReadonlySet<string>; account: string }

/** Only these Lighthouse instructions are guards: the assertions 2 to 15, which read and may fail. See `isGuard`. */
const firstAssertion = 2
const lastAssertion = 15

const svm = (reason: string) => `invalid_exact_svm_${reason}`
const said = (reason: string) => svm(`payload_${reason}`)

/** Why the terms themselves cannot be settled here; the reasons are those of the reference scheme (@x402/svm 2.27). */
export function refusalOfTerms(payload: PaymentPayload, requirements: PaymentRequirements, feePayer: string): string | undefined {
  const asked = requirements.extra?.feePayer
  if (payload.accepted.scheme !== 'exact' || requirements.scheme !== 'exact') return svm('unsupported_scheme')
  if (payload.accepted.network !== requirements.network) return svm('network_mismatch')
  if (typeof asked !== 'string' || asked === '') return said('missing_fee_payer')
  if (asked !== feePayer) return svm('fee_payer_not_managed_by_facilitator')
  return undefined
}

/**
 * Why our fee payer must not sign this transaction; undefined when it may, as far as can be told without the chain.
 * Every rule of the reference scheme, or a stricter one, except that wallets' guards may stand anywhere: at most 12 instructions, of
 * which exactly one sets the compute limit, one the price, one transfers, one is the memo, and the rest are guards.
 * The requirements must name a memo. Source: @x402/svm 2.27 exact/facilitator; Lighthouse's instruction table.
 */
export function refusalOfTransaction(facts: TransactionFacts, requirements: PaymentRequirements, sponsor: Sponsor): string | undefined {
  if (facts.wireBytes.length > limits.wireBytes) return said('transaction_could_not_be_decoded')
  if (facts.signers.length > limits.signatures) return said('excessive_signers')
  if (facts.feePayer !== sponsor.feePayer) return svm('fee_payer_mismatch')
  if (facts.instructions.length < 3 || facts.instructions.length > limits.instructions) return said('transaction_instructions_length')
  return (
    refusalOfInstructions(facts.instructions) ??
    refusalOfBudget(facts.instructions) ??
    refusalOfTransfer(facts, requirements, sponsor) ??
    refusalOfMemo(facts.instructions, requirements) ??
    refusalOfSignatures(facts)
  )
}

/** Nothing but a payment's own instructions, and the fee payer is named by guards alone. */
function refusalOfInstructions(instructions: readonly InstructionFacts[]): string | undefined {
  for (const instruction of instructions) {
    const { program, accounts } = instruction
    if (isGuard(instruction)) continue
    if (program === lighthouseProgram) return said('unknown_optional_instruction')
    if (accounts.includes(0)) return said('transaction_fee_payer_transferring_funds')
    if (program !== COMPUTE_BUDGET_PROGRAM_ADDRESS && program !== memoProgram && !isTransfer(instruction))
      return said('unknown_optional_instruction')
  }
  return undefined
}

/**
 * Whether an instruction is a wallet's guard: a Lighthouse assertion that reads accounts and calls no other program.
 * Account 0 signs and is writable for every instruction that names it, so what such an instruction could do with it counts: Lighthouse's
 * memory instructions (0, 1) make their payer pay rent, the Merkle assertion (16) calls a program, others are unknown; none is a guard.
 * Assertions may name the fee payer, because Phantom's do: they look at its lamports (x402 pull request 3318).
 */
function isGuard({ program, data }: InstructionFacts): boolean {
  const tag = data[0]
  return program === lighthouseProgram && tag !== undefined && tag >= firstAssertion && tag <= lastAssertion
}

/** Exactly one limit and one price, wherever they stand, neither above what is sponsored; no other setting. */
function refusalOfBudget(instructions: readonly InstructionFacts[]): string | undefined {
  const settings = instructions.filter(({ program }) => program === COMPUTE_BUDGET_PROGRAM_ADDRESS).map(({ data }) => data)
  const [limit, ...moreLimits] = settings.filter((data) => data[0] === 2)
  const [price, ...morePrices] = settings.filter((data) => data[0] === 3)
  if (limit?.length !== 5 || moreLimits.length > 0) return said('transaction_instructions_compute_limit_instruction')
  if (limit.readUInt32LE(1) > limits.computeUnits) return said('transaction_instructions_compute_limit_instruction_too_high')
  if (price?.length !== 9 || morePrices.length > 0) return said('transaction_instructions_compute_price_instruction')
  if (price.readBigUInt64LE(1) > limits.microLamports) return said('transaction_instructions_compute_price_instruction_too_high')
  return settings.length === 2 ? undefined : said('unknown_optional_instruction')
}

/** One transfer of exactly the amount, from somebody else's account into the payee's own. */
function refusalOfTransfer(facts: TransactionFacts, requirements: PaymentRequirements, sponsor: Sponsor): string | undefined {
  const [transfer, ...more] = facts.transfers
  if (!transfer || more.length > 0) return said('no_transfer_instruction')
  if (facts.instructions.find(isTransfer)?.data.length !== 10) return said('no_transfer_instruction')
  if (transfer.authority === sponsor.feePayer || sponsor.ours.has(transfer.authority))
    return said('transaction_fee_payer_transferring_funds')
  if (transfer.mint !== requirements.asset) return said('mint_mismatch')
  if (transfer.destination !== sponsor.account || transfer.source === transfer.destination) return said('recipient_mismatch')
  if (transfer.amountAtoms.toString() !== requirements.amount) return said('amount_mismatch')
  return undefined
}

function refusalOfMemo(instructions: readonly InstructionFacts[], requirements: PaymentRequirements): string | undefined {
  const memos = instructions.filter(({ program }) => program === memoProgram)
  const expected = requirements.extra?.memo
  if (memos.length !== 1 || typeof expected !== 'string' || expected === '') return said('memo_count')
  return memos[0]?.data.equals(Buffer.from(expected, 'utf8')) ? undefined : said('memo_mismatch')
}

/** Every required signature but the fee payer's is there and is right. */
function refusalOfSignatures(facts: TransactionFacts): string | undefined {
  const isSigned = facts.signers.every(
    (signer, place) => place === 0 || verify(null, facts.messageBytes, publicKeyOf(signer), facts.signatures[place] ?? Buffer.alloc(0)),
  )
  return isSigned ? undefined : said('signature_invalid')
}

/** What stands before the 32 bytes of an Ed25519 public key in DER (RFC 8410). */
const derPrefix = Buffer.from('302a300506032b6570032100', 'hex')

/** An address as a key for node's crypto. */
function publicKeyOf(signer: Address): KeyObject {
  return createPublicKey({ key: Buffer.concat([derPrefix, Buffer.from(getAddressEncoder().encode(signer))]), format: 'der', type: 'spki' })
}
