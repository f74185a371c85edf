// How long transactions stay good and stay refused: duplicates after many others, durable nonces, address lookup tables.
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  type Blockhash,
  compressTransactionMessageUsingAddressLookupTables,
  createTransactionMessage,
  generateKeyPairSigner,
  getAddressEncoder,
  getBase58Decoder,
  getProgramDerivedAddress,
  getTransactionEncoder,
  type Instruction,
  type KeyPairSigner,
  type Nonce,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  setTransactionMessageLifetimeUsingDurableNonce,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import {
  getCreateAccountInstruction,
  getInitializeNonceAccountInstruction,
  getTransferSolInstruction,
  SYSTEM_PROGRAM_ADDRESS,
} from '@solana-program/system'
import { expect, test } from 'vitest'
import { type Chain, openChain } from './chain.ts'
import { ChainView } from './chain-view.ts'
import { giveSol } from './faucet.ts'
import { dispatch } from './rpc/dispatch.ts'

const slotMs = 20
const pastSlots = (count: number) => new Promise((resolve) => setTimeout(resolve, count * slotMs))
const emptyMessage = (payer: KeyPairSigner) =>
  pipe(createTransactionMessage({ version: 0 }), (draft) => setTransactionMessageFeePayerSigner(payer, draft))
const currentBlockhash = (chain: Chain) => {
  const slot = chain.slot('processed')
  return { blockhash: chain.clock.blockhash(slot) as Blockhash, lastValidBlockHeight: BigInt(chain.clock.lastValidBlockHeight(slot)) }
}

async function sign(message: Parameters<typeof signTransactionMessageWithSigners>[0], chain: Chain) {
  return chain.decode(new Uint8Array(getTransactionEncoder().encode(await signTransactionMessageWithSigners(message))))
}

async function run(chain: Chain, payer: KeyPairSigner, instructions: Instruction[]) {
  const message = pipe(
    emptyMessage(payer),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(currentBlockhash(chain), draft),
    (draft) => appendTransactionMessageInstructions(instructions, draft),
  )
  return chain.execute(await sign(message, chain))
}

async function openRich(ms: number) {
  const chain = await openChain({ slotMs: ms, finalitySlots: 2 })
  const payer = await generateKeyPairSigner()
  await giveSol(chain, payer.address, 10_000_000_000n)
  return { chain, payer }
}

test('a duplicate is refused after two thousand other transactions', async () => {
  const { chain, payer } = await openRich(60_000)
  const to = (await generateKeyPairSigner()).address
  const transfer = (amount: bigint) => getTransferSolInstruction({ source: payer, destination: to, amount })
  const message = pipe(
    emptyMessage(payer),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(currentBlockhash(chain), draft),
    (draft) => appendTransactionMessageInstructions([transfer(1_000_000n)], draft),
  )
  const first = await sign(message, chain)
  expect(chain.execute(first)).toMatchObject({ err: null })
  for (let count = 1n; count <= 2_000n; count++) await run(chain, payer, [transfer(1_000_000n + count)])
  expect(chain.history.all()).toHaveLength(2_002)

  expect(chain.execute(first)).toEqual({ rejected: 'AlreadyProcessed', logs: [] })
})

async function openNonce(chain: Chain, payer: KeyPairSigner): Promise<Address> {
  const nonce = await generateKeyPairSigner()
  const lamports = chain.rentExemptLamports(80n)
  const created = await run(chain, payer, [
    getCreateAccountInstruction({ payer, newAccount: nonce, lamports, space: 80, programAddress: SYSTEM_PROGRAM_ADDRESS }),
    getInitializeNonceAccountInstruction({ nonceAccount: nonce.address, nonceAuthority: payer.address }),
  ])
  expect(created).toMatchObject({ err: null })
  return nonce.address
}

const nonceOf = (chain: Chain, account: Address) =>
  getBase58Decoder().decode(chain.accounts.get(account)?.data.slice(40, 72) ?? new Uint8Array()) as Nonce

async function signWithNonce(chain: Chain, payer: KeyPairSigner, nonceAccount: Address, to: Address, amount: bigint) {
  const lifetime = { nonce: nonceOf(chain, nonceAccount), nonceAccountAddress: nonceAccount, nonceAuthorityAddress: payer.address }
  const message = pipe(
    emptyMessage(payer),
    (draft) => setTransactionMessageLifetimeUsingDurableNonce(lifetime, draft),
    (draft) => appendTransactionMessageInstructions([getTransferSolInstruction({ source: payer, destination: to, amount })], draft),
  )
  return sign(message, chain)
}

test('a transaction with a durable nonce outlives the blockhash window, and uses its nonce up', async () => {
  const { chain, payer } = await openRich(slotMs)
  const nonceAccount = await openNonce(chain, payer)
  const to = (await generateKeyPairSigner()).address
  const first = await signWithNonce(chain, payer, nonceAccount, to, 1_000_000n)
  const second = await signWithNonce(chain, payer, nonceAccount, to, 2_000_000n)
  await pastSlots(160)

  expect(chain.execute(first)).toMatchObject({ err: null })
  expect(chain.execute(second)).toEqual({ rejected: 'BlockhashNotFound', logs: [] })
  expect(chain.accounts.get(to)?.lamports).toBe(1_000_000n)
})

test('a failing transaction uses its durable nonce up as well', async () => {
  const { chain, payer } = await openRich(slotMs)
  const nonceAccount = await openNonce(chain, payer)
  const to = (await generateKeyPairSigner()).address
  const failing = await signWithNonce(chain, payer, nonceAccount, to, 1_000_000_000_000n)
  const other = await signWithNonce(chain, payer, nonceAccount, to, 1_000_000n)
  await pastSlots(2)

  const landed = chain.execute(failing)
  expect('err' in landed && landed.err).toMatchObject({ InstructionError: [1, { Custom: 1 }] })
  expect(chain.execute(other)).toEqual({ rejected: 'BlockhashNotFound', logs: [] })
  await pastSlots(2)
  expect(chain.execute(await signWithNonce(chain, payer, nonceAccount, to, 1_000_000n))).toMatchObject({ err: null })
})

// Layouts: the address lookup table program's CreateLookupTable (0) and ExtendLookupTable (2).
const lookupProgram = address('AddressLookupTab1e1111111111111111111111111')

async function openLookupTable(chain: Chain, payer: KeyPairSigner, entries: Address[]): Promise<Address> {
  const recentSlot = Buffer.alloc(8)
  recentSlot.writeBigUInt64LE(BigInt(chain.slot('finalized')))
  const [table, bump] = await getProgramDerivedAddress({
    programAddress: lookupProgram,
    seeds: [getAddressEncoder().encode(payer.address), recentSlot],
  })
  const accounts = [
    { address: table, role: AccountRole.WRITABLE },
    { address: payer.address, role: AccountRole.READONLY_SIGNER },
    { address: payer.address, role: AccountRole.WRITABLE_SIGNER },
    { address: SYSTEM_PROGRAM_ADDRESS, role: AccountRole.READONLY },
  ]
  const count = Buffer.alloc(12)
  count.writeUInt32LE(2)
  count.writeBigUInt64LE(BigInt(entries.length), 4)
  const created = await run(chain, payer, [
    { programAddress: lookupProgram, accounts, data: Buffer.concat([Buffer.alloc(4), recentSlot, Buffer.from([bump])]) },
    {
      programAddress: lookupProgram,
      accounts,
      data: Buffer.concat([count, ...entries.map((entry) => Buffer.from(getAddressEncoder().encode(entry)))]),
    },
  ])
  expect(created).toMatchObject({ err: null })
  return table
}

test('a transaction may name accounts through an address lookup table', async () => {
  const { chain, payer } = await openRich(slotMs)
  await pastSlots(4)
  const to = (await generateKeyPairSigner()).address
  const table = await openLookupTable(chain, payer, [to])
  await pastSlots(3)
  const message = pipe(
    emptyMessage(payer),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(currentBlockhash(chain), draft),
    (draft) =>
      appendTransactionMessageInstructions([getTransferSolInstruction({ source: payer, destination: to, amount: 1_000_000n })], draft),
    (draft) => compressTransactionMessageUsingAddressLookupTables(draft, { [table]: [to] }),
  )
  const decoded = await sign(message, chain)
  expect(decoded.accounts.at(-1)).toEqual({ address: to, isSigner: false, isWritable: true, source: 'lookupTable' })

  expect(chain.execute(decoded)).toMatchObject({ err: null })

  expect(chain.accounts.get(to)?.lamports).toBe(1_000_000n)
  const params = [decoded.signature, { commitment: 'confirmed', maxSupportedTransactionVersion: 0 }]
  expect(await dispatch(new ChainView(chain), { id: 1, method: 'getTransaction', params })).toMatchObject({
    result: {
      meta: { loadedAddresses: { writable: [to], readonly: [] } },
      transaction: { message: { addressTableLookups: [{ accountKey: table }] } },
    },
  })
})
