// npm run demo: a program without an account rents a machine with the stock x402 client, uses it, stops early, and counts every cent.
import { setTimeout as delay } from 'node:timers/promises'
import { formatUsdc } from '@flow402/protocol/money'
import type { Offer } from '@flow402/protocol/offer'
import type { Receipt } from '@flow402/protocol/receipt'
import type { CreatedRental, ExecResult, Rental } from '@flow402/protocol/rental'
import { askFaucet, usdcBalance } from '@flow402/sdk/pay-test-wallet'
import { generateKeyPairSigner } from '@solana/kit'
import { wrapFetchWithPayment, x402Client } from '@x402/fetch'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import { prepareHouse } from './house.ts'
import { type RunningHouse, readRunning } from './state.ts'
import { step, table } from './steps.ts'

const devnet = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
const purseAtoms = 2_000_000n
const minutes = 5
const waitMs = 60_000

type Balances = Record<'consumer' | 'provider' | 'fee' | 'escrow', bigint>

/** Goes the whole way against a running house; answers whether the books balance. */
async function demonstrate(house: RunningHouse): Promise<boolean> {
  const wallet = await generateKeyPairSigner()
  await step('wallet', async () => {
    await askFaucet(house.faucetUrl, wallet.address, purseAtoms)
    return { detail: `${wallet.address} with $${formatUsdc(purseAtoms)} of test USDC` }
  })
  const { offer } = await step('offer', async () => {
    const { items } = await getJson<{ items: Offer[] }>(`${house.url}/api/offers?online=true`)
    const offer = items.find((each) => each.unitsAvailable > 0)
    if (!offer) throw new Error('no offer has a free unit: is a local node running? npm run up says')
    const { ramMb, cpuMillis, diskMb } = offer.perUnit
    return {
      offer,
      detail: `${ramMb} MB, ${cpuMillis / 1000} CPU, ${diskMb} MB disk at $${formatUsdc(BigInt(offer.priceAtomsPerHour))} an hour`,
    }
  })
  const balances = (): Promise<Balances> => readBalances(house, wallet.address)
  const before = await balances()

  // What a stranger would write: the published client, its default spend controls, nothing of ours.
  const client = new x402Client().register(devnet, new ExactSvmScheme(wallet, { rpcUrl: house.rpcUrl }))
  const payingFetch = wrapFetchWithPayment(fetch, client)
  const { rental, accessToken } = await step('pay and rent', async () => {
    const response = await payingFetch(`${house.url}/api/rentals`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ offerId: offer.id, units: 1, minutes }),
    })
    if (response.status !== 201) throw new Error(`the market answered ${response.status}: ${await response.text()}`)
    const created = (await response.json()) as CreatedRental
    const paid = formatUsdc(BigInt(created.rental.prepaidAtoms))
    return { ...created, detail: `402, paid $${paid} for ${minutes} minutes, 201: ${created.rental.id}` }
  })

  const authorization = { authorization: `Bearer ${accessToken}` }
  const rentalUrl = `${house.url}/api/rentals/${rental.id}`
  const untilState = async (state: Rental['state']) => {
    for (const deadline = Date.now() + waitMs; Date.now() < deadline; await delay(50)) {
      const now = await getJson<Rental>(rentalUrl, authorization)
      if (now.state === state) return now
      if (state === 'running' && now.endReason) throw new Error(`the rental ended: ${now.endReason} ${now.endDetail ?? ''}`)
    }
    throw new Error(`the rental was not ${state} within ${waitMs / 1000} s`)
  }
  await step('container', async () => ({ ...(await untilState('running')), detail: 'running' }))
  const exec = async (script: string) => {
    const response = await fetch(`${rentalUrl}/exec`, {
      method: 'POST',
      headers: { ...authorization, 'content-type': 'application/json' },
      body: JSON.stringify({ argv: ['sh', '-c', script] }),
    })
    if (!response.ok) throw new Error(`exec answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as ExecResult
  }
  const { result } = await step('exec', async () => {
    const limit = 'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null'
    const result = await exec(`uname -sr; echo "memory limit: $(${limit}) bytes"; df -h /workspace | tail -1`)
    return { result, detail: `exit code ${result.exitCode}` }
  })
  console.log(result.stdout.trim().replace(/^/gm, '    '))
  await step('too much memory', async () => {
    const { exitCode } = await exec('exec node -e "Buffer.alloc(2 ** 31 - 1, 1)"')
    const { stdout } = await exec('echo lives on')
    if (exitCode !== 137 || stdout.trim() !== 'lives on') throw new Error(`2 GB in a 1 GB machine ended with ${exitCode}, then: ${stdout}`)
    return { detail: 'an allocation of 2 GB was killed (exit code 137), the machine lives on' }
  })
  const { settled } = await step('stop and settle', async () => {
    const response = await fetch(`${rentalUrl}/stop`, { method: 'POST', headers: authorization })
    if (response.status !== 202) throw new Error(`stop answered ${response.status}: ${await response.text()}`)
    const settled = await untilState('settled')
    return { settled, detail: `${settled.meteredSeconds} s metered, ${settled.endReason}` }
  })
  const receipt = await getJson<Receipt>(`${rentalUrl}/receipt`, authorization)
  const after = await balances()
  return report(before, after, settled, receipt)
}

/** Prints the money before and after, and checks every sum. */
function report(before: Balances, after: Balances, rental: Rental, receipt: Receipt): boolean {
  const money = (atoms: bigint, signed = false) =>
    `${signed && atoms > 0n ? '+' : ''}${atoms < 0n ? '-' : ''}${formatUsdc(atoms < 0n ? -atoms : atoms, 6)}`
  const change = (who: keyof Balances) => after[who] - before[who]
  const rows = (Object.keys(before) as (keyof Balances)[]).map((who) => [
    who,
    money(before[who]),
    money(after[who]),
    money(change(who), true),
  ])
  console.log(`\n${table([['USDC', 'before', 'after', 'change'], ...rows])}`)

  const [prepaid, payout, fee, refund] = [rental.prepaidAtoms, rental.payoutAtoms, rental.feeAtoms, rental.refundAtoms].map(BigInt) as [
    bigint,
    bigint,
    bigint,
    bigint,
  ]
  console.log(`\nprepaid ${money(prepaid)} = payout ${money(payout)} + fee ${money(fee)} + refund ${money(refund)}`)
  console.log(
    `\n${table([['transfer', 'USDC', 'transaction'], ...receipt.transfers.map((each) => [each.kind, money(BigInt(each.amountAtoms)), each.transaction ?? 'owed'])])}`,
  )
  console.log(`\nreceipt digest ${receipt.digest}\n`)

  const claims: [string, boolean][] = [
    ['prepaid = payout + fee + refund', prepaid === payout + fee + refund],
    ['the consumer spent the charge and nothing else', change('consumer') === -(payout + fee)],
    ['the provider got the payout', change('provider') === payout],
    ['the market got the fee', change('fee') === fee],
    ['escrow is back where it was', change('escrow') === 0n],
    [
      'every movement has a transaction on chain',
      receipt.transfers.every(({ transaction }) => transaction !== null && transaction.length > 60),
    ],
  ]
  for (const [claim, holds] of claims) console.log(`${holds ? '✓' : '✗'} ${claim}`)
  return claims.every(([, holds]) => holds)
}

async function readBalances(house: RunningHouse, consumer: string): Promise<Balances> {
  const of = (owner: string) => usdcBalance(house.rpcUrl, house.usdcMint, owner)
  const [mine, provider, fee, escrow] = await Promise.all([consumer, house.providerAddress, house.feeAddress, house.escrowAddress].map(of))
  return { consumer: mine ?? 0n, provider: provider ?? 0n, fee: fee ?? 0n, escrow: escrow ?? 0n }
}

async function getJson<T>(url: string, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, { headers })
  if (!response.ok) throw new Error(`GET ${url} answered ${response.status}: ${await response.text()}`)
  return (await response.json()) as T
}

/** The house of `npm run up`, or one of our own that ends with the demo. */
async function openHouse(): Promise<{ running: RunningHouse; close(): Promise<void> }> {
  const running = readRunning()
  if (running) {
    await step('market', async () => {
      for (const deadline = Date.now() + 120_000; Date.now() < deadline; await delay(200)) {
        const health = await fetch(`${running.url}/api/health`).catch(() => undefined)
        if (health?.status === 200) return { detail: `${running.url} runs already` }
      }
      throw new Error(`${running.url} runs, but is not ready`)
    })
    return { running, close: async () => {} }
  }
  const house = prepareHouse({
    port: Number(process.env.PORT ?? 0),
    isDevelopment: false,
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void house.stop().then(() => process.exit(1)))
  try {
    const raised = await house.raise()
    console.log('')
    return { running: raised, close: house.stop }
  } catch (error) {
    await house.stop()
    throw error
  }
}

let isBalanced = false
try {
  const { running, close } = await openHouse()
  isBalanced = await demonstrate(running).finally(close)
} catch (error) {
  console.error((error as Error).message)
}
process.exit(isBalanced ? 0 : 1)
