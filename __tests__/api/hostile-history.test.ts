// Whoever wants can send something to the escrow under the name of a payment: it decides nothing about that payment and hides nothing.
import {
  AccountRole,
  type Address,
  address,
  appendTransactionMessageInstructions,
  compressTransactionMessageUsingAddressLookupTables,
  createSolanaRpc,
  createTransactionMessage,
  getAddressEncoder,
  getBase64EncodedWireTransaction,
  getProgramDerivedAddress,
  getSignatureFromTransaction,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import { getAddMemoInstruction } from '@solana-program/memo'
import { findAssociatedTokenPda, getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { planFault } from '../support/chain-fault.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'

const memoProgram = address('MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr')
const lookupProgram = address('AddressLookupTab1e1111111111111111111111111')
const systemProgram = address('11111111111111111111111111111111')

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, slotMs: 50 })
})
afterAll(() => market.close())

const rpc = () => createSolanaRpc(market.chain.rpcUrl)

/** Signs, sends and waits until it has landed, whether it failed or not. */
async function send(wallet: KeyPairSigner, instructions: Instruction[], tables: Record<Address, Address[]> = {}): Promise<void> {
  const { value: lifetime } = await rpc().getLatestBlockhash().send()
  const message = pipe(
    createTransactionMessage({ version: 0 }),
    (draft) => setTransactionMessageFeePayerSigner(wallet, draft),
    (draft) => setTransactionMessageLifetimeUsingBlockhash(lifetime, draft),
    (draft) => appendTransactionMessageInstructions(instructions, draft),
  )
  const signed = await signTransactionMessageWithSigners(compressTransactionMessageUsingAddressLookupTables(message, tables))
  await rpc().sendTransaction(getBase64EncodedWireTransaction(signed), { encoding: 'base64', skipPreflight: true }).send()
  const signature = getSignatureFromTransaction(signed)
  await expect.poll(async () => (await rpc().getSignatureStatuses([signature]).send()).value[0]).toBeTruthy()
}

/** Opens an address lookup table with one address. Layouts: the program's CreateLookupTable (0) and ExtendLookupTable (2). */
async function openTable(wallet: KeyPairSigner, entry: Address): Promise<Address> {
  const slot = Buffer.alloc(8)
  slot.writeBigUInt64LE(await rpc().getSlot({ commitment: 'finalized' }).send())
  const seeds = [getAddressEncoder().encode(wallet.address), slot]
  const [table, bump] = await getProgramDerivedAddress({ programAddress: lookupProgram, seeds })
  const accounts = [
    { address: table, role: AccountRole.WRITABLE },
    { address: wallet.address, role: AccountRole.READONLY_SIGNER },
    { address: wallet.address, role: AccountRole.WRITABLE_SIGNER },
    { address: systemProgram, role: AccountRole.READONLY },
  ]
  const extend = Buffer.alloc(12)
  extend.writeUInt32LE(2)
  extend.writeBigUInt64LE(1n, 4)
  await send(wallet, [
    { programAddress: lookupProgram, accounts, data: Buffer.concat([Buffer.alloc(4), slot, Buffer.from([bump])]) },
    { programAddress: lookupProgram, accounts, data: Buffer.concat([extend, Buffer.from(getAddressEncoder().encode(entry))]) },
  ])
  // A table can be used from the slot after.
  const openedAt = await rpc().getSlot({ commitment: 'confirmed' }).send()
  await expect.poll(() => rpc().getSlot({ commitment: 'confirmed' }).send()).toBeGreaterThan(openedAt + 1n)
  return table
}

async function dustTo(paymentId: string, wallet: KeyPairSigner): Promise<{ instructions: Instruction[]; escrowAccount: Address }> {
  const mint = address(market.env.usdcMint)
  const accountOf = async (owner: string) =>
    (await findAssociatedTokenPda({ owner: address(owner), mint, tokenProgram: TOKEN_PROGRAM_ADDRESS }))[0]
  const escrowAccount = await accountOf(market.addresses.escrow)
  const source = await accountOf(wallet.address)
  return {
    escrowAccount,
    instructions: [
      getTransferCheckedInstruction({ source, mint, destination: escrowAccount, authority: wallet, amount: 1n, decimals: 6 }),
      getAddMemoInstruction({ memo: paymentId }, { programAddress: memoProgram }),
    ],
  }
}

test('a transfer with a payment’s memo that names the escrow through a lookup table keeps that payment from no end', async () => {
  const held = await market.unitsReserved()
  const wallet = await market.wallet()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const { instructions, escrowAccount } = await dustTo(quoted.paid.paymentId, wallet)
  await send(wallet, instructions, { [await openTable(wallet, escrowAccount)]: [escrowAccount] })
  await planFault(market.chain.rpcUrl, { refuse: 100_000 }, 'sendTransaction')
  try {
    expect((await market.pay(quoted.request, header)).status).toBe(202)
    expect(await market.untilDecided(quoted.paid.paymentId)).toBe('expired')
  } finally {
    await planFault(market.chain.rpcUrl, {}, 'sendTransaction')
  }
  expect(await market.unitsReserved()).toBe(held)
})

test('a transfer with a payment’s memo and another amount is not that payment, which settles', async () => {
  const wallet = await market.wallet()
  const quoted = await market.quote()
  const header = await market.sign(quoted)
  const { instructions } = await dustTo(quoted.paid.paymentId, wallet)
  await send(wallet, instructions)
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await market.stop(quoted.paid.rentalId)
})

test('a transfer that fails under a payment’s memo does not fail that payment: it settles when it can be sent', async () => {
  const [poor, buyer] = [await market.wallet(0n), await market.wallet(50_000n)]
  const quoted = await market.quote()
  const header = await market.sign(quoted, buyer)
  const { instructions } = await dustTo(quoted.paid.paymentId, poor)
  await send(poor, instructions)
  await planFault(market.chain.rpcUrl, { refuse: 2 }, 'sendTransaction')
  expect((await market.pay(quoted.request, header)).status).toBe(202)
  expect(await market.untilDecided(quoted.paid.paymentId)).toBe('settled')
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  expect(await market.usdcOf(buyer.address)).toBe(40_000n)
})
