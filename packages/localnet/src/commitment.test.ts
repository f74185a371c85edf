// What is final and what is only confirmed: balances and histories as of the commitment asked for, and a finalized slot that stalls.
import { getSignatureFromTransaction } from '@solana/kit'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openTestChain, usdcAccount } from './open-test-chain.ts'

const base64 = { encoding: 'base64' }
const confirmed = { commitment: 'confirmed' }
const finalized = { commitment: 'finalized' }
let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 20, finalitySlots: 5 })
})
afterAll(() => chain.stop())
afterEach(() => chain.fault({ finalityStalls: false }))

const untilFinal = (signature: string) =>
  expect.poll(async () => (await chain.call('getSignatureStatuses', [signature])).result.value[0].confirmationStatus).toBe('finalized')

/** A buyer whose money is final, on a chain whose finality stalls from here on. */
async function openFinalPair() {
  const seller = await chain.openWallet(0n)
  const buyer = await chain.openWallet(1_000n)
  const account = await usdcAccount(buyer.address)
  const { result } = await chain.call('getSignaturesForAddress', account, confirmed)
  await untilFinal(result[0].signature)
  await chain.fault({ finalityStalls: true })
  const pay = async (amountAtoms: bigint, config: object = base64) => {
    const { wire } = await chain.signTransfer(buyer, seller.address, amountAtoms)
    return (await chain.call('sendTransaction', wire, { ...base64, ...config })).result as string
  }
  return { buyer, seller, account, pay }
}

test('a balance at finalized is the balance at exactly the finalized slot that the answer names', async () => {
  const { buyer, seller, account, pay } = await openFinalPair()
  await pay(10n)
  const last = await pay(5n)

  const now = await chain.call('getTokenAccountBalance', account, confirmed)
  const then = await chain.call('getTokenAccountBalance', account, finalized)
  expect([now.result.value.amount, then.result.value.amount]).toEqual(['985', '1000'])
  expect(then.result.context.slot).toBe((await chain.call('getSlot', finalized)).result)
  expect(now.result.context.slot).toBeGreaterThan(then.result.context.slot)
  expect((await chain.call('getTokenAccountBalance', await usdcAccount(seller.address), finalized)).result.value.amount).toBe('0')
  const sol = async (config: object) => (await chain.call('getBalance', buyer.address, config)).result.value
  expect([await sol(confirmed), await sol(finalized)]).toEqual([999_990_000, 1_000_000_000])
  const parsed = await chain.call('getAccountInfo', account, { ...finalized, encoding: 'jsonParsed' })
  expect(parsed.result.value.data.parsed.info.tokenAmount.amount).toBe('1000')

  await chain.fault({ finalityStalls: false })
  await untilFinal(last)
  expect((await chain.call('getTokenAccountBalance', account)).result.value.amount).toBe('985')
})

test('at every finalized slot the balance is what the final history of the account adds up to', async () => {
  const { buyer, seller, account } = await openFinalPair()
  await chain.fault({ finalityStalls: false })
  const amounts = new Map<string, bigint>()
  let isPaying = true
  const paying = (async () => {
    for (let count = 1n; count <= 30n; count++) {
      const { signed, wire } = await chain.signTransfer(buyer, seller.address, count)
      amounts.set(getSignatureFromTransaction(signed), count)
      await chain.call('sendTransaction', wire, base64)
    }
    isPaying = false
  })()
  const seen = new Set<string>()
  while (isPaying) {
    const { result } = await chain.call('getTokenAccountBalance', account, finalized)
    const { slot } = result.context
    const history = await chain.call('getSignaturesForAddress', account, { ...finalized, minContextSlot: slot })
    const final = (history.result as { slot: number; signature: string }[]).filter((entry) => entry.slot <= slot)
    const paid = final.reduce((sum, { signature }) => sum + (amounts.get(signature) ?? 0n), 0n)
    expect(BigInt(result.value.amount)).toBe(1_000n - paid)
    seen.add(result.value.amount)
  }
  await paying
  expect(seen.size).toBeGreaterThan(3)
})

test('an account that is not final yet is not there at finalized', async () => {
  await chain.fault({ finalityStalls: true })
  const { address } = await chain.openWallet(7n)
  const account = await usdcAccount(address)
  const balances = await Promise.all([confirmed, finalized].map((config) => chain.call('getTokenAccountBalance', account, config)))
  expect(balances).toMatchObject([{ result: { value: { amount: '7' } } }, { error: { code: -32602 } }])
  expect((await chain.call('getBalance', address)).result.value).toBe(0)
})

test('the finalized slot stops while it stalls, and is back where it belongs right after', async () => {
  await chain.fault({ finalityStalls: true })
  const stalled = (await chain.call('getSlot', finalized)).result
  await expect.poll(async () => (await chain.call('getSlot', confirmed)).result).toBeGreaterThan(stalled + 40)
  expect((await chain.call('getSlot', finalized)).result).toBe(stalled)
  expect((await chain.call('getBlockHeight', finalized)).result).toBe(stalled)
  expect((await chain.call('getEpochInfo', finalized)).result).toMatchObject({ absoluteSlot: stalled, blockHeight: stalled })
  expect((await chain.call('getEpochInfo', confirmed)).result.blockHeight).toBeGreaterThan(stalled + 40)

  await chain.fault({ finalityStalls: false })
  expect((await chain.call('getSlot', finalized)).result).toBeGreaterThan(stalled + 34)
})

test('the history at finalized has only final transactions, failed ones with their error, and pages by what is final', async () => {
  const { buyer, account, pay } = await openFinalPair()
  await chain.fault({ finalityStalls: false })
  const paid = await pay(1n)
  const failed = await pay(5_000n, { skipPreflight: true })
  await untilFinal(failed)
  await chain.fault({ finalityStalls: true })
  const young = await pay(2n)
  const page = async (config: object) =>
    ((await chain.call('getSignaturesForAddress', account, config)).result as { signature: string; err: unknown }[]).map(
      ({ signature, err }) => ({ signature, isFailed: err !== null }),
    )

  const all = await page({ ...confirmed, limit: 1000 })
  expect(all.slice(0, 3)).toEqual([
    { signature: young, isFailed: false },
    { signature: failed, isFailed: true },
    { signature: paid, isFailed: false },
  ])
  expect(await page(finalized)).toEqual(all.slice(1))
  // A validator does not know a signature that is not final at that commitment: as `until` it ends nothing, as `before` it finds nothing.
  expect(await page({ ...finalized, until: young })).toEqual(all.slice(1))
  expect(await page({ ...finalized, before: young })).toEqual([])
  expect(await page({ ...finalized, until: paid, limit: 1 })).toEqual([{ signature: failed, isFailed: true }])
  expect(await page({ ...finalized, before: failed, limit: 1 })).toEqual([{ signature: paid, isFailed: false }])
  expect((await chain.call('getSignaturesForAddress', buyer.address, { limit: 1001 })).error).toMatchObject({ code: -32602 })
})

test('every read that is to be no older than a slot is refused with -32016 until that slot is there', async () => {
  const { buyer, seller, account } = await openFinalPair()
  const { wire } = await chain.signTransfer(buyer, seller.address, 1n)
  const at = (await chain.call('getSlot', finalized)).result
  const calls: [method: string, ...params: unknown[]][] = [
    ['getSignaturesForAddress', account],
    ['getBlockHeight'],
    ['getEpochInfo'],
    ['getSlot'],
    ['getTokenAccountBalance', account],
    ['getAccountInfo', account],
    ['getBalance', buyer.address],
    ['getLatestBlockhash'],
    ['simulateTransaction', wire],
  ]
  for (const [method, ...params] of calls) {
    const config = { ...finalized, encoding: 'base64' }
    expect(await chain.call(method, ...params, { ...config, minContextSlot: at + 1 }), method).toMatchObject({
      error: { code: -32016, data: { contextSlot: at } },
    })
    expect((await chain.call(method, ...params, { ...config, minContextSlot: at })).error, method).toBeUndefined()
  }
  const send = (minContextSlot: number, config: object) => chain.call('sendTransaction', wire, { ...base64, ...config, minContextSlot })
  expect((await send(at + 1, { preflightCommitment: 'finalized' })).error).toMatchObject({ code: -32016, data: { contextSlot: at } })
  expect((await send(at + 1_000_000, { skipPreflight: true })).error).toMatchObject({ code: -32016 })
  expect((await chain.call('getTokenAccountBalance', account, confirmed)).result.value.amount).toBe('1000')
  expect((await send(at, { preflightCommitment: 'finalized' })).error).toBeUndefined()
})
