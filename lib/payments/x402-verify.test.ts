// The rules by which our fee payer signs, beside the reference scheme's: ours may be stricter, never laxer, but for wallets' guards.
import {
  AccountRole,
  type Address,
  address,
  createNoopSigner,
  generateKeyPairSigner,
  type Instruction,
  type KeyPairSigner,
} from '@solana/kit'
import {
  getRequestHeapFrameInstruction,
  getSetComputeUnitLimitInstruction,
  getSetComputeUnitPriceInstruction,
} from '@solana-program/compute-budget'
import { findAssociatedTokenPda, getApproveInstruction, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import type { Network, PaymentPayload, PaymentRequirements } from '@x402/core/types'
import { toFacilitatorSvmSigner } from '@x402/svm'
import { ExactSvmScheme } from '@x402/svm/exact/facilitator'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { type Forgery, forgeTransaction, guardOf } from '../../__tests__/support/forged-payment.ts'
import { lighthouseProgram, readTransaction } from './x402-transaction.ts'
import { limits, refusalOfTerms, refusalOfTransaction } from './x402-verify.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1' as Network
const mint = '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU'
const lifetime = { blockhash: 'EtWTRABZaYq6iMfeYKouRu166VU2xqa1wcaWoxPkrZBG', lastValidBlockHeight: 1n } as Parameters<
  typeof forgeTransaction
>[2]
const memo = 'pay_01a2098a7c8f7498945e61304078c43d'
const said = (reason: string) => `invalid_exact_svm_payload_${reason}`

let feePayer: KeyPairSigner
let escrow: KeyPairSigner
let wallet: KeyPairSigner
let stranger: KeyPairSigner
let requirements: PaymentRequirements
let account: Address
let reference: ExactSvmScheme
beforeAll(async () => {
  ;[feePayer, escrow, wallet, stranger] = (await Promise.all(Array.from({ length: 4 }, () => generateKeyPairSigner()))) as [
    KeyPairSigner,
    KeyPairSigner,
    KeyPairSigner,
    KeyPairSigner,
  ]
  requirements = {
    scheme: 'exact',
    network: devnet,
    amount: '10000',
    asset: mint,
    payTo: escrow.address,
    maxTimeoutSeconds: 90,
    extra: { feePayer: feePayer.address, memo },
  }
  ;[account] = await findAssociatedTokenPda({ owner: escrow.address, mint: address(mint), tokenProgram: TOKEN_PROGRAM_ADDRESS })
  const signer = toFacilitatorSvmSigner(feePayer, {} as Parameters<typeof toFacilitatorSvmSigner>[1])
  // What the chain would say is not asked here, neither of ours nor of the reference.
  reference = new ExactSvmScheme({ ...signer, simulateTransaction: async () => undefined }, undefined, {
    maxComputeUnits: limits.computeUnits,
    maxPriorityFeeMicroLamports: Number(limits.microLamports),
    maxRequiredSignatures: limits.signatures,
  })
})

/** Our verdict; what cannot be read is refused as such. */
function ours(transaction: string, terms = requirements): string | undefined {
  const refused = refusalOfTerms(payloadOf(transaction, terms), terms, feePayer.address)
  if (refused !== undefined) return refused
  try {
    return refusalOfTransaction(readTransaction(transaction), terms, {
      feePayer: feePayer.address,
      ours: new Set([escrow.address]),
      account,
    })
  } catch {
    return said('transaction_could_not_be_decoded')
  }
}

async function theirs(transaction: string): Promise<string | undefined> {
  const verdict = await reference.verify(payloadOf(transaction, requirements), requirements)
  return verdict.isValid ? undefined : (verdict.invalidReason ?? 'unexplained')
}

const payloadOf = (transaction: string, accepted: PaymentRequirements): PaymentPayload => ({
  x402Version: 2,
  accepted,
  payload: { transaction },
})
const forge = (forgery: Forgery = {}, signer = wallet) => forgeTransaction(requirements, signer, lifetime, forgery)
const named = (program: string, accounts: Address[], role: AccountRole, data = new Uint8Array(1)): Instruction => ({
  programAddress: address(program),
  accounts: accounts.map((each) => ({ address: each, role })),
  data,
})

test('an honest payment is signed, of either version, and the reference would sign it too', async () => {
  for (const version of [0, 'legacy'] as const) {
    const transaction = await forge({ version })
    expect(ours(transaction)).toBeUndefined()
    expect(await theirs(transaction)).toBeUndefined()
  }
})

describe('guards of wallets', () => {
  const guards = () => [guardOf(5, [wallet.address]), guardOf(9, [account]), guardOf(6, [feePayer.address])]

  test('a payment with guards before, after, and around its transfer is signed, as Phantom and Solflare send it', async () => {
    const before = await forge({ arrange: ({ budget, transfer, memos }) => [...budget, ...guards(), transfer, ...memos] })
    const after = await forge({ arrange: ({ budget, transfer, memos }) => [...budget, transfer, ...memos, ...guards()] })
    const both = await forge({
      arrange: ({ budget, transfer, memos }) => [...budget, ...guards(), transfer, ...memos, guardOf(9, [account])],
    })
    const first = await forge({ arrange: ({ budget, transfer, memos }) => [...guards(), transfer, ...memos, ...budget.toReversed()] })
    for (const transaction of [before, after, both, first]) expect(ours(transaction)).toBeUndefined()
    expect(await theirs(both)).toBe(said('transaction_instructions_length'))
  })

  test('twelve instructions are signed, thirteen are not', async () => {
    const many = (count: number) => Array.from({ length: count }, () => guardOf(5, [wallet.address]))
    const withGuards = (count: number) =>
      forge({ arrange: ({ budget, transfer, memos }) => [...many(count), ...budget, transfer, ...memos] })
    expect(ours(await withGuards(8))).toBeUndefined()
    expect(ours(await withGuards(9))).toBe(said('transaction_instructions_length'))
  })

  test.each([0, 1, 16, 17, 18, 255])(
    'a Lighthouse instruction %i, which is no assertion, is no guard: it could make the fee payer pay',
    async (number) => {
      for (const accounts of [[feePayer.address, account], [wallet.address]])
        expect(ours(await forge({ extra: () => [guardOf(number, accounts)] }))).toBe(said('unknown_optional_instruction'))
      expect(ours(await forge({ extra: () => [{ programAddress: lighthouseProgram }] }))).toBe(said('unknown_optional_instruction'))
    },
  )
})

const nothing = '11111111111111111111111111111111'
const wrongs: [string, () => Forgery, string][] = [
  ['an atom less', () => ({ amountAtoms: 9_999n }), 'amount_mismatch'],
  ['an atom more', () => ({ amountAtoms: 10_001n }), 'amount_mismatch'],
  ['another token', () => ({ mint: 'So11111111111111111111111111111111111111112' }), 'mint_mismatch'],
  ['another payee', () => ({ payTo: stranger.address }), 'recipient_mismatch'],
  ['no memo', () => ({ memos: [] }), 'memo_count'],
  ['two memos', () => ({ memos: [memo, memo] }), 'memo_count'],
  ['a memo with one byte more', () => ({ memos: [`${memo} `] }), 'memo_mismatch'],
  ['no transfer', () => ({ arrange: ({ budget, memos }) => [...budget, ...memos] }), 'no_transfer_instruction'],
  [
    'two transfers',
    () => ({ arrange: ({ budget, transfer, memos }) => [...budget, transfer, transfer, ...memos] }),
    'no_transfer_instruction',
  ],
  [
    'no limit',
    () => ({ arrange: ({ budget, transfer, memos }) => [...budget.slice(1), transfer, ...memos] }),
    'transaction_instructions_compute_limit_instruction',
  ],
  [
    'no price',
    () => ({ arrange: ({ budget, transfer, memos }) => [...budget.slice(0, 1), transfer, ...memos] }),
    'transaction_instructions_compute_price_instruction',
  ],
  [
    'two limits',
    () => ({ extra: () => [getSetComputeUnitLimitInstruction({ units: 1 })] }),
    'transaction_instructions_compute_limit_instruction',
  ],
  [
    'two prices',
    () => ({ extra: () => [getSetComputeUnitPriceInstruction({ microLamports: 1n })] }),
    'transaction_instructions_compute_price_instruction',
  ],
  ['a limit above what is sponsored', () => ({ units: 200_001 }), 'transaction_instructions_compute_limit_instruction_too_high'],
  ['a price above what is sponsored', () => ({ microLamports: 1_000_001n }), 'transaction_instructions_compute_price_instruction_too_high'],
  ['more heap', () => ({ extra: () => [getRequestHeapFrameInstruction({ bytes: 262_144 })] }), 'unknown_optional_instruction'],
  [
    'a program that is no part of a payment',
    () => ({ extra: () => [named(nothing, [wallet.address], AccountRole.READONLY)] }),
    'unknown_optional_instruction',
  ],
  [
    'another token instruction',
    () => ({ extra: (signer) => [getApproveInstruction({ source: account, delegate: signer.address, owner: signer, amount: 1n })] }),
    'unknown_optional_instruction',
  ],
  [
    'the fee payer in a memo',
    () => ({
      arrange: ({ budget, transfer, memos: [first] }, payer) => [
        ...budget,
        transfer,
        { ...first, accounts: [{ address: payer, role: AccountRole.READONLY }] } as Instruction,
      ],
    }),
    'transaction_fee_payer_transferring_funds',
  ],
  [
    'the fee payer in a budget instruction',
    () => ({
      arrange: ({ budget: [limit, price], transfer, memos }, payer) => [
        { ...limit, accounts: [{ address: payer, role: AccountRole.READONLY }] } as Instruction,
        price as Instruction,
        transfer,
        ...memos,
      ],
    }),
    'transaction_fee_payer_transferring_funds',
  ],
  [
    'a third signature',
    () => ({ extra: () => [named(lighthouseProgram, [stranger.address], AccountRole.READONLY_SIGNER, Uint8Array.of(5))] }),
    'excessive_signers',
  ],
]

test.each(wrongs)('a payment with %s is not signed', async (_, forgery, reason) => {
  expect(ours(await forge(forgery()))).toBe(said(reason))
})

test('money of ours is nobody’s to send: neither the fee payer’s nor the escrow’s', async () => {
  for (const [owner, reason] of [
    [feePayer.address, 'transaction_fee_payer_transferring_funds'],
    [escrow.address, 'transaction_fee_payer_transferring_funds'],
  ] as const) {
    const authority = createNoopSigner(owner)
    const sent = getTransferCheckedInstruction({
      source: account,
      mint: address(mint),
      destination: account,
      authority,
      amount: 10_000n,
      decimals: 6,
    })
    expect(ours(await forge({ arrange: ({ budget, memos }) => [...budget, sent, ...memos] }))).toBe(said(reason))
  }
})

test('a transaction that somebody else pays for is not ours to sign, whatever the terms say', async () => {
  const foreign = await forge({ feePayer: stranger.address })
  expect(ours(foreign)).toBe('invalid_exact_svm_fee_payer_mismatch')
  const terms = { ...requirements, extra: { ...requirements.extra, feePayer: stranger.address } }
  expect(ours(foreign, terms)).toBe('invalid_exact_svm_fee_payer_not_managed_by_facilitator')
  expect(ours(foreign, { ...requirements, extra: {} })).toBe(said('missing_fee_payer'))
  expect(ours(foreign, { ...requirements, scheme: 'upto' })).toBe('invalid_exact_svm_unsupported_scheme')
})

test('every byte that a signature covers is covered: no changed byte of a signed payment is signed', async () => {
  const wire = Buffer.from(await forge(), 'base64')
  const emptyPlace = { from: 1, to: 65 }
  for (let at = 0; at < wire.length; at++) {
    if (at >= emptyPlace.from && at < emptyPlace.to) continue
    const changed = Buffer.from(wire)
    changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
    expect(ours(changed.toString('base64')), `byte ${at}`).toBeDefined()
  }
  expect(ours(wire.subarray(0, -1).toString('base64'))).toBe(said('transaction_could_not_be_decoded'))
  expect(ours(Buffer.concat([wire, Buffer.alloc(1)]).toString('base64'))).toBe(said('transaction_could_not_be_decoded'))
})

test('whatever is made of honest and dishonest pieces: what we sign the reference signs too, once the guards are taken out', async () => {
  type Piece = (honest: { budget: Instruction[]; transfer: Instruction; memos: Instruction[] }, payer: Address) => Instruction
  const pieces: Piece[] = [
    ({ budget }) => budget[0] as Instruction,
    ({ budget }) => budget[1] as Instruction,
    ({ transfer }) => transfer,
    ({ memos }) => memos[0] as Instruction,
    (_, payer) => guardOf(5, [payer]),
    () => guardOf(9, [wallet.address]),
    (_, payer) => guardOf(0, [payer], AccountRole.WRITABLE),
    (_, payer) => named(nothing, [payer, wallet.address], AccountRole.WRITABLE, new Uint8Array(12).fill(2, 0, 1)),
    () => getSetComputeUnitLimitInstruction({ units: 5 }),
    () => getRequestHeapFrameInstruction({ bytes: 32_768 }),
  ]
  // An honest payment, shuffled among at most four other pieces, with one thing changed or none.
  const forgeries = fc.record({
    extra: fc.array(fc.oneof(fc.constantFrom(4, 5), fc.constantFrom(4, 5), fc.integer({ min: 6, max: pieces.length - 1 })), {
      maxLength: 4,
    }),
    dropped: fc.constantFrom(undefined, undefined, undefined, undefined, undefined, undefined, 0, 1, 2, 3),
    order: fc.array(fc.nat(1_000), { minLength: 8, maxLength: 8 }),
    change: fc.constantFrom<Forgery>(
      {},
      {},
      {},
      {},
      { amountAtoms: 1n },
      { units: 200_001 },
      { microLamports: 2_000_000n },
      { memos: ['x'] },
      { version: 'legacy' },
    ),
  })
  const counts = { signed: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(forgeries, async ({ extra, dropped, order, change }) => {
      const chosen = [0, 1, 2, 3].filter((piece) => piece !== dropped).concat(extra)
      const shuffled = chosen.map((piece, index) => ({ piece, key: order[index] ?? 0 })).sort((a, b) => a.key - b.key)
      const arrange = (take: number[]): Forgery => ({
        ...change,
        arrange: (honest, payer) => take.map((piece) => (pieces[piece] as Piece)(honest, payer)),
      })
      const refusal = ours(await forge(arrange(shuffled.map(({ piece }) => piece))))
      counts[refusal === undefined ? 'signed' : 'refused'] += 1
      // The reference wants the limit first, by whichever piece it is set; guards are what it does not know.
      const orderly = chosen.filter((piece) => ![4, 5].includes(piece)).sort((a, b) => Number(b === 8) - Number(a === 8))
      if (refusal === undefined) expect(await theirs(await forge(arrange(orderly)))).toBeUndefined()
    }),
    { numRuns: 300 },
  )
  expect(counts.signed).toBeGreaterThan(20)
  expect(counts.refused).toBeGreaterThan(20)
})

test('a transaction with a lookup table, of an unknown version, or with a length written longer than needed cannot be read', async () => {
  const wire = Buffer.from(await forge(), 'base64')
  const messageAt = 1 + 64 * 2
  const table = Buffer.concat([wire.subarray(0, -1), Buffer.from([1]), Buffer.alloc(32, 7), Buffer.from([1, 0, 0])])
  const version1 = Buffer.from(wire)
  version1[messageAt] = 0x81
  const longLength = Buffer.concat([Buffer.from([0x82, 0x00]), wire.subarray(1)])
  for (const each of [table, version1, longLength, Buffer.alloc(0)]) expect(() => readTransaction(each.toString('base64'))).toThrow()
  expect(() => readTransaction(`${wire.toString('base64')}\n`)).toThrow('base64')
})
