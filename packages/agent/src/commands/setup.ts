// setup: makes the key, an engine and the base image, examines the machine, and enrols it with the market once.
import { availableParallelism, freemem } from 'node:os'
import { Enrolment, EnrolRequest } from '@flow402/protocol/node'
import { z } from 'zod'
import { prepareGround } from '../ground.ts'
import { openHome, readConfig, writeConfig } from '../home.ts'
import { examineAndKeep } from './doctor.ts'

export type SetupOptions = {
  home?: string
  engineSocket?: string
  market: string
  token: string
  name: string
  region: string
  payout: string
  payoutMinAtoms: string
  payoutIntervalMinutes: string
  priceAtomsPerHour: string
  units?: string
  unitRamMb: string
  unitCpuMillis: string
  unitDiskMb: string
  minMinutes: string
  maxMinutes: string
}

/** Answers the exit code. Enrolled already: checks the machine again and leaves the enrolment as it is. */
export async function setupCommand(options: SetupOptions): Promise<number> {
  const say = (line: string) => console.log(line)
  const home = openHome(options.home)
  const { ground, image, engineAddress } = await prepareGround(home, say, options.engineSocket)
  say(`engine ${engineAddress}, base image ${image}`)
  const report = await examineAndKeep(home, ground, image, say)
  if (!report.ok) {
    say('setup stops here: the checks above must pass before this machine may be listed')
    return 1
  }
  const before = readConfig(home)
  if (before) {
    say(`already enrolled with ${before.market} as ${before.nodeId} (offer ${before.offerId})`)
    return 0
  }
  const unitRamMb = Number(options.unitRamMb)
  const unitsTotal = options.units ? Number(options.units) : Math.min(64, Math.max(1, Math.floor(freemem() / 2 / 1024 / 1024 / unitRamMb)))
  const request = EnrolRequest.safeParse({
    token: options.token,
    publicKey: home.identity.publicKey,
    name: options.name,
    region: options.region,
    payoutAddress: options.payout,
    payout: { minAtoms: options.payoutMinAtoms, intervalSeconds: Number(options.payoutIntervalMinutes) * 60 },
    offer: {
      kind: 'ram',
      unitsTotal,
      perUnit: { ramMb: unitRamMb, cpuMillis: Number(options.unitCpuMillis), diskMb: Number(options.unitDiskMb) },
      priceAtomsPerHour: options.priceAtomsPerHour,
      minMinutes: Number(options.minMinutes),
      maxMinutes: Number(options.maxMinutes),
    },
  })
  if (!request.success) {
    console.error(z.prettifyError(request.error))
    return 2
  }
  const cpuOrdered = unitsTotal * Number(options.unitCpuMillis)
  if (cpuOrdered > availableParallelism() * 1000) {
    say(
      `note: ${unitsTotal} units promise ${cpuOrdered / 1000} CPUs together, this machine has ${availableParallelism()}: full rentals share them`,
    )
  }
  const market = options.market.replace(/\/$/, '')
  const response = await fetch(`${market}/api/nodes/enrol`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request.data),
    signal: AbortSignal.timeout(30_000),
  })
  if (response.status !== 201) {
    console.error(`the market refused the enrolment (${response.status}): ${(await response.text()).slice(0, 500)}`)
    return 1
  }
  const enrolment = Enrolment.parse(await response.json())
  const { name, region, payoutAddress, offer } = request.data
  writeConfig(home, { market, ...enrolment, name, region, payoutAddress, offer })
  say(`enrolled with ${market} as ${enrolment.nodeId} (offer ${enrolment.offerId}, ${unitsTotal} units)`)
  return 0
}
