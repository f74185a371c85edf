// A market of several server processes on one database and one chain, each behind chaos proxies of its own; its machines are in memory.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { startLocalnet } from '@flow402/localnet/start'
import type { OfferTerms } from '@flow402/protocol/node'
import { PaymentRequiredBody, type Rental, type RentalRequest, type RentalState } from '@flow402/protocol/rental'
import { askFaucet, usdcBalance } from '@flow402/sdk/pay-test-wallet'
import { generateKeyPairSigner, type KeyPairSigner } from '@solana/kit'
import { decodePaymentRequiredHeader } from '@x402/core/http'
import { accessTokenFor } from '../../lib/auth/access-token.ts'
import { deriveMarketKeys } from '../../lib/auth/market-keys.ts'
import type { CrashName } from '../../lib/crash.ts'
import { openDatabase } from '../../lib/db/client.ts'
import { readEnv } from '../../lib/env.ts'
import { inviteNode } from '../../lib/nodes/invite-node.ts'
import { signerFromSeed } from '../../lib/payments/x402-chain.ts'
import { cloneDir } from '../../scripts/state.ts'
import { type ChaosProxy, proxyBefore } from './chaos-proxy.ts'
import { type Checked, checkMarket, untilQuiet } from './checker.ts'
import { freshDatabase } from './database.ts'
import { type Forgery, forgePayment } from './forged-payment.ts'
import type { Answered, Quoted } from './house.ts'
import { usualTerms } from './machine.ts'
import { freePort, waitFor } from './real-house.ts'
import { runStatements } from './statements.ts'
import { connectMachine, type TunnelMachine } from './tunnel-machine.ts'

const walletAtoms = 100_000_000n
const linesKept = 60

/** How a server process is started: its ROLE, and the named point at which it kills itself. */
type Start = { role?: string; crash?: CrashName }
export type Replica = Awaited<ReturnType<typeof openReplica>>
export type ReplicaHouse = Awaited<ReturnType<typeof openReplicaHouse>>

export type ReplicaHouseOptions = {
  /** One ROLE per server process; the first one is where the machines connect, so it needs `gateway`. */
  roles?: string[]
  terms?: Partial<OfferTerms>
  slotMs?: number
  /** Adds to the environment of every replica, once database and chain are there. */
  settings?: (places: { databaseUrl: string; rpcUrl: string }) => Record<string, string>
  /** A migrated database that is not in the PostgreSQL of the run; the caller ends it. */
  databaseUrl?: string
}

/**
 * Opens the market with one machine that is online and listed. All replicas have the same secrets. Nothing is faked but the machines'
 * containers and the chain's validators; time is the real one.
 */
export async function openReplicaHouse(options: ReplicaHouseOptions = {}) {
  const [database, chain] = await Promise.all([
    options.databaseUrl ? { url: options.databaseUrl, drop: async () => undefined } : freshDatabase(),
    startLocalnet({ slotMs: options.slotMs ?? 100 }),
  ])
  const seed = () => randomBytes(32).toString('base64url')
  const secrets = { FLOW402_SECRET: seed(), ESCROW_SECRET_KEY: seed(), FEE_PAYER_SECRET_KEY: seed() }
  const [escrow, feePayer] = await Promise.all([signerFromSeed(secrets.ESCROW_SECRET_KEY), signerFromSeed(secrets.FEE_PAYER_SECRET_KEY)])
  const [fee, provider] = await Promise.all([generateKeyPairSigner(), generateKeyPairSigner()])
  for (const signer of [escrow, feePayer, fee, provider]) await askFaucet(chain.faucetUrl, signer.address, 0n)
  const settings = {
    ...secrets,
    NODE_ENV: 'production',
    FLOW402_ENV: 'local',
    FEE_ADDRESS: fee.address,
    ...options.settings?.({ databaseUrl: database.url, rpcUrl: chain.rpcUrl }),
  }
  const env = readEnv({ ...settings, DATABASE_URL: database.url, SOLANA_RPC_URL: chain.rpcUrl })
  const keys = deriveMarketKeys(secrets.FLOW402_SECRET)
  const replicas: Replica[] = []
  for (const role of options.roles ?? ['gateway,clock', 'clock'])
    replicas.push(await openReplica({ role, settings, databaseUrl: database.url, rpcUrl: chain.rpcUrl }))
  await Promise.all(replicas.map((replica) => replica.start()))
  const [first] = replicas as [Replica, ...Replica[]]
  const machines: TunnelMachine[] = []

  /** Rows of a query on the market's database, past all of its code. */
  const sql = (...statements: string[]) => runStatements(database.url, ...statements)

  /** Enrols a machine at the first replica and waits until its offer is listed. */
  async function addMachine(terms: Partial<OfferTerms> = {}, name = 'desk'): Promise<TunnelMachine['machine']> {
    const db = openDatabase(database.url, { max: 1 })
    const token = await inviteNode(db, { nowMs: Date.now() }).finally(() => db.destroy())
    const offer = { ...usualTerms, ...terms }
    const opened = await connectMachine({ url: first.url, token, name, payoutAddress: provider.address, offer })
    machines.push(opened)
    const listed = async () => (await sql(`select 1 from offer where id = '${opened.machine.offerId}' and published`)).length > 0
    await waitFor('the machine to be listed', listed)
    return opened.machine
  }
  const machine = await addMachine(options.terms)

  /** A fresh wallet with SOL and test USDC. */
  async function wallet(usdcAtoms: bigint = walletAtoms): Promise<KeyPairSigner> {
    const signer = await generateKeyPairSigner()
    await askFaucet(chain.faucetUrl, signer.address, usdcAtoms)
    return signer
  }
  const renter = await wallet()

  /** Sends one request to a replica; rejects when the connection breaks. */
  async function ask(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    to: Replica = first,
  ): Promise<Answered> {
    const init: RequestInit = { method, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers } }
    if (body !== undefined) init.body = JSON.stringify(body)
    const response = await fetch(`${to.url}${path}`, init)
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, text, body: isJson && text ? JSON.parse(text) : {} }
  }

  /** A request for the first machine's offer: 10,000 atoms unless changed. */
  const request = (changes: Partial<RentalRequest> = {}): RentalRequest => ({ offerId: machine.offerId, units: 1, minutes: 10, ...changes })

  /** Asks for a price; throws when the answer is not a 402. */
  async function quote(
    body: unknown = request(),
    to: Replica = first,
    path = '/api/rentals',
    headers: Record<string, string> = {},
  ): Promise<Quoted> {
    const answer = await ask('POST', path, body, headers, to)
    const header = answer.headers.get('payment-required')
    if (answer.status !== 402 || !header) throw new Error(`expected a 402 but got ${answer.status}: ${answer.text}`)
    const { rentalId, paymentId, expiresAt, price } = PaymentRequiredBody.parse(answer.body)
    const paymentRequired = decodePaymentRequiredHeader(header)
    const input = { body: body as RentalRequest }
    return { request: body, path, answer, paid: { name: 'requestRental', input, rentalId, paymentId, expiresAt, price, paymentRequired } }
  }

  /** Signs the payment of a quote, honest unless a forgery is asked for; answers the value of PAYMENT-SIGNATURE. Nothing is sent. */
  const sign = (quoted: Quoted, signer: KeyPairSigner = renter, forgery: Forgery = {}): Promise<string> =>
    forgePayment(quoted.paid.paymentRequired, signer, chain.rpcUrl, forgery)

  /** Sends a request with its payment. */
  const pay = (quoted: Pick<Quoted, 'request' | 'path'>, header: string, to: Replica = first, headers: Record<string, string> = {}) =>
    ask('POST', quoted.path, quoted.request, { ...headers, 'payment-signature': header }, to)

  /** Sends the same payment again, past broken connections and 202 and 503, until it is answered with something else. */
  async function payUntilKnown(quoted: Pick<Quoted, 'request' | 'path'>, header: string, to: Replica = first, timeoutMs = 45_000) {
    for (const giveUpAt = Date.now() + timeoutMs; ; await sleep(100)) {
      const answer = await pay(quoted, header, to).catch(() => undefined)
      if (answer && answer.status !== 202 && answer.status < 500) return answer
      if (Date.now() > giveUpAt) throw new Error(`the payment stays ${answer?.status ?? 'unanswered'}: ${answer?.text}`)
    }
  }

  /** Rents: quote, sign, pay; throws unless it was answered 201. */
  async function rent(changes: Partial<RentalRequest> = {}, to: Replica = first): Promise<{ id: string; quoted: Quoted; header: string }> {
    const quoted = await quote(request(changes), to)
    const header = await sign(quoted)
    const answer = await pay(quoted, header, to)
    if (answer.status !== 201) throw new Error(`expected a 201 but got ${answer.status}: ${answer.text}`)
    return { id: quoted.paid.rentalId, quoted, header }
  }

  const bearer = (rentalId: string) => ({ authorization: `Bearer ${accessTokenFor(keys, rentalId)}` })
  const stop = (rentalId: string, to: Replica = first) => ask('POST', `/api/rentals/${rentalId}/stop`, undefined, bearer(rentalId), to)

  /** Waits in the database, which outlives every replica, until a rental is in a state. */
  async function until(rentalId: string, state: RentalState, timeoutMs = 45_000): Promise<void> {
    let last: unknown = 'not there'
    const reached = async () => {
      const [row] = await sql(`select status::text from rental where id = '${rentalId}'`)
      last = row?.status ?? 'not there'
      return last === state
    }
    await waitFor(`rental ${state}`, reached, timeoutMs).catch((error: Error) => {
      throw new Error(`${error.message}; it is ${last}`)
    })
  }

  const usdcOf = (owner: string) => usdcBalance(chain.rpcUrl, env.usdcMint, owner)

  /** What each side holds on chain, in atoms. */
  async function balances() {
    const [inEscrow, inFee, ofProvider, ofRenter] = await Promise.all([escrow, fee, provider, renter].map((each) => usdcOf(each.address)))
    return { escrow: inEscrow ?? 0n, fee: inFee ?? 0n, provider: ofProvider ?? 0n, renter: ofRenter ?? 0n }
  }

  /** Stops every rental that is still alive, as its renter would. */
  async function stopAll(): Promise<void> {
    const alive = await sql(`select id from rental where status in ('paid', 'starting', 'running')`)
    await Promise.all(alive.map(({ id }) => stop(String(id)).catch(() => undefined)))
  }

  const market = {
    databaseUrl: database.url,
    chain,
    env,
    addresses: { escrow: escrow.address, fee: fee.address, provider: provider.address },
  }
  return {
    ...market,
    replicas,
    first,
    machine,
    addMachine,
    wallet,
    renter,
    feePayer: feePayer.address,
    keys,
    ask,
    request,
    quote,
    sign,
    pay,
    payUntilKnown,
    rent,
    bearer,
    stop,
    stopAll,
    sql,
    until,
    usdcOf,
    balances,
    rental: async (rentalId: string, to: Replica = first) =>
      (await ask('GET', `/api/rentals/${rentalId}`, undefined, bearer(rentalId), to)).body as unknown as Rental,
    /** How many units of the first machine's offer are taken. */
    unitsReserved: async () => Number((await sql(`select units_reserved as n from offer where id = '${machine.offerId}'`))[0]?.n),
    /** Waits until nothing is under way, then checks chain and database. */
    async check(timeoutMs = 60_000): Promise<Checked> {
      await untilQuiet(market, { timeoutMs })
      return checkMarket(market)
    },
    /** Ends every rental, waits until everything is paid out, and checks; the escrow must be empty then. */
    async checkEmpty(timeoutMs = 60_000): Promise<Checked> {
      await stopAll()
      await untilQuiet(market, { timeoutMs, meanwhile: stopAllSlowly })
      const checked = await checkMarket(market)
      const left = (await balances()).escrow
      if (left !== 0n) throw new Error(`everything is settled and ${left} atoms are left in the escrow`)
      return checked
    },
    async close(): Promise<void> {
      await Promise.all(machines.map((each) => each.close()))
      await Promise.all(replicas.map((replica) => replica.close()))
      await chain.stop()
      await database.drop()
    },
  }

  async function stopAllSlowly(): Promise<void> {
    await sleep(100)
    await stopAll()
  }
}

/** One server process that is not running yet, on a port that it keeps, with its proxies to the database and to the chain. */
async function openReplica(place: { role: string; settings: Record<string, string>; databaseUrl: string; rpcUrl: string }) {
  const [database, chain, port] = await Promise.all([proxyBefore(place.databaseUrl), proxyBefore(place.rpcUrl), freePort()])
  const url = `http://127.0.0.1:${port}`
  const said: string[] = []
  let child: ChildProcess | undefined
  const hasEnded = () => !child || child.exitCode !== null || child.signalCode !== null

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (hasEnded() || !child) return
    const ended = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await ended
  }

  return {
    url,
    /** What lies between this process and the database, and between it and the chain. */
    database: database as ChaosProxy,
    chain: chain as ChaosProxy,
    /** What it printed on stderr last. */
    said: () => said.join(''),
    /** Starts it, or starts it again; resolves when its API answers. */
    async start({ role = place.role, crash }: Start = {}): Promise<void> {
      await end('SIGKILL')
      const started = spawn(process.execPath, ['server.ts'], {
        cwd: cloneDir,
        env: {
          ...place.settings,
          PATH: process.env.PATH ?? '',
          PORT: String(port),
          ROLE: role,
          DATABASE_URL: database.through(place.databaseUrl),
          SOLANA_RPC_URL: chain.through(place.rpcUrl),
          ...(crash ? { FLOW402_CRASH_AT: crash } : {}),
        } as unknown as NodeJS.ProcessEnv,
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child = started
      started.stderr.on('data', (chunk: Buffer) => {
        said.push(chunk.toString())
        if (said.length > linesKept) said.shift()
      })
      await waitFor('a replica', async () => {
        if (started.exitCode !== null) throw new Error(`the replica ended with ${started.exitCode}: ${said.join('')}`)
        // With a crash point it may be gone again before it was seen to answer.
        if (started.signalCode !== null && crash) return true
        return (await fetch(`${url}/api/network`).catch(() => undefined)) !== undefined
      })
    },
    isRunning: () => !hasEnded(),
    kill: () => end('SIGKILL'),
    /** Stands still in the middle of whatever it does, as a machine that is out of breath. */
    freeze: () => child?.kill('SIGSTOP'),
    thaw: () => child?.kill('SIGCONT'),
    /** Resolves with the signal when it has ended by itself. */
    async ended(withinMs = 30_000): Promise<NodeJS.Signals | null> {
      await waitFor('the replica to end', async () => hasEnded(), withinMs)
      return child?.signalCode ?? null
    },
    async close(): Promise<void> {
      await end('SIGKILL')
      await Promise.all([database.close(), chain.close()])
    },
  }
}
