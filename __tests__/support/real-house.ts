// A whole market with nothing faked but the chain: server and agent are processes of their own that a test may kill, containers are real.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startLocalnet } from '@flow402/localnet/start'
import type { NetworkView } from '@flow402/protocol/network'
import type { OfferPage } from '@flow402/protocol/offer'
import type { Receipt } from '@flow402/protocol/receipt'
import type { CreatedRental, ExecRequest, ExecResult, Rental, RentalRequest, RentalState } from '@flow402/protocol/rental'
import { askFaucet, usdcBalance } from '@flow402/sdk/pay-test-wallet'
import { generateKeyPairSigner, type KeyPairSigner } from '@solana/kit'
import { x402Client } from '@x402/core/client'
import { x402HTTPClient } from '@x402/core/http'
import { ExactSvmScheme } from '@x402/svm/exact/client'
import type { CrashName } from '../../lib/crash.ts'
import { openDatabase } from '../../lib/db/client.ts'
import { sumAccounts } from '../../lib/ledger/store.ts'
import { inviteNode } from '../../lib/nodes/invite-node.ts'
import { signerFromSeed } from '../../lib/payments/x402-chain.ts'
import { buildPages, pagesDir } from '../../scripts/build-pages.ts'
import { cloneDir } from '../../scripts/state.ts'
import { freshDatabase } from './database.ts'

const run = promisify(execFile)
const readyWithinMs = 60_000

/** What a renter holds after paying. */
export type Rented = { id: string; accessToken: string; rental: Rental }
export type RealHouse = Awaited<ReturnType<typeof openRealHouse>>

/** Opens the whole market: database, chain, server (with built pages if asked for) and one enrolled agent with its own container engine. */
export async function openRealHouse(options: { units?: number; unitRamMb?: number; pages?: boolean } = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'flow402-house-'))
  const agentHome = join(dir, 'agent')
  const [database, chain, port] = await Promise.all([
    freshDatabase(),
    startLocalnet({ slotMs: 200 }),
    freePort(),
    options.pages && buildPages(),
  ])
  const url = `http://127.0.0.1:${port}`
  const seed = () => randomBytes(32).toString('base64url')
  const secrets = { FLOW402_SECRET: seed(), ESCROW_SECRET_KEY: seed(), FEE_PAYER_SECRET_KEY: seed() }
  const [escrow, feePayer] = await Promise.all([signerFromSeed(secrets.ESCROW_SECRET_KEY), signerFromSeed(secrets.FEE_PAYER_SECRET_KEY)])
  const [fee, provider] = await Promise.all([generateKeyPairSigner(), generateKeyPairSigner()])
  for (const signer of [escrow, feePayer, fee, provider]) await askFaucet(chain.faucetUrl, signer.address, 0n)
  const env = {
    ...secrets,
    PATH: process.env.PATH ?? '',
    HOME: dir,
    NODE_ENV: 'production',
    FLOW402_ENV: 'local',
    PORT: String(port),
    DATABASE_URL: database.url,
    SOLANA_RPC_URL: chain.rpcUrl,
    FAUCET_URL: chain.faucetUrl,
    FEE_ADDRESS: fee.address,
    FLOW402_NEXT_DIR: pagesDir,
    ROLE: options.pages ? 'all' : 'gateway,clock',
  } as NodeJS.ProcessEnv
  const db = openDatabase(database.url, { max: 2 })
  let server: ChildProcess | undefined
  let agent: ChildProcess | undefined
  const agentArgs = (command: string, ...more: string[]) => [
    join(cloneDir, 'packages/agent/src/main.ts'),
    command,
    '--home',
    agentHome,
    ...more,
  ]

  /** Starts the server; with a crash name it kills itself with SIGKILL at that point. Resolves when the API answers. */
  async function startServer(crash?: CrashName): Promise<void> {
    const child = spawn(process.execPath, ['server.ts'], {
      cwd: cloneDir,
      env: { ...env, ...(crash ? { FLOW402_CRASH_AT: crash } : {}) },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    server = child
    await waitFor('the server', async () => {
      if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
      return (await fetch(`${url}/api/health`).catch(() => undefined)) !== undefined
    })
  }

  async function startAgent(): Promise<void> {
    const child = spawn(process.execPath, agentArgs('run'), { env, stdio: ['ignore', 'pipe', 'inherit'] })
    agent = child
    let said = ''
    child.stdout.on('data', (chunk) => {
      said += chunk
    })
    await waitFor('the agent', async () => {
      if (child.exitCode !== null) throw new Error(`the agent ended with ${child.exitCode}: ${said}`)
      return said.includes('agent ready')
    })
  }

  async function end(child: ChildProcess | undefined, signal: NodeJS.Signals): Promise<void> {
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  await startServer()
  const terms = [
    '--price-atoms-per-hour',
    '600000',
    '--units',
    String(options.units ?? 4),
    '--unit-ram-mb',
    String(options.unitRamMb ?? 256),
  ]
  const place = ['--market', url, '--token', await inviteNode(db, { nowMs: Date.now() }), '--name', 'desk', '--region', 'test']
  await run(process.execPath, agentArgs('setup', ...place, '--payout', provider.address, '--unit-disk-mb', '128', ...terms), { env })
  await startAgent()
  const { stdout } = await run(process.execPath, agentArgs('engine').toSpliced(2, 0, 'status'), { env })
  const engineSocket = /socket=(\S+)/.exec(stdout)?.[1] ?? ''

  const network = (await (await fetch(`${url}/api/network`)).json()) as NetworkView
  const { items } = (await (await fetch(`${url}/api/offers`)).json()) as OfferPage
  const offerId = items[0]?.id
  if (!offerId) throw new Error('the agent’s offer is not listed')

  async function wallet(): Promise<KeyPairSigner> {
    const signer = await generateKeyPairSigner()
    await askFaucet(chain.faucetUrl, signer.address, 20_000_000n)
    return signer
  }
  const renter = await wallet()

  function payer(signer: KeyPairSigner = renter) {
    return new x402HTTPClient(
      new x402Client().register(network.network as `${string}:${string}`, new ExactSvmScheme(signer, { rpcUrl: network.rpcUrl })),
    )
  }

  function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  }

  const request = (changes: Partial<RentalRequest> = {}): RentalRequest => ({ offerId, units: 1, minutes: 10, ...changes })

  /** The header that pays for a request; nothing has been sent but the quote. */
  async function sign(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Record<string, string>> {
    const quote = await post(path, body, headers)
    if (quote.status !== 402) throw new Error(`expected a 402 but got ${quote.status}: ${await quote.text()}`)
    const client = payer()
    const required = client.getPaymentRequiredResponse((name) => quote.headers.get(name), await quote.json())
    return client.encodePaymentSignatureHeader(await client.createPaymentPayload(required))
  }

  async function rent(changes: Partial<RentalRequest> = {}): Promise<Rented> {
    const body = request(changes)
    const answer = await post('/api/rentals', body, await sign('/api/rentals', body))
    if (answer.status !== 201) throw new Error(`expected a 201 but got ${answer.status}: ${await answer.text()}`)
    return rentedFrom((await answer.json()) as CreatedRental)
  }

  const bearer = ({ accessToken }: Pick<Rented, 'accessToken'>) => ({ authorization: `Bearer ${accessToken}` })

  async function look(rented: Rented): Promise<Rental> {
    return (await fetch(`${url}/api/rentals/${rented.id}`, { headers: bearer(rented) })).json() as Promise<Rental>
  }

  /** Waits until the rental is in a state; throws with what it is after `timeoutMs`. */
  async function until(rented: Rented, state: RentalState, timeoutMs = 60_000): Promise<Rental> {
    let last = rented.rental
    const reached = async () => {
      last = await look(rented)
      return last.state === state
    }
    await waitFor(`rental ${state}`, reached, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${last.state} (${last.endReason} ${last.endDetail})`)
    })
    return last
  }

  async function exec(rented: Rented, argv: string[], more: Partial<ExecRequest> = {}): Promise<ExecResult> {
    const answer = await post(`/api/rentals/${rented.id}/exec`, { argv, ...more }, bearer(rented))
    if (answer.status !== 200) throw new Error(`exec answered ${answer.status}: ${await answer.text()}`)
    return answer.json() as Promise<ExecResult>
  }

  async function balances() {
    const [inEscrow, inFee, ofProvider, ofRenter] = await Promise.all(
      [escrow, fee, provider, renter].map((each) => usdcBalance(chain.rpcUrl, network.usdcMint, each.address)),
    )
    return { escrow: inEscrow ?? 0n, fee: inFee ?? 0n, provider: ofProvider ?? 0n, renter: ofRenter ?? 0n }
  }

  return {
    url,
    network,
    offerId,
    engineSocket,
    db,
    wallet,
    request,
    post,
    sign,
    rent,
    bearer,
    look,
    until,
    exec,
    balances,
    startServer,
    startAgent,
    stop: (rented: Rented) => post(`/api/rentals/${rented.id}/stop`, {}, bearer(rented)),
    receipt: async (rented: Rented) =>
      (await fetch(`${url}/api/rentals/${rented.id}/receipt`, { headers: bearer(rented) })).json() as Promise<Receipt>,
    /** Sum of every ledger account; all of them together are zero. */
    books: () => sumAccounts(db),
    /** Resolves when the server has ended by itself. */
    serverEnd: async () => {
      if (server && server.exitCode === null && server.signalCode === null) await once(server, 'exit')
      return server?.signalCode
    },
    killServer: () => end(server, 'SIGKILL'),
    killAgent: () => end(agent, 'SIGKILL'),
    /** Names of the containers that run now on this house's engine. */
    async containers(): Promise<string[]> {
      const { stdout: names } = await run('docker', ['-H', `unix://${engineSocket}`, 'ps', '--format', '{{.Names}}'])
      return names.split('\n').filter((name) => name.startsWith('flow402-rnt_'))
    },
    async close(): Promise<void> {
      await end(agent, 'SIGTERM')
      await end(server, 'SIGTERM')
      await run(process.execPath, agentArgs('engine').toSpliced(2, 0, 'stop'), { env })
      await db.destroy()
      await chain.stop()
      await database.drop()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}

/** What a 201 holds. */
export function rentedFrom(created: CreatedRental): Rented {
  return { id: created.rental.id, accessToken: created.accessToken, rental: created.rental }
}

/** Polls until `look` says true. */
export async function waitFor(what: string, look: () => Promise<boolean>, timeoutMs = readyWithinMs): Promise<void> {
  const giveUpAt = Date.now() + timeoutMs
  while (!(await look())) {
    if (Date.now() > giveUpAt) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

/** A port of the loopback that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))))
    })
  })
}
