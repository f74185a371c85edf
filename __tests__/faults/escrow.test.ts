// Faults 24, 28, 29 and 58: accounts that cannot be paid, a stolen key, a flood of dust, and books that are older than the chain.
import { closeUsdcAccount } from '@flow402/localnet/test-accounts'
import { askFaucet } from '@flow402/sdk/pay-test-wallet'
import { type Address, address, createSolanaRpc, type KeyPairSigner } from '@solana/kit'
import { findAssociatedTokenPda, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import { afterEach, expect, inject, onTestFinished, vi } from 'vitest'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { isFrozen } from '../../lib/payments/store-escrow.ts'
import { signerFromSeed } from '../../lib/payments/x402-chain.ts'
import { sendUnsentOrders } from '../../lib/provisioning/send-orders.ts'
import { checkStatements } from '../../lib/settlement/check-statements.ts'
import { closeBooks } from '../../lib/settlement/close-books.ts'
import { payOutEarnings } from '../../lib/settlement/pay-out-earnings.ts'
import { sendTransfers } from '../../lib/settlement/send-transfers.ts'
import { type House, openHouse } from '../../lib/wiring.ts'
import { planFault } from '../support/chain-fault.ts'
import { readHistory } from '../support/chain-history.ts'
import { checkMarket } from '../support/checker.ts'
import { fault, tally } from '../support/faults.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { linkTo } from '../support/machine.ts'
import { sendUsdc } from '../support/send-usdc.ts'
import { compareReserves, settleAll, tickUntil } from '../support/settle-all.ts'
import { runStatements } from '../support/statements.ts'

const adminToken = 'a'.repeat(43)
const price = 10_000n
let market: TestHouse
/** Opens the market of one fault. */
async function open(settings: Record<string, string> = {}): Promise<void> {
  market = await openTestHouse({ terms: { unitsTotal: 60 }, slotMs: 20, settings: () => ({ ADMIN_TOKEN: adminToken, ...settings }) })
}
afterEach(() => market?.close())

const debts = async (): Promise<Debt[]> => {
  const answer = await market.ask('GET', '/api/admin/debts', undefined, { authorization: `Bearer ${adminToken}` })
  if (answer.status !== 200) throw new Error(`debts answered ${answer.status}: ${answer.text}`)
  return (answer.body as { transfers: Debt[] }).transfers
}
type Debt = { kind: string; destination: string; amountAtoms: string; attempts: number; lastError: string | null; rentalId: string | null }

/** Rents, and uses five of the ten minutes: 5,000 atoms are charged. The rental runs. */
async function halfUsed(signer?: KeyPairSigner): Promise<string> {
  const { rental } = await market.rent({}, signer)
  await market.until(rental.id, 'running')
  await market.advance(300_000)
  await market.machine.use(rental.id, 300)
  return rental.id
}
const transfersOf = (rentalId: string) =>
  market.sql(`select kind::text, status::text, last_error from transfer where rental_id = '${rentalId}' order by kind`)
const fateOf = async (signature: string) => (await market.sql(`select fate from escrow_movement where signature = '${signature}'`))[0]?.fate
const toEscrow = (wallet: KeyPairSigner, atoms: bigint, memo?: string) =>
  sendUsdc({ rpcUrl: market.chain.rpcUrl, usdcMint: market.env.usdcMint }, wallet, {
    to: market.addresses.escrow,
    atoms,
    ...(memo === undefined ? {} : { memo }),
  })

async function hasAccount(owner: Address): Promise<boolean> {
  const [account] = await findAssociatedTokenPda({ owner, mint: address(market.env.usdcMint), tokenProgram: TOKEN_PROGRAM_ADDRESS })
  return (await createSolanaRpc(market.chain.rpcUrl).getAccountInfo(account, { encoding: 'base64' }).send()).value !== null
}

async function expectCleanAudit(): Promise<void> {
  const { body } = await market.ask('GET', '/api/admin/audit', undefined, { authorization: `Bearer ${adminToken}` })
  expect((body.lines as { code: string; wrong: string[] }[]).flatMap(({ code, wrong }) => wrong.map((text) => `${code} ${text}`))).toEqual(
    [],
  )
}

/** Everything that is logged as an alarm while `work` runs: the names of the events. */
async function alarmsDuring(work: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = []
  const said = vi.spyOn(console, 'error').mockImplementation((line: unknown) => void lines.push(String(line)))
  try {
    await work()
  } finally {
    said.mockRestore()
  }
  return lines
    .map((line) => JSON.parse(line) as { level: string; event: string })
    .flatMap(({ level, event }) => (level === 'error' ? [event] : []))
}

fault(24, 'the account of a refund is closed or frozen', async () => {
  await open()
  const words: string[] = []
  for (const how of ['closed', 'frozen'] as const) {
    const friend = await market.wallet(price)
    const id = await halfUsed(friend)
    if (how === 'closed') await closeUsdcAccount(market.chain.rpcUrl, friend)
    else await planFault(market.chain.rpcUrl, { freeze: friend.address })
    await market.stop(id)
    const refund = async () => (await debts()).find(({ kind, destination }) => kind === 'refund' && destination === friend.address)
    // Long enough for a second signature, and every look in between.
    await tickUntil(market, 'it was signed again', async () => ((await refund())?.attempts ?? 0) >= 2, {
      stepMs: 5_000,
      timeoutMs: 45_000,
    })
    const owed = await refund()
    expect(owed).toMatchObject({ amountAtoms: '5000', rentalId: id, lastError: expect.stringMatching(/\w/) })
    const [booked] = await market.sql(
      `select coalesce(sum(amount_atoms), 0)::text as atoms from ledger_entry where account = 'refund' and subject = '${id}'`,
    )
    expect(booked?.atoms).toBe('-5000')
    expect((await market.rental(id)).state).toBe('ending')
    expect(await market.usdcOf(friend.address)).toBe(0n)
    if (how === 'closed') expect(await hasAccount(friend.address)).toBe(false)
    // Everybody else was paid, and all else agrees.
    const others = (await transfersOf(id)).filter(({ kind }) => kind !== 'refund')
    expect(others.map(({ status }) => status)).toEqual(['confirmed', 'confirmed'])
    await checkMarket(market, { isQuiet: false })
    expect((await compareReserves(market)).differenceAtoms).toBe(0n)

    if (how === 'closed') await askFaucet(market.chain.faucetUrl, friend.address, 0n)
    else await planFault(market.chain.rpcUrl, { thaw: friend.address })
    await tickUntil(market, 'it is paid', async () => (await market.rental(id)).state === 'settled', { stepMs: 30_000 })
    expect(await market.usdcOf(friend.address)).toBe(5_000n)
    words.push(`${how}: ${owed?.amountAtoms} atoms stayed owed and listed after ${owed?.attempts} signatures, paid once it could arrive`)
  }
  const { landedOut } = await settleAll(market)
  await expectCleanAudit()
  return `${words.join('; ')}; ${landedOut} transfers, no account opened at our cost`
})

fault(29, 'a flood of unasked-for transfers to the escrow', async () => {
  await open()
  const spammers = await Promise.all(Array.from({ length: 5 }, () => market.wallet(10_000_000n)))
  const [booksBefore, pageAtMost] = [await market.ledger(), 100]
  const startedAtMs = Date.now()
  const settled: string[] = []
  // As long as it takes to see rentals through in the middle of it.
  const isFlooding = () => Date.now() < startedAtMs + 8_000 || (settled.length < 2 && Date.now() < startedAtMs + 40_000)
  let sent = 0
  let atoms = 0n
  const signatures = new Set<string>()
  const flood = Promise.all(
    spammers.map(async (spammer, lane) => {
      while (isFlooding()) {
        const amount = BigInt(1 + (sent++ % 1_999))
        signatures.add(await toEscrow(spammer, amount, `dust ${lane} ${sent}`))
        atoms += amount
      }
    }),
  )
  // Meanwhile the market goes on, and each look at the history is one page at most.
  const pages: number[] = []
  const took: number[] = []
  while (isFlooding()) {
    const { rental } = await market.rent()
    await market.until(rental.id, 'running')
    await market.stop(rental.id)
    settled.push((await market.until(rental.id, 'settled')).state)
    const startedAt = performance.now()
    const scanned = await scanEscrow(market.house)
    took.push(performance.now() - startedAt)
    pages.push(Object.values(scanned?.found ?? {}).reduce((sum, n) => sum + n, 0))
  }
  await flood
  const floodedMs = Date.now() - startedAtMs
  expect(signatures.size).toBeGreaterThan(200)
  const seen = async () => Number((await market.sql(`select count(*)::int as n from escrow_movement where fate = 'dust'`))[0]?.n)
  while ((await seen()) < signatures.size) {
    const scanned = await scanEscrow(market.house)
    pages.push(Object.values(scanned?.found ?? {}).reduce((sum, n) => sum + n, 0))
  }
  expect(Math.max(...pages)).toBeLessThanOrEqual(pageAtMost)
  expect(settled.length).toBeGreaterThan(1)
  expect(new Set(settled)).toEqual(new Set(['settled']))
  await settleAll(market)
  const books = await market.ledger()
  expect(books).toEqual({ ...booksBefore, escrow: booksBefore.escrow + atoms, unmatched: booksBefore.unmatched - atoms })
  const [answered] = await market.sql(
    `select count(*)::int as n from transfer where external_id in (select signature from escrow_movement where fate = 'dust')`,
  )
  expect(answered?.n).toBe(0)
  return `${signatures.size} transfers of dust in ${Math.round(floodedMs / 1000)} s: a look at the history took at most ${Math.max(...pages)} of them (${Math.round(Math.max(...took))} ms); ${settled.length} rentals paid and settled meanwhile; ${atoms} atoms in unmatched, ${answered?.n} transfers made for them`
})

const cap = 25_000n

/** What was signed within the last hour and can still be on its way or has arrived. */
const signedOut = async () =>
  BigInt(
    String(
      (
        await market.sql(
          `select coalesce(sum(amount_atoms), 0)::text as atoms from ledger_hold
           where kind <> 'charge' and created_at > to_timestamp(${market.now() / 1000 - 3_600})`,
        )
      )[0]?.atoms,
    ),
  )

fault(28, 'the key of the hot wallet is stolen', async () => {
  await open({ ESCROW_HOURLY_CAP_ATOMS: String(cap) })
  // What our own processes sign in an hour is bounded, however much is owed and however many there are.
  const second = await openHouse(market.env, 'second', linkTo(market.machines), market.now)
  let waiting: Debt[] = []
  let alarms: string[] = []
  try {
    const ids: string[] = []
    for (let n = 0; n < 5; n++) ids.push((await market.rent()).rental.id)
    for (const id of ids) await market.until(id, 'running')
    for (const id of ids) await market.stop(id)
    alarms = await alarmsDuring(async () => {
      await tickUntil(market, 'all books are closed', async () => {
        await Promise.all([sendTransfers(market.house), sendTransfers(second)])
        return (await market.sql(`select 1 from rental where books_closed_at is not null`)).length === ids.length
      })
      for (let beat = 0; beat < 5; beat++) {
        await market.advance(31_000)
        await Promise.all([market.tick(), sendTransfers(second), sendTransfers(market.house)])
      }
    })
    waiting = await debts()
    const signed = await signedOut()
    expect(signed).toBeLessThanOrEqual(cap)
    expect(signed).toBeGreaterThan(0n)
    expect(waiting.length).toBeGreaterThan(0)
    for (const { lastError } of waiting) expect(lastError).toMatch(/in an hour/)
    expect(alarms).toContain('hourly_cap_reached')
    await checkMarket(market, { isQuiet: false })
    let worst = signed
    await tickUntil(
      market,
      'the rest went out',
      async () => {
        await sendTransfers(second)
        const now = await signedOut()
        if (now > worst) worst = now
        return (await debts()).length === 0
      },
      { stepMs: 120_000, timeoutMs: 60_000 },
    )
    expect(worst).toBeLessThanOrEqual(cap)
  } finally {
    await second.close()
  }
  await settleAll(market)

  // Whoever has the key asks nobody. What is gone is seen, and nothing but what renters paid leaves any more.
  const id = await halfUsed()
  await tickUntil(
    market,
    'the payment is final',
    async () => (await market.sql(`select 1 from payment where rental_id = '${id}' and finalized_at is not null`)).length === 1,
  )
  const thief = await market.wallet(0n)
  const stolen = 4_000n
  const escrowKey = await signerFromSeed(market.env.escrowSecretKey)
  const place = { rpcUrl: market.chain.rpcUrl, usdcMint: market.env.usdcMint }
  const signature = await sendUsdc(place, escrowKey, { to: thief.address, atoms: stolen, memo: 'thanks' })
  await tickUntil(market, 'it is seen', async () => (await fateOf(signature)) === 'unexplained')
  let difference = 0n
  const theftAlarms = await alarmsDuring(async () => {
    difference = (await compareReserves(market)).differenceAtoms
  })
  expect(difference).toBe(-stolen)
  expect(theftAlarms).toContain('reserves_differ')
  expect(await isFrozen(market.house.db)).toBe(true)
  await market.stop(id)
  const statuses = async () => (await transfersOf(id)).map(({ kind, status }) => `${kind} ${status}`)
  await tickUntil(market, 'the refund is out', async () => (await statuses()).includes('refund confirmed'), { stepMs: 1_000 })
  for (let beat = 0; beat < 5; beat++) {
    await market.advance(60_000)
    await market.tick()
  }
  const end = await statuses()
  expect(end).toEqual(['fee owed', 'payout owed', 'refund confirmed'])
  expect(await market.usdcOf(thief.address)).toBe(stolen)
  // Everything else agrees: the one thing that does not is the theft, to the atom.
  const books = await market.ledger()
  await expect(checkMarket(market)).rejects.toThrow(
    new RegExp(`^1 things do not agree:\\n  the escrow holds ${books.escrow - stolen} atoms on chain, the ledger says ${books.escrow}$`),
  )
  return `own processes signed at most ${cap} atoms in an hour, two at once (${waiting.length} transfers waited and said why, alarm ${tally(alarms.filter((name) => name === 'hourly_cap_reached'))}); the thief's ${stolen} are ${await fateOf(signature)}, difference ${difference}, alarm ${theftAlarms.join(', ')}; then ${end.join(', ')}`
})

const admin = (...statements: string[]) => runStatements(inject('adminDatabaseUrl'), ...statements)
const name = () => new URL(market.databaseUrl).pathname.slice(1)
const backup = () => `${name()}_backup`

async function backUp(): Promise<void> {
  await admin(
    `drop database if exists ${backup()}`,
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name()}'`,
    `create database ${backup()} template ${name()}`,
  )
  await untilAnswers()
}
async function restore(): Promise<void> {
  await admin(`drop database ${name()} with (force)`, `create database ${name()} template ${backup()}`)
  await untilAnswers()
}
/** Every connection that was cut has noticed. */
const untilAnswers = () => expect.poll(async () => (await market.ask('GET', '/api/offers')).status).toBe(200)
/** What left the escrow under our names. */
const sentOut = async () =>
  (await readHistory(market.chain.rpcUrl, market.addresses.escrow, market.env.usdcMint)).filter(
    ({ deltas, failed }) => !failed && (deltas.get(market.addresses.escrow) ?? 0n) < 0n,
  ).length
const restarted = (work: (house: House) => Promise<void>) =>
  openHouse(market.env, 'restarted', linkTo(market.machines), market.now).then((house) => work(house).finally(() => house.close()))

fault(58, 'the database restored from a backup', async () => {
  await open()
  onTestFinished(async () => void (await admin(`drop database if exists ${backup()} with (force)`)))
  const words: string[] = []
  const running = await halfUsed()
  // Books that are closed, and nothing of them sent yet.
  const ended = await halfUsed()
  await market.stop(ended)
  const isClosed = async () => (await market.sql(`select 1 from rental where id = '${ended}' and books_closed_at is not null`)).length === 1
  await expect
    .poll(async () => {
      for (const verb of [sendUnsentOrders, scanEscrow, checkStatements, closeBooks, payOutEarnings] as const) await verb(market.house)
      await market.idle()
      return isClosed()
    })
    .toBe(true)
  await payOutEarnings(market.house)
  expect((await transfersOf(ended)).map(({ status }) => status)).toEqual(['owed', 'owed', 'owed'])
  await backUp()

  // The market goes on: what was owed is paid, and somebody new pays.
  await market.until(ended, 'settled')
  const paid = await market.balances()
  const friend = await market.wallet(price)
  const { rental: forgotten } = await market.rent({}, friend)
  await market.until(forgotten.id, 'running')
  const out = await sentOut()
  expect(out).toBe(3)
  await restore()
  expect((await transfersOf(ended)).map(({ status }) => status)).toEqual(['owed', 'owed', 'owed'])

  await restarted(async (house) => {
    // Whatever order the timers run in: nothing is sent on the word of books that were not held against the chain since the start.
    expect(await sendTransfers(house)).toBe(0)
    expect(await sentOut()).toBe(out)
    for (let beat = 0; beat < 3; beat++) await scanEscrow(house)
    const check = await compareReserves(market)
    expect(check).toMatchObject({ differenceAtoms: 0n, waitingAtoms: price })
    expect((await transfersOf(ended)).map(({ status }) => status)).toEqual(['confirmed', 'confirmed', 'confirmed'])
    words.push(
      `${out} transfers from after the backup recognised by their memos, difference ${check.differenceAtoms} before anything was sent`,
    )
  })
  await market.until(ended, 'settled')
  expect((await market.balances()).provider).toBe(paid.provider)
  expect(await sentOut()).toBe(out)
  // Nobody knows the new rental any more: its money goes back.
  expect((await market.ask('GET', `/api/rentals/${forgotten.id}`, undefined, market.bearer(forgotten.id))).status).toBe(404)
  await market.advance(200_000)
  await tickUntil(market, 'the new payment is back', async () => (await market.usdcOf(friend.address)) === price, { stepMs: 1_000 })
  await market.stop(running)
  const { landedIn, landedOut } = await settleAll(market)
  await expectCleanAudit()
  words.push(`the payment from after it went back whole; ${landedIn} in, ${landedOut} out, all agree`)

  // A rental that was paid and settled after the backup: its money has left already. Nobody gets it a second time.
  await backUp()
  const guest = await market.wallet(price)
  const gone = await halfUsed(guest)
  await market.stop(gone)
  await market.until(gone, 'settled')
  expect(await market.usdcOf(guest.address)).toBe(5_000n)
  const allOut = await sentOut()
  await restore()
  await restarted(async (house) => {
    for (let beat = 0; beat < 3; beat++) await scanEscrow(house)
    const { differenceAtoms } = await compareReserves(market)
    expect(differenceAtoms).toBe(-price)
    await market.advance(200_000)
    for (let beat = 0; beat < 10; beat++) {
      await market.advance(10_000)
      await scanEscrow(house)
      await sendTransfers(house)
    }
  })
  const listed = await debts()
  expect(listed).toMatchObject([{ kind: 'refund', amountAtoms: '10000', destination: guest.address }])
  expect(await market.usdcOf(guest.address)).toBe(5_000n)
  expect(await sentOut()).toBe(allOut)
  expect(await isFrozen(market.house.db)).toBe(true)
  words.push(`what came and left after it is an alarm (difference -${price}), listed and not paid a second time`)
  return words.join('; ')
})
