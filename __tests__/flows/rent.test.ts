// The main job, on real containers: one paid request becomes a machine, and what was not used comes back.

import { newId } from '@flow402/protocol/id'
import type { CreatedRental } from '@flow402/protocol/rental'
import { askFaucet, usdcBalance } from '@flow402/sdk/pay-test-wallet'
import { generateKeyPairSigner } from '@solana/kit'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { WebSocket } from 'ws'
import { emptyBooks } from '../support/empty-books.ts'
import { openRealHouse, type RealHouse, type Rented, rentedFrom, waitFor } from '../support/real-house.ts'

let house: RealHouse
beforeAll(async () => {
  house = await openRealHouse()
})
afterAll(() => house?.close())

test('a stock x402 client rents, works inside, stops early, and the unspent money is back on chain', async () => {
  const { network, rpcUrl, faucetUrl, usdcMint } = house.network
  const wallet = await generateKeyPairSigner()
  await askFaucet(faucetUrl ?? '', wallet.address, 2_000_000n)
  const client = new x402Client().register(network as `${string}:${string}`, new ExactSvmScheme(wallet, { rpcUrl }))
  const before = await house.balances()

  const answer = await wrapFetchWithPayment(fetch, client)(`${house.url}/api/rentals`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(house.request()),
  })
  expect(answer.status).toBe(201)
  expect(answer.headers.get('payment-response')).toBeTruthy()
  const rented = rentedFrom((await answer.json()) as CreatedRental)
  await house.until(rented, 'running')

  const inside = await house.exec(rented, [
    'sh',
    '-c',
    'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; pwd',
  ])
  expect(inside.exitCode).toBe(0)
  expect(inside.stdout).toContain(String(256 * 1024 * 1024))
  expect(inside.stdout).toContain('/workspace')
  expect(await house.exec(rented, ['cat'], { stdin: 'hello' })).toMatchObject({ stdout: 'hello', exitCode: 0 })
  expect((await house.exec(rented, ['sh', '-c', 'echo no >&2; exit 3'])).exitCode).toBe(3)

  expect((await house.stop(rented)).status).toBe(202)
  expect((await house.stop(rented)).status).toBe(202)
  const settled = await house.until(rented, 'settled')
  expect(settled.endReason).toBe('stopped')
  const sum = BigInt(settled.payoutAtoms) + BigInt(settled.feeAtoms) + BigInt(settled.refundAtoms)
  expect(sum).toBe(BigInt(settled.prepaidAtoms))

  const after = await house.balances()
  expect(after.escrow).toBe(before.escrow)
  expect(after.provider - before.provider).toBe(BigInt(settled.payoutAtoms))
  expect(after.fee - before.fee).toBe(BigInt(settled.feeAtoms))
  expect(await usdcBalance(rpcUrl, usdcMint, wallet.address)).toBe(2_000_000n - BigInt(settled.chargedAtoms))
  const receipt = await house.receipt(rented)
  expect(receipt.transfers.map((transfer) => transfer.kind)).toEqual(expect.arrayContaining(['charge', 'payout', 'fee', 'refund']))
  expect(await house.books()).toEqual(emptyBooks)
  expect(await house.containers()).toEqual([])
})

test('an allocation of twice the limit is killed; the rental and its neighbour live on, and a fork bomb stops', async () => {
  const [greedy, neighbour] = await Promise.all([house.rent(), house.rent()])
  await Promise.all([house.until(greedy, 'running'), house.until(neighbour, 'running')])
  const bomb = await house.exec(greedy, ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=512M', 'count=1'], { timeoutMs: 60_000 })
  expect(bomb.exitCode).toBe(137)
  expect(await house.exec(greedy, ['echo', 'alive'])).toMatchObject({ stdout: 'alive\n' })
  await house.exec(greedy, ['sh', '-c', 'b() { b | b & }; b; sleep 2'], { timeoutMs: 20_000 }).catch(() => undefined)
  expect(await house.exec(neighbour, ['echo', 'alive'])).toMatchObject({ stdout: 'alive\n' })
  expect((await house.look(greedy)).state).toBe('running')
  await Promise.all([house.stop(greedy), house.stop(neighbour)])
  await Promise.all([house.until(greedy, 'settled'), house.until(neighbour, 'settled')])
})

test('from inside, the host, its network and the agent’s engine cannot be reached', async () => {
  const rented = await house.rent()
  await house.until(rented, 'running')
  const port = new URL(house.url).port
  const tries = [
    `wget -q -T 2 -O- http://127.0.0.1:${port}/api/health`,
    `wget -q -T 2 -O- http://172.17.0.1:${port}/api/health`,
    'wget -q -T 2 -O- http://169.254.169.254/',
    'wget -q -T 2 -O- http://10.0.0.1/',
  ]
  for (const attempt of tries) expect((await house.exec(rented, ['sh', '-c', attempt])).exitCode).not.toBe(0)
  const links = await house.exec(rented, [
    'sh',
    '-c',
    'ls /sys/class/net; ls /var/run/docker.sock /run/docker.sock 2>&1; id -u; grep CapEff /proc/self/status',
  ])
  expect(links.stdout.split('\n')[0]).toBe('lo')
  expect(links.stdout).toMatch(/CapEff:\s+0+$/m)
  expect((await house.exec(rented, ['sh', '-c', 'echo x > /etc/passwd'])).exitCode).not.toBe(0)
  await house.stop(rented)
  await house.until(rented, 'settled')
})

test('a command that ends ends its rental: the rest is refunded and what it wrote can be read', async () => {
  const rented = await house.rent({ command: ['sh', '-c', 'echo "I am $WHO"; exit 7'], env: { WHO: 'the job' } })
  const settled = await house.until(rented, 'settled')
  expect(settled.endReason).toBe('exited')
  expect(BigInt(settled.refundAtoms)).toBeGreaterThan(0n)
  const logs = await fetch(`${house.url}/api/rentals/${rented.id}/logs`, { headers: house.bearer(rented) })
  expect(await logs.text()).toContain('I am the job')
})

test('logs can be followed while the workload writes', async () => {
  const rented = await house.rent({ command: ['sh', '-c', 'i=0; while true; do echo "line $i"; i=$((i+1)); sleep 0.2; done'] })
  await house.until(rented, 'running')
  const abort = new AbortController()
  const response = await fetch(`${house.url}/api/rentals/${rented.id}/logs?follow=1`, {
    headers: house.bearer(rented),
    signal: abort.signal,
  })
  let seen = ''
  for await (const chunk of response.body ?? []) {
    seen += Buffer.from(chunk).toString()
    if (seen.includes('line 5')) break
  }
  abort.abort()
  expect(seen).toContain('line 0')
  await house.stop(rented)
  await house.until(rented, 'settled')
})

test('extending is another 402 and moves the end on the market and on the machine', async () => {
  const rented = await house.rent({ minutes: 5 })
  const before = await house.until(rented, 'running')
  const path = `/api/rentals/${rented.id}/extend`
  const answer = await house.post(
    path,
    { minutes: 7 },
    { ...house.bearer(rented), ...(await house.sign(path, { minutes: 7 }, house.bearer(rented))) },
  )
  expect(answer.status).toBe(200)
  const after = await house.look(rented)
  expect(after.minutes).toBe(12)
  expect(Date.parse(after.paidUntil ?? '') - Date.parse(before.paidUntil ?? '')).toBe(7 * 60_000)
  expect(BigInt(after.prepaidAtoms)).toBe((600_000n * 12n) / 60n)
  await house.stop(rented)
  const settled = await house.until(rented, 'settled')
  expect(BigInt(settled.payoutAtoms) + BigInt(settled.feeAtoms) + BigInt(settled.refundAtoms)).toBe(BigInt(settled.prepaidAtoms))
  expect((await house.balances()).escrow).toBe(0n)
})

test('a terminal survives its connection: the same id finds the same shell and its output again', async () => {
  const rented = await house.rent()
  await house.until(rented, 'running')
  const terminal = newId('terminal')
  const first = openTerminal(rented, terminal)
  await first.type('marker=kept; echo first-$((40+2))\n', 'first-42')
  first.socket.send(JSON.stringify({ cols: 133, rows: 41 }))
  first.socket.terminate()

  const second = openTerminal(rented, terminal)
  await waitFor('the replay', async () => second.seen().includes('first-42'), 10_000)
  await second.type('echo again-$marker\n', 'again-kept')
  second.socket.send(JSON.stringify({ cols: 133, rows: 41 }))
  await second.type('until [ "$(stty size)" = "41 133" ]; do sleep 0.1; done; echo sized-$((1+1))\n', 'sized-2')
  second.socket.close()

  const stranger = openTerminal({ ...rented, accessToken: 'f402_wrong' }, terminal)
  expect(await stranger.closed).toBe(4401)
  await house.stop(rented)
  await house.until(rented, 'settled')
  expect(await openTerminal(rented, terminal).closed).toBe(4409)
})

test('someone else’s rental does not exist, and without a token the answer says what is missing', async () => {
  const [mine, theirs] = [await house.rent(), await house.rent()]
  const path = `${house.url}/api/rentals/${theirs.id}`
  expect((await fetch(path, { headers: house.bearer(mine) })).status).toBe(404)
  expect((await fetch(path)).status).toBe(401)
  expect((await house.post(`/api/rentals/${theirs.id}/exec`, { argv: ['id'] }, house.bearer(mine))).status).toBe(404)
  for (const each of [mine, theirs]) await house.stop(each)
  for (const each of [mine, theirs]) await house.until(each, 'settled')
})

function openTerminal(rented: Rented, terminal: string) {
  const url = `${house.url.replace('http', 'ws')}/api/rentals/${rented.id}/terminal?terminal=${terminal}&cols=80&rows=24`
  const socket = new WebSocket(url, ['flow402.terminal', `bearer.${rented.accessToken}`])
  let seen = ''
  socket.on('error', () => undefined)
  socket.on('message', (data) => {
    seen += String(data)
  })
  const opened = new Promise<void>((resolve) => socket.once('open', () => resolve()))
  const closed = new Promise<number>((resolve) => socket.once('close', (code) => resolve(code)))
  return {
    socket,
    closed,
    seen: () => seen,
    async type(text: string, until: string): Promise<void> {
      await opened
      socket.send(Buffer.from(text))
      await waitFor(`"${until}" in the terminal`, async () => seen.includes(until), 15_000)
    },
  }
}
