// The whole house on one machine: database, local chain, server, and one provider's agent, started in order and ended in reverse.
import { rmSync } from 'node:fs'
import { createServer, isIP } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { enginePid, ensureEngine } from '@flow402/agent/engine'
import { openHome, readConfig, writeConfig } from '@flow402/agent/home'
import { dockerAnswers, dockerRuntime } from '@flow402/agent/runtimes/docker'
import { openDatabase } from '../lib/db/client.ts'
import { inviteNode } from '../lib/nodes/invite-node.ts'
import { buildPages, pagesDir } from './build-pages.ts'
import { migrateDatabase } from './migrate.ts'
import { startPostgres } from './postgres.ts'
import { addressOf, openSecrets } from './secrets.ts'
import {
  endAll,
  lastLines,
  logOf,
  processOf,
  runToEnd,
  type Service,
  ServiceFailed,
  type ServiceOptions,
  startService,
} from './services.ts'
import {
  cloneDir,
  forgetRunning,
  isAlive,
  lockHouse,
  markEnding,
  noteRunning,
  type RunningHouse,
  readRunning,
  stateDir,
  unlockHouse,
} from './state.ts'
import { missing, step } from './steps.ts'

const usdcMint = '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU'
const agentHome = () => stateDir('agent')
const agentProgram = join(cloneDir, 'packages/agent/src/main.ts')
/** $0.006 an hour for 1 GB with half a CPU: the order of the public RAM and vCPU prices. */
const priceAtomsPerHour = '6000'
/** How many restarts of one service in a minute come without a pause. */
const promptRestarts = 4
/** How long a run waits for the one before it, which is ending already. */
const endingMs = 30_000

/** A house that runs. `stop` ends everything that was started, newest first, and is safe to call twice. */
export type House = { running: RunningHouse; stop(): Promise<void> }

/** The port is taken, or the house runs already: what to do is in the message. */
export class CannotStart extends Error {}

/** Opens a way to raise the house and to end it at any moment, half started or not. */
export function prepareHouse(options: { port: number; isDevelopment: boolean }) {
  const stops: (() => Promise<unknown>)[] = []
  let stopping: Promise<void> | undefined
  const restarts = new Map<string, number[]>()
  let isOurs = false

  async function stop(): Promise<void> {
    if (!isOurs) return
    stopping ??= (async () => {
      markEnding()
      // What is being prepared would go on starting things.
      await endAll(['build', 'setup'])
      for (const end of stops.reverse()) await end().catch((error: Error) => console.error(error.message))
      await endAll()
      forgetRunning()
      unlockHouse()
    })()
    await stopping
  }

  /** What was started while the house was already ending is ended at once. */
  async function keep(end: () => Promise<unknown>): Promise<void> {
    if (stopping) await end()
    else stops.push(end)
    if (stopping) throw new Error('the house is ending')
  }

  /** npm leaves before the house that it ran has ended, so a run that follows closely waits for the one before. */
  async function takeClone(): Promise<void> {
    for (const deadline = Date.now() + endingMs; ; await delay(100)) {
      const other = lockHouse()
      if (!other) return
      if (other.isEnding && Date.now() < deadline) continue
      throw new CannotStart(`Flow402 already runs in this clone: ${readRunning()?.url ?? 'it is starting'} (process ${other.pid}).`)
    }
  }

  async function raise(): Promise<RunningHouse> {
    await takeClone()
    isOurs = true
    const host = isIP(process.env.HOST ?? '') ? (process.env.HOST ?? '') : '127.0.0.1'
    // What a killed run left still holds its port.
    await endAll()
    const port = await usablePort(options.port, host)
    const url = `http://${host === '127.0.0.1' || host === '0.0.0.0' ? 'localhost' : host}:${port}`
    const localUrl = `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`

    const { databaseUrl } = await step('database', async () => {
      const postgres = await startPostgres({ dataDir: stateDir('postgres') })
      await keep(postgres.stop)
      if (postgres.pid) keepDatabase(postgres)
      return { databaseUrl: postgres.url, detail: `PostgreSQL ${postgres.version} (${postgres.source})` }
    })
    await step('migrations', async () => {
      const applied = await migrateDatabase(databaseUrl)
      return { detail: applied.length === 0 ? 'up to date' : `applied ${applied.join(', ')}` }
    })
    const chain = await step('local chain', async () => {
      // A port of its own from the start: when it must be started again, everybody finds it where it was.
      const ownPort = await usablePort(0, '127.0.0.1')
      const service = await keepService({
        name: 'chain',
        args: [join(cloneDir, 'packages/localnet/src/main.ts'), '--data', stateDir('chain'), '--port', String(ownPort)],
        isReady: (printed) => printed.includes('"rpcUrl"') && printed.endsWith('\n'),
      })
      const line =
        service
          .printed()
          .split('\n')
          .find((each) => each.includes('"rpcUrl"')) ?? '{}'
      const { rpcUrl, faucetUrl } = JSON.parse(line) as { rpcUrl: string; faucetUrl: string }
      return { rpcUrl, faucetUrl, detail: `Solana with test USDC at ${rpcUrl}` }
    })
    const keys = await step('keys', async () => {
      const { secrets, isNew } = openSecrets()
      const [escrow, feePayer, fee, provider] = await Promise.all(
        [secrets.escrow, secrets.feePayer, secrets.fee, secrets.provider].map(addressOf),
      )
      const addresses = { escrow: `${escrow}`, feePayer: `${feePayer}`, fee: `${fee}`, provider: `${provider}` }
      for (const address of Object.values(addresses)) await openAccount(chain.faucetUrl, address)
      return { secrets, ...addresses, detail: isNew ? 'made, and their accounts opened' : 'kept' }
    })
    if (!options.isDevelopment) await step('pages', () => buildPages())
    stopIfEnding()

    const running: RunningHouse = {
      pid: process.pid,
      url,
      network: 'local',
      databaseUrl,
      rpcUrl: chain.rpcUrl,
      faucetUrl: chain.faucetUrl,
      usdcMint,
      escrowAddress: keys.escrow,
      feeAddress: keys.fee,
      providerAddress: keys.provider,
      agentHome: agentHome(),
      engineSocket: '',
      hasNode: true,
    }
    const serverEnv = {
      FLOW402_ENV: 'local',
      NODE_ENV: options.isDevelopment ? 'development' : 'production',
      PORT: String(port),
      HOST: host,
      DATABASE_URL: databaseUrl,
      SOLANA_RPC_URL: chain.rpcUrl,
      FAUCET_URL: chain.faucetUrl,
      FLOW402_SECRET: keys.secrets.market,
      ADMIN_TOKEN: keys.secrets.admin,
      ESCROW_SECRET_KEY: keys.secrets.escrow,
      FEE_PAYER_SECRET_KEY: keys.secrets.feePayer,
      FEE_ADDRESS: keys.fee,
      FLOW402_NEXT_DIR: options.isDevelopment ? '.flow402/next-dev' : pagesDir,
    }
    const startServer = (expectsNode: boolean) =>
      keepService({
        name: 'server',
        args: [join(cloneDir, 'server.ts')],
        env: { ...serverEnv, EXPECT_LOCAL_NODE: expectsNode ? '1' : '0' },
        isReady: (printed) => printed.includes('"event":"listening"'),
      })
    const server = await step('server', async () => ({ ...(await startServer(true)), detail: `${url}` }))
    // Once it is known where the house will be, a second command can say so.
    noteRunning(running)

    try {
      await startAgent(localUrl, databaseUrl, keys.provider)
      running.engineSocket = await ensureEngine(openHome(agentHome()), () => undefined)
    } catch (error) {
      if (!(error instanceof NoNode)) throw error
      stopIfEnding()
      missing(
        'local node',
        `${error.message}\nThe market runs without one. Run this again when an engine is there, or let another machine join: npm run invite`,
      )
      running.hasNode = false
      await server.stop()
      await step('server', async () => ({ ...(await startServer(false)), detail: 'restarted without a local node' }))
    }
    noteRunning(running)
    await step('health', () => untilHealthy(localUrl))
    return running
  }

  async function startAgent(url: string, databaseUrl: string, payoutAddress: string): Promise<void> {
    // Containers that nobody would look after end with the house, and an engine that was started for this clone with them.
    await keep(async () => {
      await endContainers()
      await runToEnd('engine', [agentProgram, 'engine', 'stop', '--home', agentHome()])
    })
    await enrol(url, databaseUrl, payoutAddress)
    await step('agent', async () => {
      const isReady = (printed: string) => printed.includes('agent ready node=')
      const args = [agentProgram, 'run', '--home', agentHome()]
      const agent = await keepService({ name: 'agent', args, isReady, readyWithinMs: 180_000 }).catch((error) => {
        throw error instanceof ServiceFailed && error.exitCode === 2 ? new NoNode(error.printed) : error
      })
      return { ...agent, detail: /node=(\S+)/.exec(agent.printed())?.[1] ?? '' }
    })
  }

  async function enrol(url: string, databaseUrl: string, payoutAddress: string): Promise<void> {
    const home = openHome(agentHome())
    const config = readConfig(home)
    const db = openDatabase(databaseUrl, { max: 2 })
    try {
      const isKnown = config && (await db.selectFrom('node').select('id').where('id', '=', config.nodeId).executeTakeFirst())
      if (config && isKnown) {
        // The house may have moved to another port since.
        const tunnelUrl = `${url.replace(/^http/, 'ws')}${new URL(config.tunnelUrl).pathname}`
        return writeConfig(home, { ...config, market: url, tunnelUrl })
      }
      if (config) rmSync(home.path('config.json'))
      const token = await inviteNode(db, { nowMs: Date.now() })
      await setUp(url, token, payoutAddress)
    } finally {
      await db.destroy()
    }
  }

  /** Runs the agent's own setup and shows its course as three steps. */
  async function setUp(url: string, token: string, payoutAddress: string): Promise<void> {
    const home = ['--home', agentHome()]
    const market = ['--market', url, '--token', token, '--name', 'this machine', '--region', 'local']
    const terms = ['--payout', payoutAddress, '--price-atoms-per-hour', priceAtomsPerHour]
    const lines: string[] = []
    let note: (text: string) => void = () => undefined
    const ended = runToEnd('setup', [agentProgram, 'setup', ...home, ...market, ...terms], {
      onLine(line) {
        lines.push(line)
        note(line)
      },
    })
    const until = async (pattern: RegExp, say: (text: string) => void) => {
      note = say
      for (;;) {
        const found = lines.find((line) => pattern.test(line))
        if (found) return { detail: found }
        const done = await Promise.race([ended, delay(50)])
        if (done && !lines.some((line) => pattern.test(line))) {
          stopIfEnding()
          if (done.exitCode === 2) throw new NoNode(done.printed)
          throw new Error(
            `the agent's setup failed (exit code ${done.exitCode}). The end of ${logOf('setup')}:\n${lastLines(done.printed)}`,
          )
        }
      }
    }
    await step('container engine', (say) => until(/^engine /, say))
    const proofs = () => lines.filter((line) => line.startsWith('ok ')).length
    await step('node self-test', async (say) => {
      await until(/^(enrolled|already enrolled)/, say)
      return { detail: `${proofs()} proofs on real containers` }
    })
    await step('enrol', (say) => until(/^(enrolled|already enrolled)/, say))
    await ended
  }

  /** A service that is started again whenever it ends by itself: at once the first times, then slower and slower. */
  async function keepService(service: ServiceOptions): Promise<Service> {
    let current: Service
    let isStopped = false
    const isOver = () => isStopped || stopping !== undefined
    const onEnd = (how: string) => {
      void keepTrying(service.name, how, isOver, async () => {
        current = await startService({ ...service, onEnd })
        if (isOver()) await current.stop()
      })
    }
    current = await startService({ ...service, onEnd })
    const end = async () => {
      isStopped = true
      await current.stop()
    }
    await keep(end)
    return { name: service.name, pid: current.pid, printed: () => current.printed(), stop: end }
  }

  /** The database may be one that an earlier run left: not a child of ours, so it is looked at; it comes back at the same address. */
  function keepDatabase(postgres: { pid: number; url: string }): void {
    let pid = postgres.pid
    let isTrying = false
    const timer = setInterval(async () => {
      if (stopping) return clearInterval(timer)
      if (isTrying || isAlive(pid)) return
      isTrying = true
      const how = `database (process ${pid}) ended unexpectedly`
      const port = Number(new URL(postgres.url).port)
      await keepTrying(
        'database',
        how,
        () => stopping !== undefined,
        async () => {
          pid = (await startPostgres({ dataDir: stateDir('postgres'), port })).pid
        },
      )
      isTrying = false
    }, 500)
    timer.unref()
  }

  /** Starts something again until it runs or the house ends; what people see is why and when. */
  async function keepTrying(name: string, how: string, isOver: () => boolean, start: () => Promise<void>): Promise<void> {
    let why = how
    while (!isOver()) {
      const pauseMs = pauseBefore(name)
      console.log(`! ${why}\n  starting ${name} again${pauseMs > 0 ? ` in ${pauseMs / 1000} s` : ''}`)
      await delay(pauseMs)
      if (isOver()) return
      try {
        await start()
        return console.log(`✓ ${name}: runs again`)
      } catch (error) {
        why = (error as Error).message
      }
    }
  }

  /** No pause for the first restarts of a minute, then twice as long each time, at most 15 s. */
  function pauseBefore(name: string): number {
    const now = Date.now()
    const recent = (restarts.get(name) ?? []).filter((at) => at > now - 60_000)
    restarts.set(name, [...recent, now])
    const extra = recent.length - promptRestarts
    return extra < 0 ? 0 : Math.min(500 * 2 ** extra, 15_000)
  }

  function stopIfEnding(): void {
    if (stopping) throw new Error('the house is ending')
  }

  return { raise, stop }
}

/** What runs where, for people. */
export function whatRunsWhere(running: RunningHouse): string[][] {
  const database = new URL(running.databaseUrl)
  const engine = running.hasNode ? enginePid(openHome(running.agentHome)) : null
  return [
    ['pages and API', `${running.url} (process ${processOf('server')})`],
    ['database', `${database.host}${database.pathname}`],
    ['chain RPC', `${running.rpcUrl} (process ${processOf('chain')})`],
    ['faucet', running.faucetUrl],
    ['agent', running.hasNode ? `${running.agentHome} (process ${processOf('agent')})` : 'no local node'],
    ['containers', running.hasNode ? `${running.engineSocket}${engine ? ` (private, process ${engine})` : ''}` : 'no engine'],
    ['logs', stateDir('logs')],
    ['keys', stateDir('secrets.json')],
  ]
}

/** Removes this clone's containers from an engine that is not its own and goes on without it. */
async function endContainers(): Promise<void> {
  const home = openHome(agentHome())
  const { engineSocket } = readRunning() ?? {}
  if (!engineSocket || enginePid(home) !== null || !(await dockerAnswers(engineSocket))) return
  const runtime = dockerRuntime(engineSocket)
  const containers = await runtime.list(`flow402.home=${home.id}`)
  await Promise.all(containers.map(({ id }) => runtime.remove(id)))
}

/** There is no container engine here; the message is the agent's own, with what to do. */
class NoNode extends Error {}

async function openAccount(faucetUrl: string, address: string): Promise<void> {
  const body = JSON.stringify({ address, usdcAtoms: '0' })
  const response = await fetch(faucetUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  if (!response.ok) throw new Error(`the faucet refused ${address}: ${await response.text()}`)
}

async function untilHealthy(url: string): Promise<{ detail: string }> {
  let last = 'no answer'
  for (const deadline = Date.now() + 90_000; Date.now() < deadline; await delay(100)) {
    const response = await fetch(`${url}/api/health`, { signal: AbortSignal.timeout(6_000) }).catch(() => undefined)
    if (!response) continue
    last = await response.text()
    if (response.status === 200) {
      const { checks } = JSON.parse(last) as { checks: Record<string, { detail: string }> }
      const parts = Object.entries(checks).map(([name, { detail }]) => `${name} ${detail}`)
      return { detail: parts.join(', ') }
    }
  }
  throw new Error(`${url}/api/health does not answer 200: ${last}`)
}

/** The port itself, or a free one for 0. */
async function usablePort(wanted: number, host: string): Promise<number> {
  return new Promise((done, fail) => {
    const probe = createServer()
    probe.once('error', (error: NodeJS.ErrnoException) => {
      const why = error.code === 'EADDRINUSE' ? 'is taken' : `cannot be used (${error.code})`
      fail(new CannotStart(`Port ${wanted} ${why}. Choose another one with PORT, for example: PORT=${wanted + 1} npm run up`))
    })
    probe.listen(wanted, host, () => {
      const address = probe.address()
      probe.close(() => done(typeof address === 'object' && address ? address.port : wanted))
    })
  })
}
