// npm run db:seed: fills a development database with example machines, so that the market's pages have something to sort and filter.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import type { OfferTerms } from '@flow402/protocol/node'
import { generateKeyPairSigner } from '@solana/kit'
import { deriveMarketKeys } from '../lib/auth/market-keys.ts'
import { type Db, openDatabase } from '../lib/db/client.ts'
import { inviteNode } from '../lib/nodes/invite-node.ts'
import { enrolNode } from '../lib/offers/enrol-node.ts'
import { recordDoctor } from '../lib/offers/record-doctor.ts'
import { readRunning } from '../scripts/state.ts'

/** Price in atoms of USDC per unit and hour. They are never online: nothing answers for them, nothing can be rented from them. */
const machines: { name: string; region: string; units: number; ramMb: number; cpuMillis: number; diskMb: number; price: string }[] = [
  { name: 'example shelf', region: 'eu-north', units: 24, ramMb: 1024, cpuMillis: 250, diskMb: 4096, price: '2500' },
  { name: 'example attic', region: 'eu-west', units: 6, ramMb: 4096, cpuMillis: 1000, diskMb: 16_384, price: '9000' },
  { name: 'example rack', region: 'us-east', units: 64, ramMb: 1024, cpuMillis: 500, diskMb: 2048, price: '4200' },
  { name: 'example workstation', region: 'ap-south', units: 2, ramMb: 16_384, cpuMillis: 4000, diskMb: 65_536, price: '38000' },
]

/** Adds the machines that are not there yet; answers how many it added. */
export async function seed(db: Db): Promise<number> {
  const there = new Set((await db.selectFrom('node').select('name').execute()).map(({ name }) => name))
  const missing = machines.filter(({ name }) => !there.has(name))
  for (const machine of missing) await addMachine(db, machine)
  return missing.length
}

async function addMachine(db: Db, machine: (typeof machines)[number]): Promise<void> {
  const now = () => Date.now()
  const offer: OfferTerms = {
    kind: 'ram',
    unitsTotal: machine.units,
    perUnit: { ramMb: machine.ramMb, cpuMillis: machine.cpuMillis, diskMb: machine.diskMb },
    priceAtomsPerHour: machine.price,
    minMinutes: 1,
    maxMinutes: 1440,
  }
  const { x = '' } = generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' })
  const keys = deriveMarketKeys(randomBytes(32).toString('base64url'))
  const token = await inviteNode(db, { nowMs: now() })
  const payoutAddress = (await generateKeyPairSigner()).address
  const { name, region } = machine
  const { nodeId } = await enrolNode({ db, now, keys, tunnelUrl: '' }, { token, publicKey: x, name, region, payoutAddress, offer })
  await recordDoctor({ db }, nodeId, {
    ok: true,
    at: now(),
    agentVersion: 'example',
    engine: 'example',
    isolation: 'container',
    network: 'none',
    ramMb: machine.ramMb * machine.units,
    cpuMillis: machine.cpuMillis * machine.units,
    diskMb: machine.diskMb * machine.units,
    checks: [],
  })
}

if (import.meta.main) {
  const databaseUrl = process.env.DATABASE_URL ?? readRunning()?.databaseUrl
  if (process.env.FLOW402_ENV === 'mainnet') {
    console.error('Example machines do not belong on a market with real money.')
    process.exit(1)
  }
  if (!databaseUrl) {
    console.error('No market runs from this clone: start it with npm run up, or name a migrated database with DATABASE_URL.')
    process.exit(1)
  }
  const db = openDatabase(databaseUrl, { max: 2 })
  console.log(`${await seed(db)} example machines added.`)
  await db.destroy()
}
