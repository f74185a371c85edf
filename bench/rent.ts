// How long a rental takes, step by step, beside the floor measured in the same run. Usage: npm run bench:rent [-- rounds]
import { cpus } from 'node:os'
import type { NetworkView } from '@flow402/protocol/network'
import type { OfferPage } from '@flow402/protocol/offer'
import type { CreatedRental, Rental } from '@flow402/protocol/rental'
import { generateKeyPairSigner } from '@solana/kit'
import { x402Client } from '@x402/core/client'
import { x402HTTPClient } from '@x402/core/http'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import { readRunning } from '../scripts/state.ts'
import { openEngine } from './engine-floor.ts'
import { openSettleFloor } from './settle-floor.ts'

const run = readRunning()
if (!run) throw new Error('no market runs from this clone: start it with npm run up')
const rounds = Number(process.argv[2] ?? 20)
const together = 8
const minutes = 10
const pollMs = 3

const base = run.url
const network = (await (await fetch(`${base}/api/network`)).json()) as NetworkView
const faucetUrl = network.faucetUrl
if (!faucetUrl) throw new Error('this benchmark pays with test USDC: run it against the local chain')
const { items } = (await (await fetch(`${base}/api/offers`)).json()) as OfferPage
const offer = items.find((each) => each.online && each.unitsAvailable > 0)
if (!offer) throw new Error('no offer is online')

const wallet = await generateKeyPairSigner()
await fetch(faucetUrl, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ address: wallet.address, usdcAtoms: '100000000' }),
})
const client = new x402HTTPClient(
  new x402Client().register(network.network as `${string}:${string}`, new ExactSvmScheme(wallet, { rpcUrl: network.rpcUrl })),
)
const engine = openEngine(run.engineSocket)
const image = await engine.baseImage()
const floor = await openSettleFloor({ ...network, faucetUrl })

type Steps = { quote: number; pay: number; running: number; exec: number; refunded: number }
const argv = ['true']

async function timed<T>(work: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const startedAt = performance.now()
  const value = await work()
  return { value, ms: performance.now() - startedAt }
}

async function until(url: string, headers: Record<string, string>, state: Rental['state']): Promise<void> {
  for (;;) {
    const rental = (await (await fetch(url, { headers })).json()) as Rental
    if (rental.state === state) return
    if (rental.state === 'settled') throw new Error(`the rental ended: ${rental.endReason} ${rental.endDetail}`)
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

/** One rental from its quote to its refund. */
async function rentOnce(): Promise<Steps> {
  const body = JSON.stringify({ offerId: offer?.id, units: 1, minutes })
  const post = (headers: Record<string, string> = {}) =>
    fetch(`${base}/api/rentals`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body })
  const quote = await timed(() => post())
  const required = client.getPaymentRequiredResponse((name) => quote.value.headers.get(name), await quote.value.json())
  const payment = client.encodePaymentSignatureHeader(await client.createPaymentPayload(required))
  const pay = await timed(async () => {
    const response = await post(payment)
    if (response.status !== 201) throw new Error(`paying answered ${response.status}: ${await response.text()}`)
    return (await response.json()) as CreatedRental
  })
  const { rental, accessToken } = pay.value
  const headers = { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' }
  const url = `${base}/api/rentals/${rental.id}`
  const running = await timed(() => until(url, headers, 'running'))
  const exec = await timed(async () => (await fetch(`${url}/exec`, { method: 'POST', headers, body: JSON.stringify({ argv }) })).json())
  const refunded = await timed(async () => {
    await fetch(`${url}/stop`, { method: 'POST', headers })
    await until(url, headers, 'settled')
  })
  return { quote: quote.ms, pay: pay.ms, running: running.ms, exec: exec.ms, refunded: refunded.ms }
}

function quantile(values: number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN
}

/** How many times as long as the floor, by the medians. */
function ratio(own: number[], floorValues: number[]): string {
  return (quantile(own, 0.5) / quantile(floorValues, 0.5)).toFixed(2)
}

const memoryBytes = offer.perUnit.ramMb * 1024 * 1024
const price = ((BigInt(offer.priceAtomsPerHour) * BigInt(minutes)) / 60n).toString()
type Floor = { settle: number[]; start: number[]; exec: number[] }
/** The bare steps, `count` at once. */
async function measureFloor(into: Floor, count: number): Promise<void> {
  const each = Array.from({ length: count })
  into.settle.push(...(await Promise.all(each.map(() => floor.settle(price)))))
  const containers = await Promise.all(each.map(() => engine.startBare(image, memoryBytes)))
  into.start.push(...containers.map((container) => container.ms))
  into.exec.push(...(await Promise.all(containers.map((container) => engine.execBare(container.id, argv)))))
  await Promise.all(containers.map((container) => engine.remove(container.id)))
}

await rentOnce()
await measureFloor({ settle: [], start: [], exec: [] }, 1)
const bare: Floor = { settle: [], start: [], exec: [] }
const bareCrowd: Floor = { settle: [], start: [], exec: [] }

const alone: Steps[] = []
for (let round = 0; round < rounds; round++) {
  alone.push(await rentOnce())
  await measureFloor(bare, 1)
}
const crowd: Steps[] = []
const atOnce = Math.min(together, offer.unitsTotal)
for (let round = 0; round < Math.max(1, Math.round(rounds / together)); round++) {
  crowd.push(...(await Promise.all(Array.from({ length: atOnce }, rentOnce))))
  await measureFloor(bareCrowd, atOnce)
}

const floors: Partial<Record<keyof Steps, { name: string; values: number[]; crowd: number[]; aim: number }>> = {
  pay: { name: 'bare settle', values: bare.settle, crowd: bareCrowd.settle, aim: 3 },
  running: { name: 'bare container', values: bare.start, crowd: bareCrowd.start, aim: 1.5 },
  exec: { name: 'bare exec', values: bare.exec, crowd: bareCrowd.exec, aim: 2 },
}
const titles: Record<keyof Steps, string> = {
  quote: 'quote (402)',
  pay: 'pay to 201',
  running: '201 to running',
  exec: 'exec round trip',
  refunded: 'stop to refunded',
}
console.log(
  `${rounds} rentals one after another, ${crowd.length} in groups of ${atOnce}; ${cpus().length} cores, Node ${process.version}; ms, p50 / p95`,
)
console.table(
  Object.fromEntries(
    (Object.keys(titles) as (keyof Steps)[]).map((step) => {
      const show = (values: number[]) => `${quantile(values, 0.5).toFixed(1)} / ${quantile(values, 0.95).toFixed(1)}`
      const own = alone.map((each) => each[step])
      const below = floors[step]
      return [
        titles[step],
        {
          'one by one': show(own),
          [`${atOnce} at once`]: show(crowd.map((each) => each[step])),
          floor: below ? `${below.name} ${show(below.values)}` : '-',
          ratio: below ? ratio(own, below.values) : '-',
          [`ratio ${atOnce} at once`]: below
            ? ratio(
                crowd.map((each) => each[step]),
                below.crowd,
              )
            : '-',
          aim: below ? `<= ${below.aim}` : '-',
        },
      ]
    }),
  ),
)
