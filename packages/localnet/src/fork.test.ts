// Forks: what landed and is not final can be undone, with everything that hangs on it, and the chain forgets that it ever was.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyPairSigner } from '@solana/kit'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { openTestChain, usdcAccount } from './open-test-chain.ts'

type TestChain = Awaited<ReturnType<typeof openTestChain>>

const base64 = { encoding: 'base64' }
const confirmed = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 }
let chain: TestChain

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 20 })
})
afterAll(() => chain.stop())
beforeEach(() => chain.fault({ finalityStalls: true }))
afterEach(() => chain.fault({ finalityStalls: false }))

async function openPair(on = chain) {
  return { buyer: await on.openWallet(1_000n), seller: await on.openWallet(0n) }
}

async function send(from: KeyPairSigner, to: KeyPairSigner, amountAtoms: bigint, on = chain) {
  const { wire } = await on.signTransfer(from, to.address, amountAtoms)
  const { result, error } = await on.call('sendTransaction', wire, base64)
  expect(error).toBeUndefined()
  return { wire, signature: result as string }
}

test('a transaction that a fork drops is undone, and no call knows of it', async () => {
  const { buyer, seller } = await openPair()
  const lamportsBefore = (await chain.rpc.getBalance(buyer.address).send()).value
  const first = await send(buyer, seller, 10n)
  const second = await send(buyer, seller, 5n)

  expect(await chain.fault({ fork: second.signature })).toEqual({ dropped: [second.signature], landedAgain: [] })

  expect([await chain.usdcOf(buyer.address), await chain.usdcOf(seller.address)]).toEqual([990n, 10n])
  expect((await chain.rpc.getBalance(buyer.address).send()).value).toBe(lamportsBefore - 5_000n)
  const statuses = await chain.call('getSignatureStatuses', [first.signature, second.signature], { searchTransactionHistory: true })
  expect(statuses.result.value).toMatchObject([{ err: null }, null])
  expect((await chain.call('getTransaction', second.signature, confirmed)).result).toBeNull()
  for (const address of [buyer.address, await usdcAccount(seller.address)]) {
    const { result } = await chain.call('getSignaturesForAddress', address, confirmed)
    expect(result[0].signature).toBe(first.signature)
  }
})

test('a dropped transaction can land again while its blockhash lives, and not after it', async () => {
  const { buyer, seller } = await openPair()
  const { value: blockhash } = await chain.rpc.getLatestBlockhash({ commitment: 'processed' }).send()
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n, { blockhash })
  const { result: signature } = await chain.call('sendTransaction', wire, base64)
  await chain.fault({ fork: signature })
  expect(await chain.usdcOf(seller.address)).toBe(0n)

  expect((await chain.call('sendTransaction', wire, base64)).result).toBe(signature)
  expect((await chain.call('sendTransaction', wire, base64)).error).toMatchObject({ data: { err: 'AlreadyProcessed' } })
  expect(await chain.usdcOf(seller.address)).toBe(10n)

  await chain.fault({ fork: signature })
  await expect.poll(() => chain.rpc.getBlockHeight({ commitment: 'processed' }).send()).toBeGreaterThan(blockhash.lastValidBlockHeight)
  expect((await chain.call('sendTransaction', wire, base64)).error).toMatchObject({ data: { err: 'BlockhashNotFound' } })
  expect(await chain.usdcOf(seller.address)).toBe(0n)
})

test('what a fork takes for good never lands again', async () => {
  const { buyer, seller } = await openPair()
  const { wire, signature } = await send(buyer, seller, 10n)
  await chain.fault({ fork: signature, forever: true })

  expect((await chain.call('sendTransaction', wire, base64)).error).toMatchObject({ data: { err: 'BlockhashNotFound' } })
  expect((await chain.call('sendTransaction', wire, { ...base64, skipPreflight: true })).result).toBe(signature)
  expect((await chain.call('getSignatureStatuses', [signature])).result.value).toEqual([null])
  expect(await chain.usdcOf(seller.address)).toBe(0n)
})

test('a fork drops every later transaction that wrote one of the same accounts, tells which, and no other', async () => {
  const { buyer, seller } = await openPair()
  const other = await openPair()
  const first = await send(buyer, seller, 10n)
  const unrelated = await send(other.buyer, other.seller, 1n)
  const second = await send(seller, buyer, 3n)
  const third = await send(seller, other.seller, 2n)

  expect(await chain.fault({ fork: first.signature })).toEqual({
    dropped: [third.signature, second.signature, first.signature],
    landedAgain: [],
  })

  const balances = await Promise.all([buyer, seller, other.seller].map(({ address }) => chain.usdcOf(address)))
  expect(balances).toEqual([1_000n, 0n, 1n])
  const { result } = await chain.call('getSignatureStatuses', [unrelated.signature, second.signature])
  expect(result.value).toMatchObject([{ err: null }, null])
})

test('a fork that takes one transaction alone lets the later ones land again, those that still can', async () => {
  const { buyer, seller } = await openPair()
  const named = await send(buyer, seller, 100n)
  const stays = await send(buyer, seller, 40n)
  const spends = await send(seller, buyer, 120n)
  const slotOf = async (signature: string) => (await chain.call('getTransaction', signature, confirmed)).result?.slot as number | undefined
  const slotBefore = (await slotOf(stays.signature)) ?? 0
  await expect.poll(async () => (await chain.call('getSlot', confirmed)).result).toBeGreaterThan(slotBefore)

  expect(await chain.fault({ fork: named.signature, alone: true })).toEqual({
    dropped: [named.signature],
    landedAgain: [stays.signature, spends.signature],
  })

  expect([await chain.usdcOf(buyer.address), await chain.usdcOf(seller.address)]).toEqual([960n, 40n])
  expect(await slotOf(stays.signature)).toBeGreaterThan(slotBefore)
  // What could be paid only with the money that the dropped one brought lands as failed.
  const { result } = await chain.call('getSignatureStatuses', [named.signature, stays.signature, spends.signature])
  expect(result.value).toMatchObject([null, { err: null }, { err: { InstructionError: [0, { Custom: 1 }] } }])
  const { result: history } = await chain.call('getSignaturesForAddress', await usdcAccount(seller.address), { ...confirmed, limit: 2 })
  expect(history.map((one: { signature: string }) => one.signature)).toEqual([spends.signature, stays.signature])
})

test('accounts that a dropped transaction made are gone', async () => {
  const { address } = await chain.openWallet(0n)
  const account = await usdcAccount(address)
  const { result } = await chain.call('getSignaturesForAddress', account, confirmed)
  await chain.fault({ fork: result[0].signature })

  expect((await chain.call('getAccountInfo', account, { ...base64, ...confirmed })).result.value).toBeNull()
  expect((await chain.call('getTokenAccountBalance', account, confirmed)).error).toMatchObject({ code: -32602 })
  const owned = await chain.call(
    'getTokenAccountsByOwner',
    address,
    { programId: 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA' },
    confirmed,
  )
  expect(owned.result.value).toEqual([])
})

test('a final transaction, an unknown one, and one whose account was drained since cannot be dropped', async () => {
  const { buyer, seller } = await openPair()
  const drained = await send(buyer, seller, 1n)
  await chain.fault({ drainSol: buyer.address })
  const { wire } = await chain.signTransfer(seller, buyer.address, 0n)
  const { result: final } = await chain.call('sendTransaction', wire, base64)
  const drop = async (fork: string) => {
    const response = await chain.post('/fault', { fork })
    return { status: response.status, code: ((await response.json()) as { code: string }).code }
  }

  expect(await drop(drained.signature)).toEqual({ status: 409, code: 'conflict' })
  expect(await drop(drained.signature.replace(/^./, (first) => (first === '2' ? '3' : '2')))).toEqual({ status: 404, code: 'not_found' })
  await chain.fault({ finalityStalls: false })
  await expect.poll(async () => (await chain.call('getSignatureStatuses', [final])).result.value[0].confirmationStatus).toBe('finalized')
  expect(await drop(final)).toEqual({ status: 409, code: 'conflict' })
  expect((await chain.post('/fault', { fork: final, forever: 'yes' })).status).toBe(422)
})

test('a subscriber is not told that a dropped transaction became final', async () => {
  const { buyer, seller } = await openPair()
  const abort = new AbortController()
  const told: string[] = []
  const account = await usdcAccount(seller.address)
  const notifications = await chain.rpcSubscriptions
    .logsNotifications({ mentions: [account] }, { commitment: 'finalized' })
    .subscribe({ abortSignal: abort.signal })
  const listening = (async () => {
    for await (const { value } of notifications) told.push(value.signature)
  })()
  const dropped = await send(buyer, seller, 10n)
  await chain.fault({ fork: dropped.signature })
  const kept = await send(buyer, seller, 7n)
  await chain.fault({ finalityStalls: false })

  await expect.poll(() => told).toContain(kept.signature)
  expect(told).not.toContain(dropped.signature)
  abort.abort()
  await listening
})

test.each([
  ['SIGTERM', (ending: TestChain) => ending.stop()],
  [
    'SIGKILL',
    async (ending: TestChain) => {
      process.kill(ending.pid, 'SIGKILL')
      await ending.stop()
    },
  ],
])('a fork, and what it took for good, survive %s; what was not final can still be dropped after it', async (_signal, end) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'localnet-'))
  try {
    const first = await openTestChain({ dataDir, finalitySlots: 32, slotMs: 1_000 })
    const { buyer, seller } = await openPair(first)
    const kept = await send(buyer, seller, 1n, first)
    const dropped = await send(buyer, seller, 10n, first)
    await first.fault({ fork: dropped.signature })
    const barred = await send(buyer, seller, 100n, first)
    await first.fault({ fork: barred.signature, forever: true })
    await end(first)

    await using second = await openTestChain({ dataDir, finalitySlots: 32, slotMs: 1_000 })
    expect(await second.usdcOf(seller.address)).toBe(1n)
    const { result } = await second.call('getSignatureStatuses', [kept.signature, dropped.signature, barred.signature])
    expect(result.value).toMatchObject([{ err: null }, null, null])
    expect((await second.call('sendTransaction', barred.wire, base64)).error).toMatchObject({ data: { err: 'BlockhashNotFound' } })
    expect(await second.fault({ fork: kept.signature })).toEqual({ dropped: [kept.signature], landedAgain: [] })
    expect(await second.usdcOf(seller.address)).toBe(0n)
    expect((await second.call('sendTransaction', dropped.wire, base64)).result).toBe(dropped.signature)
    expect(await second.usdcOf(seller.address)).toBe(10n)
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
