// A validator's rules: nothing runs twice, nothing old runs, failures are told the way clients expect.
import { generateKeyPairSigner, getSignatureFromTransaction, sendAndConfirmTransactionFactory } from '@solana/kit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { genesisHash } from './genesis.ts'
import { openTestChain, usdcAccount } from './open-test-chain.ts'
import { blockhashWindowSlots } from './slot-clock.ts'

const slotMs = 10
let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs })
})
afterAll(() => chain.stop())

const base64 = { encoding: 'base64' }

async function openPair() {
  return { buyer: await chain.openWallet(1_000n), seller: await chain.openWallet(0n) }
}

test('it poses as devnet', async () => {
  expect(await chain.rpc.getGenesisHash().send()).toBe(genesisHash)
})

test('a transaction sent twice moves money once', async () => {
  const { buyer, seller } = await openPair()
  const { signed, wire } = await chain.signTransfer(buyer, seller.address, 10n)

  const first = await chain.call('sendTransaction', wire, base64)
  const second = await chain.call('sendTransaction', wire, base64)
  const third = await chain.call('sendTransaction', wire, { ...base64, skipPreflight: true })

  expect(first.result).toBe(getSignatureFromTransaction(signed))
  expect(second.error).toMatchObject({
    code: -32002,
    message: 'Transaction simulation failed: This transaction has already been processed',
    data: { err: 'AlreadyProcessed' },
  })
  expect(third.result).toBe(first.result)
  expect((await chain.call('simulateTransaction', wire, base64)).result.value.err).toBe('AlreadyProcessed')
  expect((await chain.call('simulateTransaction', wire, { ...base64, replaceRecentBlockhash: true })).result.value.err).toBeNull()
  expect(await chain.usdcOf(seller.address)).toBe(10n)
})

test('a transaction sent many times at once moves money once', async () => {
  const { buyer, seller } = await openPair()
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n)
  const answers = await Promise.all(Array.from({ length: 20 }, () => chain.call('sendTransaction', wire, base64)))
  expect(answers.filter((answer) => answer.error === undefined)).toHaveLength(1)
  expect(await chain.usdcOf(seller.address)).toBe(10n)
})

test('a transaction is refused once its blockhash is more than 150 slots old', async () => {
  const { buyer, seller } = await openPair()
  const { value: blockhash } = await chain.rpc.getLatestBlockhash({ commitment: 'processed' }).send()
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n, { blockhash })
  expect(blockhash.lastValidBlockHeight - (await chain.rpc.getBlockHeight({ commitment: 'processed' }).send())).toBeGreaterThan(100n)
  await expect.poll(() => chain.rpc.getBlockHeight({ commitment: 'processed' }).send()).toBeGreaterThan(blockhash.lastValidBlockHeight)

  const refused = await chain.call('sendTransaction', wire, base64)
  const unheard = await chain.call('sendTransaction', wire, { ...base64, skipPreflight: true })

  expect(refused.error).toMatchObject({ code: -32002, data: { err: 'BlockhashNotFound', logs: [] } })
  expect((await chain.call('isBlockhashValid', blockhash.blockhash)).result.value).toBe(false)
  expect((await chain.call('getSignatureStatuses', [unheard.result])).result.value).toEqual([null])
  expect(await chain.usdcOf(seller.address)).toBe(0n)
})

test('a blockhash serves for 151 slots', async () => {
  const { value } = await chain.rpc.getLatestBlockhash({ commitment: 'processed' }).send()
  const slot = await chain.rpc.getSlot({ commitment: 'processed' }).send()
  expect(Number(value.lastValidBlockHeight - slot)).toBeGreaterThan(blockhashWindowSlots - 10)
  expect(Number(value.lastValidBlockHeight - slot)).toBeLessThan(blockhashWindowSlots)
})

test('a failing transaction is refused by preflight with its logs, and lands with its fee when preflight is skipped', async () => {
  const { buyer, seller } = await openPair()
  const { signed, wire } = await chain.signTransfer(buyer, seller.address, 5_000n, { memo: 'too much' })

  const refused = await chain.call('sendTransaction', wire, base64)
  expect(refused.error).toMatchObject({
    code: -32002,
    message: 'Transaction simulation failed: Error processing Instruction 0: custom program error: 0x1',
    data: { err: { InstructionError: [0, { Custom: 1 }] }, logs: expect.arrayContaining([expect.stringContaining('failed')]) },
  })

  await chain.call('sendTransaction', wire, { ...base64, skipPreflight: true })
  const { result } = await chain.call('getTransaction', getSignatureFromTransaction(signed), {
    commitment: 'confirmed',
    maxSupportedTransactionVersion: 0,
  })
  expect(result).toMatchObject({ version: 0, meta: { err: { InstructionError: [0, { Custom: 1 }] }, fee: 5_000 } })
  expect(result.meta.preBalances[0] - result.meta.postBalances[0]).toBe(5_000)
  expect(await chain.usdcOf(buyer.address)).toBe(1_000n)
})

test('a signature that does not fit is refused', async () => {
  const { buyer, seller } = await openPair()
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n)
  const bytes = Buffer.from(wire, 'base64')
  bytes[5] = (bytes[5] ?? 0) ^ 1
  const forged = bytes.toString('base64')

  expect((await chain.call('sendTransaction', forged, base64)).error).toMatchObject({ code: -32003 })
  await chain.call('sendTransaction', forged, { ...base64, skipPreflight: true })
  expect(await chain.usdcOf(seller.address)).toBe(0n)
  expect((await chain.call('simulateTransaction', forged, { ...base64, sigVerify: true })).error).toMatchObject({ code: -32003 })
  expect((await chain.call('simulateTransaction', forged, base64)).result.value.err).toBeNull()
})

test('a simulation shows the accounts as they would be, and changes nothing', async () => {
  const { buyer, seller } = await openPair()
  const { wire } = await chain.signTransfer(buyer, seller.address, 10n)
  const accounts = { addresses: [await usdcAccount(seller.address)], encoding: 'jsonParsed' }
  const { result } = await chain.call('simulateTransaction', wire, { ...base64, accounts })
  expect(result.value.accounts[0].data.parsed.info.tokenAmount.amount).toBe('10')
  expect(await chain.usdcOf(seller.address)).toBe(0n)
})

test('kit confirms a transaction over the WebSocket, confirmed and finalized', async () => {
  const { buyer, seller } = await openPair()
  const { rpc, rpcSubscriptions } = chain
  const sendAndConfirm = sendAndConfirmTransactionFactory({ rpc, rpcSubscriptions })
  for (const commitment of ['confirmed', 'finalized'] as const) {
    const { signed } = await chain.signTransfer(buyer, seller.address, 10n)
    await sendAndConfirm(signed, { commitment })
    const [status] = (await rpc.getSignatureStatuses([getSignatureFromTransaction(signed)]).send()).value
    expect(status?.err).toBeNull()
    if (commitment === 'finalized') expect(status?.confirmationStatus).toBe('finalized')
  }
  expect(await chain.usdcOf(seller.address)).toBe(20n)
})

test('account, logs and slot subscriptions tell of a transfer', async () => {
  const { buyer, seller } = await openPair()
  const abort = new AbortController()
  const options = { abortSignal: abort.signal }
  const token = await usdcAccount(seller.address)
  const accounts = await chain.rpcSubscriptions
    .accountNotifications(token, { commitment: 'confirmed', encoding: 'jsonParsed' })
    .subscribe(options)
  const logs = await chain.rpcSubscriptions.logsNotifications({ mentions: [token] }, { commitment: 'confirmed' }).subscribe(options)
  const slots = await chain.rpcSubscriptions.slotNotifications().subscribe(options)
  // The client hands out only what comes after somebody began to wait.
  const heard = [accounts, logs, slots].map(async (notifications) => {
    for await (const notification of notifications) return notification
  })
  const { signed, wire } = await chain.signTransfer(buyer, seller.address, 10n)
  await chain.call('sendTransaction', wire, base64)

  const [account, log, slot] = await Promise.all(heard)
  expect(account).toMatchObject({ value: { data: { parsed: { info: { tokenAmount: { amount: '10' } } } } } })
  expect(log).toMatchObject({ value: { signature: getSignatureFromTransaction(signed), err: null } })
  expect(slot).toMatchObject({ slot: expect.any(BigInt), parent: expect.any(BigInt) })
  abort.abort()
})

test('the history of an address is newest first, in pages, with memos and with commitment', async () => {
  const { buyer, seller } = await openPair()
  const token = await usdcAccount(seller.address)
  const sent: string[] = []
  const startedAt = Date.now() / 1000
  for (const memo of ['one', 'zwei €', 'three']) {
    const { wire } = await chain.signTransfer(buyer, seller.address, 1n, { memo })
    sent.unshift((await chain.call('sendTransaction', wire, base64)).result)
  }
  const page = async (config: object) =>
    (await chain.call('getSignaturesForAddress', token, { commitment: 'confirmed', ...config })).result as {
      signature: string
      memo: string
      blockTime: number
    }[]

  const newest = await page({ limit: 3 })
  expect(newest.map((one) => one.signature)).toEqual(sent)
  expect(newest.map((one) => one.memo)).toEqual(['[5] three', '[8] zwei €', '[3] one'])
  expect(newest[0]?.blockTime).toBeGreaterThan(startedAt - 3)
  expect(newest[0]?.blockTime).toBeLessThan(Date.now() / 1000 + 3)
  expect((await page({ before: sent[0], limit: 1 })).map((one) => one.signature)).toEqual([sent[1]])
  expect((await page({ until: sent[2] })).map((one) => one.signature)).toEqual(sent.slice(0, 2))
  await expect
    .poll(async () => (await page({ commitment: 'finalized', limit: 1 }))[0])
    .toMatchObject({ signature: sent[0], confirmationStatus: 'finalized' })
})

test('what it does not know is refused the way JSON-RPC says', async () => {
  expect((await chain.call('getNothing')).error).toMatchObject({ code: -32601 })
  expect((await chain.call('getBalance', 'no address')).error).toMatchObject({ code: -32602 })
  expect((await chain.call('getAccountInfo', genesisHash, { encoding: 'base64+zstd' })).error).toMatchObject({ code: -32602 })
  const batch = await chain.post('/', [
    { jsonrpc: '2.0', id: 1, method: 'getHealth' },
    { jsonrpc: '2.0', id: 2, method: 'getNothing' },
    { jsonrpc: '2.0', method: 'getHealth' },
  ])
  expect(await batch.json()).toMatchObject([
    { id: 1, result: 'ok' },
    { id: 2, error: { code: -32601 } },
  ])
  const broken = await fetch(chain.rpcUrl, { method: 'POST', body: '{' })
  expect(await broken.json()).toMatchObject({ error: { code: -32700 } })
})

test('a dropped answer leaves the transaction on the chain; a refused one does not', async () => {
  const { buyer, seller } = await openPair()
  const lost = await chain.signTransfer(buyer, seller.address, 10n)
  await chain.post('/fault', { method: 'sendTransaction', dropResponses: 1 })
  await expect(chain.call('sendTransaction', lost.wire, base64)).rejects.toThrow()
  expect(await chain.usdcOf(seller.address)).toBe(10n)

  const refused = await chain.signTransfer(buyer, seller.address, 7n)
  await chain.post('/fault', { method: 'sendTransaction', refuse: 1 })
  await expect(chain.rpc.sendTransaction(refused.wire, { encoding: 'base64' }).send()).rejects.toThrow('503')
  expect(await chain.usdcOf(seller.address)).toBe(10n)

  await chain.post('/fault', { method: 'getSlot', delayMs: 120 })
  const startedAt = performance.now()
  await chain.call('getSlot')
  expect(performance.now() - startedAt).toBeGreaterThan(100)
})

test('a stranger without SOL cannot pay a fee', async () => {
  const { seller } = await openPair()
  const stranger = await generateKeyPairSigner()
  const { wire } = await chain.signTransfer(stranger, seller.address, 1n)
  expect((await chain.call('sendTransaction', wire, base64)).error).toMatchObject({ data: { err: 'AccountNotFound' } })
})
