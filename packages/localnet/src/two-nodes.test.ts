// Two nodes of one chain that disagree: one is behind or does not answer, the other is not.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openTestChain, usdcAccount } from './open-test-chain.ts'

const base64 = { encoding: 'base64' }
const confirmed = { commitment: 'confirmed', maxSupportedTransactionVersion: 0 }
let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 20, view: true })
})
afterAll(() => chain.stop())
afterEach(async () => {
  for (const url of [chain.rpcUrl, chain.viewUrl]) {
    await chain.fault({ lagSlots: 0 }, url)
    await chain.fault({}, url)
  }
})

const onView = (method: string, ...params: unknown[]) => chain.callAt(chain.viewUrl, method, ...params)

async function payOnce() {
  const buyer = await chain.openWallet(1_000n)
  const seller = await chain.openWallet(0n)
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n)
  const { result } = await chain.call('sendTransaction', wire, base64)
  return { buyer, seller, wire, signature: result as string, account: await usdcAccount(seller.address) }
}

test('a node that is behind does not know what landed since; the other node does', async () => {
  await chain.fault({ lagSlots: 1_000 }, chain.viewUrl)
  const { signature, account, buyer } = await payOnce()
  const ask = async (call: typeof onView) => ({
    status: (await call('getSignatureStatuses', [signature])).result.value[0],
    transaction: (await call('getTransaction', signature, confirmed)).result,
    history: (await call('getSignaturesForAddress', account, confirmed)).result,
    balance: (await call('getTokenAccountBalance', account, confirmed)).result?.value.amount,
    lamports: (await call('getBalance', buyer.address, confirmed)).result.value,
  })

  expect(await ask(onView)).toEqual({ status: null, transaction: null, history: [], balance: undefined, lamports: 0 })
  expect(await ask(chain.call)).toMatchObject({
    status: { err: null },
    transaction: { meta: { err: null } },
    history: [{ signature }, {}],
    balance: '10',
    lamports: 999_995_000,
  })
  const slot = (await onView('getSlot', confirmed)).result
  expect((await chain.call('getSlot', confirmed)).result - slot).toBeGreaterThanOrEqual(1_000)
  for (const method of ['getBlockHeight', 'getEpochInfo']) {
    const { result } = await onView(method, confirmed)
    expect((result.blockHeight ?? result) - slot).toBeLessThan(500)
  }
  expect((await onView('getBalance', buyer.address, { ...confirmed, minContextSlot: slot + 1_000 })).error).toMatchObject({
    code: -32016,
  })

  await chain.fault({ lagSlots: 0 }, chain.viewUrl)
  expect(await ask(onView)).toMatchObject({ status: { err: null }, history: [{ signature }, {}], balance: '10' })
})

test('a node that is behind comes to know everything, that many slots later', async () => {
  await chain.fault({ lagSlots: 75 }, chain.viewUrl)
  const { signature, account } = await payOnce()
  expect((await onView('getSignatureStatuses', [signature])).result.value).toEqual([null])
  await expect
    .poll(async () => (await onView('getSignatureStatuses', [signature])).result.value[0]?.slot)
    .toBe((await chain.call('getTransaction', signature, confirmed)).result.slot)
  expect((await onView('getTokenAccountBalance', account, confirmed)).result.value.amount).toBe('10')
})

test('a node that is behind gives out blockhashes that are as old as it, and takes those that have expired for good ones', async () => {
  const { value } = (await chain.call('getLatestBlockhash', confirmed)).result
  await expect.poll(async () => (await chain.call('isBlockhashValid', value.blockhash, confirmed)).result.value).toBe(false)
  await chain.fault({ lagSlots: 100 }, chain.viewUrl)

  expect((await onView('isBlockhashValid', value.blockhash, confirmed)).result.value).toBe(true)
  const late = (await onView('getLatestBlockhash', confirmed)).result.value
  const height = (await chain.call('getBlockHeight', confirmed)).result
  expect(late.lastValidBlockHeight - height).toBeLessThanOrEqual(50)
})

test('what is sent to either node lands for both', async () => {
  const buyer = await chain.openWallet(1_000n)
  const seller = await chain.openWallet(0n)
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n)
  const { result } = await onView('sendTransaction', wire, base64)
  expect((await chain.call('getSignatureStatuses', [result])).result.value).toMatchObject([{ err: null }])
  expect((await chain.call('sendTransaction', wire, base64)).error).toMatchObject({ data: { err: 'AlreadyProcessed' } })
  expect(await chain.usdcOf(seller.address)).toBe(10n)
})

test('a node that loses its answers leaves the other alone', async () => {
  await chain.fault({ method: 'getSlot', dropResponses: 1 }, chain.viewUrl)
  await expect(onView('getSlot')).rejects.toThrow()
  expect((await chain.call('getSlot')).error).toBeUndefined()
  await chain.fault({ method: 'getSlot', refuse: 1 })
  expect((await onView('getSlot')).error).toBeUndefined()
  await expect(chain.rpc.getSlot().send()).rejects.toThrow('503')
})

test('a fork is one for both nodes', async () => {
  const slow = await openTestChain({ finalitySlots: 32, view: true })
  const buyer = await slow.openWallet(10n)
  const seller = await slow.openWallet(0n)
  const { wire } = await slow.signTransfer(buyer, seller.address, 10n)
  const { result } = await slow.call('sendTransaction', wire, base64)
  await slow.fault({ fork: result }, slow.viewUrl)
  expect((await slow.call('getSignatureStatuses', [result])).result.value).toEqual([null])
  expect((await slow.callAt(slow.viewUrl, 'getSignatureStatuses', [result])).result.value).toEqual([null])
  await slow.stop()
})

test.each([
  ['an unknown fault', { forks: 'x' }],
  ['two faults at once', { lagSlots: 1, finalityStalls: true }],
  ['a member that belongs to another', { lagSlots: 1, forever: true }],
  ['a negative lag', { lagSlots: -1 }],
  ['no address', { freeze: 'nobody' }],
  ['no amount', { giveSol: '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU' }],
  ['a list', []],
])('%s is refused with a problem', async (_what, body) => {
  const response = await chain.post('/fault', body)
  expect([response.status, await response.json()]).toMatchObject([422, { code: 'invalid_request' }])
})
