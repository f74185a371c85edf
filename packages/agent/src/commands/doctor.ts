// doctor: proves on real containers that this machine fences them.
import { existsSync, readFileSync } from 'node:fs'
import { DoctorReport } from '@flow402/protocol/node'
import { bootId } from '../clock.ts'
import { examine, removeDoctorRemains } from '../doctor.ts'
import { prepareGround } from '../ground.ts'
import { agentVersion, type Home, openHome, writeWhole } from '../home.ts'
import { leaseNetwork } from '../network.ts'

const freshMs = 24 * 3600_000

/** Runs the checks and prints them; with `json` only the report. Answers the exit code. */
export async function doctorCommand(options: { home?: string; json?: boolean; engineSocket?: string }): Promise<number> {
  const home = openHome(options.home)
  const say = options.json ? () => undefined : (line: string) => console.log(line)
  const { ground, image } = await prepareGround(home, say, options.engineSocket)
  const report = await examineAndKeep(home, ground, image, say)
  if (options.json) console.log(JSON.stringify(report, null, 2))
  else console.log(report.ok ? 'doctor: all checks passed' : 'doctor: this machine must not be listed')
  return report.ok ? 0 : 1
}

/** Examines this machine and keeps the report, so that `run` need not repeat it at every start. */
export async function examineAndKeep(
  home: Home,
  ground: Parameters<typeof examine>[1],
  image: string,
  say: (line: string) => void,
): Promise<DoctorReport> {
  await removeDoctorRemains(home, ground)
  const report = await examine(home, ground, image, leaseNetwork, say)
  writeWhole(home.path('doctor.json'), JSON.stringify({ bootId: bootId(), report }))
  return report
}

/** The kept report while it still speaks of this boot, this engine and this version and is less than a day old; else a new examination. */
export async function recentReport(
  home: Home,
  ground: Parameters<typeof examine>[1],
  image: string,
  say: (line: string) => void,
): Promise<DoctorReport> {
  const file = home.path('doctor.json')
  if (existsSync(file)) {
    const kept = JSON.parse(readFileSync(file, 'utf8')) as { bootId: string; report: unknown }
    const parsed = DoctorReport.safeParse(kept.report)
    if (parsed.success && parsed.data.ok && kept.bootId === bootId() && parsed.data.agentVersion === agentVersion) {
      const sameEngine = parsed.data.engine === (await ground.runtime.engine()).name.slice(0, 100)
      if (sameEngine && Date.now() - parsed.data.at < freshMs) return parsed.data
    }
  }
  return examineAndKeep(home, ground, image, say)
}
