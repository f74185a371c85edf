// A market in this process, without containers: its database, its chain and its payments are real, its machines are in memory, its time is the test's.
import { randomBytes } from 'node:crypto'
import { startLocalnet } from '@flow402/localnet/start'
import { newId } from '@flow402/protocol/id'
import type { OfferTerms } from '@flow402/protocol/node'
import { PaymentRequiredBody, type Rental, type RentalRequest, type RentalState } from '@flow402/protocol/rental'
import { marketClient } from '@flow402/sdk/client'
import { type PaidQuote, signPayment } from '@flow402/sdk/pay'
import { askFaucet, usdcBalance } from '@flow402/sdk/pay-test-wallet'
import { generateKeyPairSigner, type KeyPairSigner } from '@solana/kit'
import { decodePaymentRequiredHeader } from '@x402/core/http'
import { buildApi } from '../../api/app.ts'
import { startClock } from '../../clock/start-clock.ts'
import { machineEvents } from '../../gateway/machine-events.ts'
import { accessTokenFor } from '../../lib/auth/access-token.ts'
import { readEnv } from '../../lib/env.ts'
import { sumAccounts } from '../../lib/ledger/store.ts'
import { endDueRentals } from '../../lib/metering/end-due-rentals.ts'
import { inviteNode } from '../../lib/nodes/invite-node.ts'
import { markNodeSeen } from '../../lib/nodes/mark-node-seen.ts'
import { reconcilePayments } from '../../lib/payments/reconcile-payments.ts'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { signerFromSeed } from '../../lib/payments/x402-chain.ts'
import { assignRentals } from '../../lib/provisioning/assign-rentals.ts'
import { sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooks } from '../../lib/settlement/close-books.ts'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { reversePayments } from '../../lib/settlement/reverse-payments.ts'
import { sendTransfers } from '../../lib/settlement/send-transfers.ts'
import { settleRentals } from '../../lib/settlement/settle-rentals.ts'
import { openHouse } from '../../lib/wiring.ts'
import { freshDatabase } from './database.ts'
import { linkTo, type Machine, openMachine, passingDoctor, usualTerms } from './machine.ts'
import { runStatements } from './statements.ts'

const origin = 'http://market.test'
const walletAtoms = 100_000_000n

/** An answer of the API, its body read. */
export type Answered = { status: number; headers: Headers; body: Record<string, unknown>; text: string }
/** A request that was answered with 402, and everything needed to pay it. */
export type Quoted = { request: unknown; path: string; answer: Answered; paid: PaidQuote<'requestRental'> }
/** `viewUrl` is a second node of the same chain, with faults of its own. */
type Settings = (places: {
  databaseUrl: string
  rpcUrl: string
  viewUrl: string
}) => Promise<Record<string, string>> | Record<string, string>
export type TestHouse = Awaited<ReturnType<typeof openTestHouse>>

/**
 * Opens a market with one machine that is online and listed. Nothing happens by itself unless `clock` is true:
 * `tick` lets every timer run once, `until` ticks until a rental is where it should be, `advance` lets time pass.
 * `settings` adds to the environment once database and chain are there.
 */
export async function openTestHouse(
  options: {
    clock?: boolean
    terms?: Partial<OfferTerms>
    slotMs?: number
    finalitySlots?: number
    feeBps?: number
    settings?: Settings
  } = {},
) {
  const [database, chain] = await Promise.all([
    freshDatabase(),
    startLocalnet({ slotMs: options.slotMs ?? 100, finalitySlots: options.finalitySlots ?? 2, view: true }),
  ])
  const seed = () => randomBytes(32).toString('base64url')
  const secrets = { ESCROW_SECRET_KEY: seed(), FEE_PAYER_SECRET_KEY: seed(), FLOW402_SECRET: seed() }
  const [escrow, feePayer] = await Promise.all([signerFromSeed(secrets.ESCROW_SECRET_KEY), signerFromSeed(secrets.FEE_PAYER_SECRET_KEY)])
  const fee = await generateKeyPairSigner()
  const provider = await generateKeyPairSigner()
  await Promise.all([escrow, feePayer].map((signer) => askFaucet(chain.faucetUrl, signer.address, 0n)))

  let aheadMs = 0
  const now = () => Date.now() + aheadMs
  const env = readEnv({
    ...secrets,
    FLOW402_ENV: 'local',
    DATABASE_URL: database.url,
    SOLANA_RPC_URL: chain.rpcUrl,
    FAUCET_URL: chain.faucetUrl,
    FEE_ADDRESS: fee.address,
    FEE_BPS: String(options.feeBps ?? 500),
    ...(await options.settings?.({ databaseUrl: database.url, rpcUrl: chain.rpcUrl, viewUrl: chain.viewUrl })),
  })
  const machines: Machine[] = []
  const house = await openHouse(env, 'test', linkTo(machines), now)
  const events = machineEvents(house)
  const api = buildApi(house)
  const upSinceMs = now()
  const clock = options.clock ? startClock(house) : undefined

  /** Sends one request to the API as it would arrive over HTTP. */
  async function ask(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answered> {
    const init: RequestInit = { method, headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers } }
    if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body)
    const response = await api.request(`${origin}${path}`, init)
    const text = await response.text()
    const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '')
    return { status: response.status, headers: response.headers, text, body: isJson && text ? JSON.parse(text) : {} }
  }

  /** Enrols a machine over the API, passes its self-test and brings it online. */
  async function addMachine(terms: Partial<OfferTerms> = {}, name = 'desk'): Promise<Machine> {
    const offer = { ...usualTerms, ...terms }
    const machine = openMachine(now, (nodeId, report) => events.takeReport(nodeId, report))
    const token = await inviteNode(house.db, { nowMs: now() })
    const request = { token, publicKey: machine.publicKey, name, region: 'test', payoutAddress: provider.address, offer }
    const answer = await ask('POST', '/api/nodes/enrol', request)
    if (answer.status !== 201) throw new Error(`enrolment answered ${answer.status}: ${answer.text}`)
    machine.pin(answer.body as Parameters<Machine['pin']>[0])
    machines.push(machine)
    await events.connected(machine.nodeId)
    await machine.report({ kind: 'doctor', report: passingDoctor(offer, now()) })
    return machine
  }
  const machine = await addMachine(options.terms)

  /** A fresh wallet with SOL and test USDC. */
  async function wallet(usdcAtoms: bigint = walletAtoms): Promise<KeyPairSigner> {
    const signer = await generateKeyPairSigner()
    await askFaucet(chain.faucetUrl, signer.address, usdcAtoms)
    return signer
  }
  const renter = await wallet()

  /** A request for the first machine's offer. */
  const request = (changes: Partial<RentalRequest> = {}): RentalRequest => ({ offerId: machine.offerId, units: 1, minutes: 10, ...changes })

  /** Asks for a price; throws when the answer is not a 402. */
  async function quote(body: unknown = request(), path = '/api/rentals', headers: Record<string, string> = {}): Promise<Quoted> {
    // Machines that are online have been heard of all the while, however slowly a test goes on. A database that is away hears nothing.
    for (const each of machines) if (each.isConnected) await markNodeSeen(house, each.nodeId).catch(() => undefined)
    const answer = await ask('POST', path, body, headers)
    const header = answer.headers.get('payment-required')
    if (answer.status !== 402 || !header) throw new Error(`expected a 402 but got ${answer.status}: ${answer.text}`)
    const { rentalId, paymentId, expiresAt, price } = PaymentRequiredBody.parse(answer.body)
    const input = { body: body as RentalRequest }
    const paymentRequired = decodePaymentRequiredHeader(header)
    return { request: body, path, answer, paid: { name: 'requestRental', input, rentalId, paymentId, expiresAt, price, paymentRequired } }
  }

  /** Signs the payment of a quote with a wallet; answers the value of PAYMENT-SIGNATURE. Nothing is sent. */
  async function sign(quoted: Quoted, signer: KeyPairSigner = renter): Promise<string> {
    const limits = { network: env.network, maxAmountAtoms: walletAtoms, expectedMint: env.usdcMint, expectedPayTo: escrow.address }
    return (await signPayment(quoted.paid, { ...limits, signer, rpcUrl: chain.rpcUrl })).header
  }

  /** Sends a request with its payment. */
  function pay(body: unknown, header: string, path = '/api/rentals', headers: Record<string, string> = {}): Promise<Answered> {
    return ask('POST', path, body, { ...headers, 'payment-signature': header })
  }

  /** Rents: quote, sign, pay; throws unless it was answered 201. */
  async function rent(
    changes: Partial<RentalRequest> = {},
    signer: KeyPairSigner = renter,
  ): Promise<{ rental: Rental; accessToken: string }> {
    const quoted = await quote(request(changes))
    const answer = await pay(quoted.request, await sign(quoted, signer))
    if (answer.status !== 201) throw new Error(`expected a 201 but got ${answer.status}: ${answer.text}`)
    return answer.body as unknown as { rental: Rental; accessToken: string }
  }

  const bearer = (rentalId: string) => ({ authorization: `Bearer ${accessTokenFor(house.keys, rentalId)}` })
  const stop = (rentalId: string) => ask('POST', `/api/rentals/${rentalId}/stop`, undefined, bearer(rentalId))

  async function rental(rentalId: string): Promise<Rental> {
    const answer = await ask('GET', `/api/rentals/${rentalId}`, undefined, bearer(rentalId))
    if (answer.status !== 200) throw new Error(`rental ${rentalId} answered ${answer.status}: ${answer.text}`)
    return answer.body as unknown as Rental
  }

  /** Lets every timer run once, in the order in which a rental passes them, and the machines say what they have to say. */
  async function tick(): Promise<void> {
    const verbs = [
      reconcilePayments,
      assignRentals,
      sendUnsentOrders,
      () => endDueRentals(house, upSinceMs),
      scanEscrow,
      reversePayments,
      checkStatements,
      closeBooks,
      payOutEarnings,
      sendTransfers,
      settleRentals,
    ]
    for (const verb of verbs) {
      await (verb as (house: unknown) => Promise<unknown>)(house)
      await idle()
    }
  }

  async function idle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    for (const each of machines) await each.idle()
  }

  /** Waits until a rental is in a state, ticking meanwhile; throws after `timeoutMs` of real time with what it was instead. */
  async function until(rentalId: string, state: RentalState, timeoutMs = 30_000): Promise<Rental> {
    const giveUpAt = Date.now() + timeoutMs
    for (;;) {
      const found = await rental(rentalId)
      if (found.state === state) return found
      if (Date.now() > giveUpAt) throw new Error(`rental ${rentalId} is ${found.state}, not ${state}`)
      if (clock) await new Promise((resolve) => setTimeout(resolve, 50))
      else await tick()
    }
  }

  /** Rows of a query on the market's database, past all of its code. */
  const sql = (...statements: string[]) => runStatements(database.url, ...statements)

  /** Lets time pass for the market and its machines; the chain's own time does not move. Online machines send a heartbeat. */
  async function advance(ms: number): Promise<void> {
    aheadMs += ms
    for (const each of machines) if (each.isConnected) await each.heartbeat()
  }

  const paymentState = async (paymentId: string) => (await ask('GET', `/api/payments/${paymentId}`)).body.state

  /** Lets the reconciler work until a payment is decided; throws after 25 s of real time. */
  async function untilDecided(paymentId: string): Promise<unknown> {
    const giveUpAt = Date.now() + 25_000
    for (;;) {
      const state = await paymentState(paymentId)
      if (state !== 'claimed' && state !== 'submitted') return state
      if (Date.now() > giveUpAt) throw new Error(`payment ${paymentId} stays ${state}`)
      await advance(2_000)
      await tick()
    }
  }

  const usdcOf = (owner: string) => usdcBalance(chain.rpcUrl, env.usdcMint, owner)

  /** What each side holds on chain, in atoms. */
  async function balances() {
    const [inEscrow, inFee, ofProvider, ofRenter] = await Promise.all([escrow, fee, provider, renter].map((each) => usdcOf(each.address)))
    return { escrow: inEscrow ?? 0n, fee: inFee ?? 0n, provider: ofProvider ?? 0n, renter: ofRenter ?? 0n }
  }

  return {
    house,
    api,
    chain,
    env,
    databaseUrl: database.url,
    addresses: { escrow: escrow.address, fee: fee.address, provider: provider.address, feePayer: feePayer.address },
    machine,
    machines,
    addMachine,
    events,
    wallet,
    renter,
    request,
    ask,
    quote,
    sign,
    pay,
    rent,
    bearer,
    stop,
    rental,
    tick,
    idle,
    until,
    usdcOf,
    balances,
    now,
    advance,
    paymentState,
    untilDecided,
    /** How many units of the first machine's offer are taken. */
    unitsReserved: async () => Number((await sql(`select units_reserved as n from offer where id = '${machine.offerId}'`))[0]?.n),
    /** The ledger's sums per account; they always add up to zero. */
    ledger: () => sumAccounts(house.db),
    sql,
    /** The typed client over this API. */
    client: (accessToken?: string) =>
      marketClient({
        baseUrl: origin,
        fetch: (async (url, init) => api.request(String(url), init)) as typeof fetch,
        ...(accessToken ? { accessToken } : {}),
      }),
    unknownId: newId,
    async close(): Promise<void> {
      await clock?.stop()
      await house.close()
      await Promise.all([chain.stop(), database.drop()])
    },
  }
}
