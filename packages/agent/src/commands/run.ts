// run: connects to the market and serves leases until it is told to stop; paid containers go on without it.

import { serveSession } from '../doors/routes.ts'
import { openTerminals } from '../doors/terminals.ts'
import { enginePaths, startEngine } from '../engine.ts'
import { prepareGround } from '../ground.ts'
import { openHome, readConfig } from '../home.ts'
import { openJournal } from '../journal.ts'
import { dropOldLogs } from '../kept-logs.ts'
import { keepLeases } from '../leases.ts'
import { marketWord } from '../market-word.ts'
import { leaseNetwork } from '../network.ts'
import { keepTunnel } from '../tunnel.ts'
import { recentReport } from './doctor.ts'

const forgetAfterMs = 7 * 24 * 3600_000

/** Answers the exit code after SIGTERM or SIGINT; one line per event on stdout. */
export async function runCommand(options: { home?: string; engineSocket?: string }): Promise<number> {
  const say = (line: string) => console.log(line)
  const home = openHome(options.home)
  const config = readConfig(home)
  if (!config) {
    console.error(`this home is not enrolled: run flow402-agent setup --home ${home.dir} first`)
    return 2
  }
  const journal = openJournal(home.path('journal.sqlite'))
  const stop = new AbortController()
  process.on('unhandledRejection', (error) => say(`unexpected: ${error instanceof Error ? error.stack : String(error)}`))
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())

  const { ground, image, engineAddress } = await prepareGround(home, say, options.engineSocket)
  const word = await marketWord(config.marketPublicKey, config.nodeId)
  const terminals = openTerminals(ground.runtime)
  // many leases may miss the engine at once; it is started once
  let restarting: Promise<unknown> | null = null
  const leases = keepLeases({
    home,
    nodeId: config.nodeId,
    ground,
    baseImage: image,
    network: leaseNetwork,
    journal,
    say,
    onEnded: terminals.closeRental,
    onEngineDown: () => {
      if (engineAddress !== enginePaths(home).socket) return Promise.resolve()
      restarting ??= startEngine(home, say).finally(() => {
        restarting = null
      })
      return restarting
    },
  })
  // leases first: what is paid for goes on before anything else is checked
  await leases.recover()
  const report = await recentReport(home, ground, image, say)
  const tidy = () => {
    journal.forget(Date.now() - forgetAfterMs)
    dropOldLogs(home)
  }
  tidy()
  const tidying = setInterval(tidy, 3600_000)

  const onDoctorAccepted = () => say(`agent ready node=${config.nodeId}`)
  const doors = { home, runtime: ground.runtime, leases, word, terminals, say, journal, doctor: () => report, onDoctorAccepted }
  await keepTunnel(
    {
      url: config.tunnelUrl,
      nodeId: config.nodeId,
      identity: home.identity,
      say,
      onSession: (session, heartbeatMs) => {
        say('tunnel connected')
        return serveSession(doors, session, heartbeatMs)
      },
    },
    stop.signal,
  )
  clearInterval(tidying)
  leases.close()
  terminals.close()
  journal.close()
  say('agent stopped; paid containers run on until their deadline')
  return 0
}
