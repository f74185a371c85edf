// What survives the end of the process, wanted or not.
import { spawnSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getSignatureFromTransaction } from '@solana/kit'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lighthouseProgram } from './lighthouse-stand-in.ts'
import { openTestChain, usdcAccount } from './open-test-chain.ts'
import { startLocalnet } from './start.ts'

const base64 = { encoding: 'base64' }
const newest = { ...base64, commitment: 'confirmed' }
let dataDir = ''

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'localnet-'))
})
afterEach(() => rmSync(dataDir, { recursive: true, force: true }))

type Chain = Awaited<ReturnType<typeof openTestChain>>

async function kill(chain: Chain): Promise<void> {
  process.kill(chain.pid, 'SIGKILL')
  await chain.stop()
}

test.each([
  ['SIGTERM', (chain: Chain) => chain.stop()],
  ['SIGKILL', kill],
])('balances, history and duplicates survive %s', async (_signal, end) => {
  const first = await openTestChain({ dataDir })
  const buyer = await first.openWallet(1_000n)
  const seller = await first.openWallet(0n)
  const landed = await first.signTransfer(buyer, seller.address, 10n, { memo: 'rental' })
  const unsent = await first.signTransfer(buyer, seller.address, 5n)
  await first.call('sendTransaction', landed.wire, base64)
  const before = await first.call('getSignaturesForAddress', buyer.address, { commitment: 'confirmed' })
  const genesis = await first.call('getAccountInfo', '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU', newest)
  await end(first)

  // Twice, because a second start reads what the first one wrote down.
  await (await openTestChain({ dataDir })).stop()
  await using second = await openTestChain({ dataDir })

  expect(await second.usdcOf(seller.address)).toBe(10n)
  expect((await second.call('sendTransaction', landed.wire, base64)).error).toMatchObject({ data: { err: 'AlreadyProcessed' } })
  const after = await second.call('getSignaturesForAddress', buyer.address, { commitment: 'confirmed' })
  const withoutStatus = (list: object[]) => list.map((entry) => ({ ...entry, confirmationStatus: undefined }))
  expect(withoutStatus(after.result)).toEqual(withoutStatus(before.result))
  const { result } = await second.call('getTransaction', getSignatureFromTransaction(landed.signed), {
    commitment: 'confirmed',
    maxSupportedTransactionVersion: 0,
  })
  expect(result.meta.err).toBeNull()
  expect((await second.call('getAccountInfo', '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU', newest)).result.value).toEqual(
    genesis.result.value,
  )
  expect((await second.call('sendTransaction', unsent.wire, base64)).error).toBeUndefined()
  expect(await second.usdcOf(seller.address)).toBe(15n)
  await second.openWallet(1n)
})

test.each([
  ['SIGTERM', (chain: Chain) => chain.stop()],
  ['SIGKILL', kill],
])('balances as of the finalized slot, drained addresses and programs survive %s', async (_signal, end) => {
  const first = await openTestChain({ dataDir, finalitySlots: 32, slotMs: 1_000 })
  const wallet = await first.openWallet(1_000n)
  await first.fault({ drainSol: wallet.address })
  await end(first)

  await using second = await openTestChain({ dataDir, finalitySlots: 32, slotMs: 1_000 })
  const balances = async (commitment: string) => {
    const account = await second.call('getTokenAccountBalance', await usdcAccount(wallet.address), { commitment })
    return [account.result?.value.amount, (await second.call('getBalance', wallet.address, { commitment })).result.value]
  }
  expect(await balances('confirmed')).toEqual(['1000', 0])
  expect(await balances('finalized')).toEqual([undefined, 0])
  expect((await second.call('getAccountInfo', lighthouseProgram, base64)).result.value).toMatchObject({ executable: true })
})

test('a line cut in the middle by a crash is dropped, and what was answered stays', async () => {
  const first = await openTestChain({ dataDir })
  const wallet = await first.openWallet(1_000n)
  await kill(first)
  appendFileSync(join(dataDir, 'journal.jsonl'), '{"kind":"transaction","signature":"5')

  await using second = await openTestChain({ dataDir })
  expect(await second.usdcOf(wallet.address)).toBe(1_000n)
})

test('every transfer that was answered before a kill is there after it', async () => {
  const first = await openTestChain({ dataDir })
  const buyer = await first.openWallet(1_000n)
  const seller = await first.openWallet(0n)
  const transfers = await Promise.all(
    Array.from({ length: 30 }, (_, index) => first.signTransfer(buyer, seller.address, BigInt(index + 1))),
  )
  const answered: string[] = []
  const sending = transfers.map(async ({ wire }) => {
    const { result } = await first.call('sendTransaction', wire, base64)
    answered.push(result)
    if (answered.length === 10) process.kill(first.pid, 'SIGKILL')
  })
  await Promise.allSettled(sending)
  await first.stop()

  await using second = await openTestChain({ dataDir })
  const { result } = await second.call('getSignatureStatuses', answered)
  expect(answered.length).toBeGreaterThanOrEqual(10)
  expect(result.value.filter((status: unknown) => status === null)).toEqual([])
  const landed = await Promise.all(
    transfers.map(async ({ signed }, index) => {
      const { result: found } = await second.call('getSignatureStatuses', [getSignatureFromTransaction(signed)])
      return found.value[0] === null ? 0 : index + 1
    }),
  )
  expect(await second.usdcOf(seller.address)).toBe(BigInt(landed.reduce((sum, amount) => sum + amount, 0)))
})

test('two chains cannot share a data dir', async () => {
  await using _first = await openTestChain({ dataDir })
  await expect(startLocalnet({ dataDir })).rejects.toThrow('in use')
})

test.each(['NODE_ENV', 'FLOW402_ENV'])('it refuses to start when %s says production', (name) => {
  const main = fileURLToPath(new URL('./main.ts', import.meta.url))
  const ended = spawnSync(process.execPath, [main], { env: { ...process.env, [name]: 'production' }, encoding: 'utf8' })
  expect(ended.status).toBe(1)
  expect(ended.stderr).toBe('localnet: this is test money and must not run in production\n')
})

test('it ends when its parent goes away', async () => {
  const start = fileURLToPath(new URL('./start.ts', import.meta.url))
  const parent = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '-e',
      `const { pid } = await (await import(${JSON.stringify(start)})).startLocalnet(); console.log(pid); process.exit()`,
    ],
    { encoding: 'utf8' },
  )
  const pid = Number(parent.stdout)
  expect(pid).toBeGreaterThan(0)
  await expect
    .poll(() => {
      try {
        return process.kill(pid, 0)
      } catch {
        return false
      }
    })
    .toBe(false)
})
