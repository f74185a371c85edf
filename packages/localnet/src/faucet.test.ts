// What the faucet gives, and what it refuses.
import { generateKeyPairSigner } from '@solana/kit'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { usdcMint } from './genesis.ts'
import { openTestChain, usdcAccount } from './open-test-chain.ts'

let chain: Awaited<ReturnType<typeof openTestChain>>

beforeAll(async () => {
  chain = await openTestChain({ slotMs: 50 })
})
afterAll(() => chain.stop())

test('the faucet mints USDC into a new token account and adds SOL, once', async () => {
  const wallet = await generateKeyPairSigner()

  const first = await chain.post('/faucet', { address: wallet.address, usdcAtoms: '5000000' })
  const second = await chain.post('/faucet', { address: wallet.address, usdcAtoms: 7 })

  expect([first.status, second.status]).toEqual([200, 200])
  expect(first.headers.get('access-control-allow-origin')).toBe('*')
  expect(await chain.usdcOf(wallet.address)).toBe(5_000_007n)
  expect((await chain.rpc.getBalance(wallet.address).send()).value).toBe(1_000_000_000n)
  const { signature } = (await first.json()) as { signature: string }
  const { result } = await chain.call('getTransaction', signature, {
    encoding: 'jsonParsed',
    commitment: 'confirmed',
    maxSupportedTransactionVersion: 0,
  })
  expect(result.transaction.message.instructions.map((one: { parsed: { type?: string } }) => one.parsed.type)).toEqual([
    'createIdempotent',
    'mintToChecked',
    'transfer',
    undefined,
  ])
  expect(result.meta.innerInstructions).toMatchObject([{ index: 0 }])
})

test('equal requests at once are gifts of their own', async () => {
  const { address } = await generateKeyPairSigner()
  await Promise.all(Array.from({ length: 5 }, () => chain.post('/faucet', { address, usdcAtoms: '1' })))
  expect(await chain.usdcOf(address)).toBe(5n)
})

test('supply and token accounts tell what was minted', async () => {
  const wallet = await chain.openWallet(42n)
  const confirmed = { commitment: 'confirmed' }
  const owned = await chain.call('getTokenAccountsByOwner', wallet.address, { mint: usdcMint }, { ...confirmed, encoding: 'jsonParsed' })
  expect(owned.result.value).toMatchObject([
    { pubkey: await usdcAccount(wallet.address), account: { data: { parsed: { info: { tokenAmount: { amount: '42' } } } } } },
  ])
  const all = await chain.call('getProgramAccounts', 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA', {
    ...confirmed,
    encoding: 'base64',
    filters: [{ dataSize: 165 }, { memcmp: { offset: 32, bytes: wallet.address } }],
  })
  expect(all.result).toHaveLength(1)
  expect((await chain.call('getTokenSupply', usdcMint)).result.value).toMatchObject({ decimals: 6 })
})

test.each([
  ['no address', { usdcAtoms: '1' }],
  ['an address that is none', { address: '0xabc', usdcAtoms: '1' }],
  ['too much', { address: usdcMint, usdcAtoms: '1000000000001' }],
  ['a negative amount', { address: usdcMint, usdcAtoms: -1 }],
  ['a fraction', { address: usdcMint, usdcAtoms: 1.5 }],
  ['no amount', { address: usdcMint }],
  ['a member that it does not know', { address: usdcMint, usdcAtoms: '1', lamports: '1' }],
  ['a list', []],
])('the faucet refuses %s with a problem', async (_what, body) => {
  const response = await chain.post('/faucet', body)
  expect(response.status).toBe(422)
  expect(response.headers.get('content-type')).toBe('application/problem+json')
  expect(await response.json()).toMatchObject({ code: 'invalid_request', status: 422 })
})

test('a faucet body over 64 KiB is 413, one that is not JSON is 400, each with its code', async () => {
  const large = await chain.post('/faucet', { address: usdcMint, usdcAtoms: '1', padding: 'x'.repeat(1 << 16) })
  expect([large.status, await large.json()]).toMatchObject([413, { code: 'too_large' }])
  const broken = await fetch(chain.faucetUrl, { method: 'POST', body: '{' })
  expect([broken.status, await broken.json()]).toMatchObject([400, { code: 'invalid_json' }])
})
