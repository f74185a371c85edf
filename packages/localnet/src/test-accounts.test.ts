// Accounts as strangers may have them: frozen, closed, of other mints, without SOL; and guards of wallets in a transaction.
import {
  AccountRole,
  type Address,
  appendTransactionMessageInstructions,
  createTransactionMessage,
  generateKeyPairSigner,
  getBase64EncodedWireTransaction,
  type Instruction,
  type KeyPairSigner,
  pipe,
  setTransactionMessageFeePayerSigner,
  setTransactionMessageLifetimeUsingBlockhash,
  signTransactionMessageWithSigners,
} from '@solana/kit'
import {
  findAssociatedTokenPda,
  getCreateAssociatedTokenIdempotentInstruction,
  getTransferCheckedInstruction,
  TOKEN_PROGRAM_ADDRESS,
} from '@solana-program/token'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { usdcDecimals, usdcMint } from './genesis.ts'
import { lighthouseProgram } from './lighthouse-stand-in.ts'
import { openTestChain, usdcAccount } from './open-test-chain.ts'
import { closeUsdcAccount, freezeUsdc, giveFeeToken, giveOtherToken, type TestToken, thawUsdc, token2022Program } from './test-accounts.ts'

const base64 = { encoding: 'base64' }
const confirmed = { commitment: 'confirmed' }
let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 50 })
})
afterAll(() => chain.stop())

async function openPair() {
  return { buyer: await chain.openWallet(1_000n), seller: await chain.openWallet(0n) }
}

async function sendTransfer(from: KeyPairSigner, to: KeyPairSigner, amountAtoms: bigint) {
  const { wire } = await chain.signTransfer(from, to.address, amountAtoms)
  return chain.call('sendTransaction', wire, base64)
}

async function run(payer: KeyPairSigner, instructions: Instruction[]) {
  const { value } = await chain.rpc.getLatestBlockhash({ commitment: 'confirmed' }).send()
  const signed = await signTransactionMessageWithSigners(
    pipe(
      createTransactionMessage({ version: 0 }),
      (draft) => setTransactionMessageFeePayerSigner(payer, draft),
      (draft) => setTransactionMessageLifetimeUsingBlockhash(value, draft),
      (draft) => appendTransactionMessageInstructions(instructions, draft),
    ),
  )
  return chain.call('sendTransaction', getBase64EncodedWireTransaction(signed), base64)
}

const balanceOf = async (account: string) =>
  (await chain.call('getTokenAccountBalance', account, confirmed)).result?.value as { amount: string; decimals: number } | undefined

test('a frozen account neither sends nor receives until it is thawed', async () => {
  const { buyer, seller } = await openPair()
  await freezeUsdc(chain.rpcUrl, seller.address)
  const { result } = await chain.call('getAccountInfo', await usdcAccount(seller.address), { ...confirmed, encoding: 'jsonParsed' })
  expect(result.value.data.parsed.info.state).toBe('frozen')
  const frozen = { data: { err: { InstructionError: [0, { Custom: 17 }] } } }
  expect((await sendTransfer(buyer, seller, 1n)).error).toMatchObject(frozen)
  await freezeUsdc(chain.rpcUrl, buyer.address)
  await thawUsdc(chain.rpcUrl, seller.address)
  expect((await sendTransfer(buyer, seller, 2n)).error).toMatchObject(frozen)
  await thawUsdc(chain.rpcUrl, buyer.address)
  expect((await sendTransfer(buyer, seller, 3n)).error).toBeUndefined()
  expect(await chain.usdcOf(seller.address)).toBe(3n)
})

test('nothing is frozen twice, and nothing that is not there', async () => {
  const { seller } = await openPair()
  await freezeUsdc(chain.rpcUrl, seller.address)
  await expect(freezeUsdc(chain.rpcUrl, seller.address)).rejects.toThrow('409')
  const stranger = await generateKeyPairSigner()
  await expect(freezeUsdc(chain.rpcUrl, stranger.address)).rejects.toThrow('404')
})

test('a closed account is gone, and what is sent to it fails', async () => {
  const { buyer, seller } = await openPair()
  await closeUsdcAccount(chain.rpcUrl, seller)
  expect(await balanceOf(await usdcAccount(seller.address))).toBeUndefined()
  expect((await sendTransfer(buyer, seller, 1n)).error).toMatchObject({ code: -32002 })
  await closeUsdcAccount(chain.rpcUrl, buyer)
  expect(await balanceOf(await usdcAccount(buyer.address))).toBeUndefined()
})

test('an address without SOL pays no fee until it is given some', async () => {
  const { buyer, seller } = await openPair()
  await chain.fault({ drainSol: buyer.address })
  expect((await chain.rpc.getBalance(buyer.address).send()).value).toBe(0n)
  expect((await sendTransfer(buyer, seller, 1n)).error).toMatchObject({ data: { err: 'AccountNotFound' } })
  expect(await chain.usdcOf(buyer.address)).toBe(1_000n)

  await expect(chain.fault({ giveSol: buyer.address, lamports: 1 })).rejects.toThrow('409')
  await chain.fault({ giveSol: buyer.address, lamports: 2_000_000 })
  expect((await sendTransfer(buyer, seller, 2n)).error).toBeUndefined()
  expect((await chain.rpc.getBalance(buyer.address).send()).value).toBe(1_995_000n)
})

async function send(
  token: TestToken,
  from: KeyPairSigner,
  to: KeyPairSigner,
  amount: bigint,
  tokenProgram: Address = TOKEN_PROGRAM_ADDRESS,
) {
  const [destination] = await findAssociatedTokenPda({ owner: to.address, mint: token.mint, tokenProgram })
  const opening = getCreateAssociatedTokenIdempotentInstruction({
    payer: from,
    ata: destination,
    owner: to.address,
    mint: token.mint,
    tokenProgram,
  })
  const parts = { source: token.account, mint: token.mint, destination, authority: from, amount, decimals: 6 }
  const answer = await run(from, [opening, getTransferCheckedInstruction(parts, { programAddress: tokenProgram })])
  return { answer, destination }
}

test('a token that is not USDC can be held and sent', async () => {
  const { buyer, seller } = await openPair()
  const token = await giveOtherToken(chain.rpcUrl, buyer.address, 500n)
  expect(await balanceOf(token.account)).toMatchObject({ amount: '500', decimals: 6 })
  const { answer, destination } = await send(token, buyer, seller, 200n)
  expect(answer.error).toBeUndefined()
  expect(await balanceOf(destination)).toMatchObject({ amount: '200' })
  expect(await chain.usdcOf(buyer.address)).toBe(1_000n)
})

test('a token with a transfer fee arrives short by the fee', async () => {
  const { buyer, seller } = await openPair()
  const token = await giveFeeToken(chain.rpcUrl, buyer.address, 10_000n, 250)
  expect(await balanceOf(token.account)).toMatchObject({ amount: '10000', decimals: 6 })
  const { answer, destination } = await send(token, buyer, seller, 4_000n, token2022Program)
  expect(answer.error).toBeUndefined()
  expect(await balanceOf(token.account)).toMatchObject({ amount: '6000' })
  expect(await balanceOf(destination)).toMatchObject({ amount: '3900' })
})

test('guards of a wallet are part of a transaction, whatever their data and accounts', async () => {
  const { buyer, seller } = await openPair()
  const info = await chain.call('getAccountInfo', lighthouseProgram, base64)
  expect(info.result.value).toMatchObject({ executable: true })
  const guard = (data: Uint8Array, accounts: Instruction['accounts'] = []): Instruction => ({
    programAddress: lighthouseProgram,
    data,
    accounts,
  })
  const transferOf = async (amount: bigint) =>
    getTransferCheckedInstruction({
      source: await usdcAccount(buyer.address),
      mint: usdcMint,
      destination: await usdcAccount(seller.address),
      authority: buyer,
      amount,
      decimals: usdcDecimals,
    })
  const answer = await run(buyer, [
    guard(Uint8Array.of(0xff, 0xfe, 0x80)),
    await transferOf(10n),
    guard(new Uint8Array(0), [{ address: buyer.address, role: AccountRole.READONLY_SIGNER }]),
    guard(Uint8Array.of(1), [
      { address: await usdcAccount(seller.address), role: AccountRole.WRITABLE },
      { address: lighthouseProgram, role: AccountRole.READONLY },
    ]),
  ])
  expect(answer.error).toBeUndefined()
  expect(await chain.usdcOf(seller.address)).toBe(10n)
  // What else fails still fails, with guards around it.
  expect((await run(buyer, [guard(Uint8Array.of(2)), await transferOf(5_000n)])).error).toMatchObject({
    data: { err: { InstructionError: [1, { Custom: 1 }] } },
  })
})
