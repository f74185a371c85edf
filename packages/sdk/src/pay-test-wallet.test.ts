// Tests of the test wallet: it stays the same key in one browser, and the faucet's refusals surface.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, test } from 'vitest'
import { askFaucet, testWallet } from './pay-test-wallet.ts'

function storage(entries: Record<string, string> = {}) {
  return {
    entries,
    getItem: (key: string) => entries[key] ?? null,
    setItem: (key: string, value: string) => {
      entries[key] = value
    },
  }
}

test('one browser has one test wallet, another browser another', async () => {
  const here = storage()
  const first = await testWallet(here)
  expect((await testWallet(here)).address).toBe(first.address)
  expect((await testWallet(storage())).address).not.toBe(first.address)
})

test('an unreadable key is replaced instead of failing for ever', async () => {
  const here = storage({ 'flow402.test-wallet': 'garbage' })
  const made = await testWallet(here)
  expect((await testWallet(here)).address).toBe(made.address)
})

test('the faucet is asked for atoms as a decimal string, and its refusal surfaces', async () => {
  const bodies: unknown[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const piece of request) text += piece
    bodies.push(JSON.parse(text))
    response.writeHead(bodies.length === 1 ? 200 : 422, { 'content-type': 'application/json' })
    response.end(JSON.stringify(bodies.length === 1 ? { signature: 'sig' } : { error: 'too much' }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/faucet`
  try {
    expect(await askFaucet(url, 'someone', 10_000_000n)).toBe('sig')
    expect(bodies[0]).toEqual({ address: 'someone', usdcAtoms: '10000000' })
    await expect(askFaucet(url, 'someone', 1n)).rejects.toMatchObject({ name: 'MarketError', status: 422 })
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
