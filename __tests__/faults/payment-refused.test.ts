// Faults 4 to 10, 12 and 23: whatever is not exactly what was asked is refused before anything is claimed, and leaves no trace.

import { splitPrepaid } from '@flow402/protocol/money'
import type { Instruction, KeyPairSigner } from '@solana/kit'
import { getTransferCheckedInstruction, TOKEN_PROGRAM_ADDRESS } from '@solana-program/token'
import fc from 'fast-check'
import { afterAll, beforeAll, expect } from 'vitest'
import { readQuote, signQuote } from '../../lib/rentals/quote-token.ts'
import { type ChaosProxy, proxyBefore } from '../support/chaos-proxy.ts'
import { checkMarket, untilQuiet } from '../support/checker.ts'
import { fault, tally } from '../support/faults.ts'
import { encodeHeader, type Forgery, forgePayment } from '../support/forged-payment.ts'
import { openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'

const mainnet = 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp'
const token2022 = 'TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb'
const wrappedSol = 'So11111111111111111111111111111111111111112'
const blockhashSlots = 150
const slotMs = 20

let market: TestHouse
let stranger: KeyPairSigner
let wire: ChaosProxy
beforeAll(async () => {
  market = await openTestHouse({
    terms: { unitsTotal: 40 },
    slotMs,
    async settings({ rpcUrl }) {
      wire = await proxyBefore(rpcUrl)
      return { SOLANA_RPC_URL: wire.through(rpcUrl) }
    },
  })
  stranger = await market.wallet()
})
afterAll(async () => {
  await market?.close()
  await wire?.close()
})

async function traces(): Promise<unknown> {
  const [row] = await market.sql(
    `select (select count(*)::int from payment) as payments, (select count(*)::int from rental) as rentals,
     (select count(*)::int from ledger_transaction) as bookings, (select sum(units_reserved)::int from offer) as units`,
  )
  return { ...row, balances: await market.balances() }
}

const forge = (quoted: Quoted, forgery: Forgery = {}) =>
  forgePayment(quoted.paid.paymentRequired, market.renter, market.chain.rpcUrl, forgery)

/** Sends one payment, expects a refusal that left no trace, and answers it in short. */
async function refused(quoted: Quoted, header: string): Promise<string> {
  const before = await traces()
  const { status, body, text } = await market.pay(quoted.request, header)
  expect([402, 409, 410, 422], text).toContain(status)
  expect(body.code, text).toMatch(/^(payment|quote)_/)
  expect(await traces()).toEqual(before)
  return `${status} ${body.code}`
}

/** Each forgery of a fresh quote is refused; the same quote then takes an honest payment, so it was refused for its fault alone. */
async function allRefused(forgeries: ((quoted: Quoted) => Forgery | Promise<Forgery>)[]): Promise<string> {
  const answers: string[] = []
  for (const forgery of forgeries) {
    const quoted = await market.quote()
    answers.push(await refused(quoted, await forge(quoted, await forgery(quoted))))
    const honest = await market.pay(quoted.request, await forge(quoted))
    expect(honest.status, honest.text).toBe(201)
    await market.stop(quoted.paid.rentalId)
  }
  await check()
  return `${tally(answers)}; no trace, and the honest payment of each quote is taken`
}

async function check(): Promise<void> {
  await untilQuiet(market, { meanwhile: market.tick })
  await checkMarket(market)
}

fault(4, 'an atom less or more than asked', () =>
  allRefused([() => ({ amountAtoms: 9_999n }), () => ({ amountAtoms: 10_001n }), () => ({ amountAtoms: 0n })]),
)

fault(5, 'another mint, or one that takes a fee of every transfer', () =>
  allRefused([
    () => ({ mint: wrappedSol, decimals: 9 }),
    () => ({ mint: wrappedSol }),
    () => ({ tokenProgram: token2022 }),
    () => ({ decimals: 9 }),
  ]),
)

fault(6, 'a payment for another network', async () => {
  const outcome = await allRefused([() => ({ accepted: { network: mainnet } })])
  const quoted = await market.quote()
  const terms = await readQuote(market.house.keys, String(quoted.paid.paymentRequired.accepts[0]?.extra.quote))
  const foreign = await signQuote(market.house.keys, { ...terms, network: mainnet })
  const headers = [
    await forge(quoted, { accepted: { network: mainnet } }),
    await forge(quoted, { accepted: { network: mainnet }, acceptedExtra: { quote: foreign } }),
    await forge(quoted, { acceptedExtra: { quote: foreign } }),
  ]
  // Without any chain: that the network is wrong is known without asking one.
  wire.cut()
  const answers = await Promise.all(headers.map((header) => market.pay(quoted.request, header)))
  await wire.mend()
  for (const answer of answers) expect(answer.status, answer.text).toBe(422)
  return `${outcome}; with the chain cut off ${tally(answers.map(({ status, body }) => `${status} ${body.code}`))}`
})

fault(7, 'a payment to somebody else', () =>
  allRefused([
    () => ({ payTo: stranger.address }),
    () => ({ payTo: market.renter.address }),
    // The payee's wallet in place of its token account.
    () => ({ destination: market.addresses.escrow }),
    () => ({ accepted: { payTo: stranger.address } }),
    () => ({ payTo: stranger.address, accepted: { payTo: stranger.address } }),
  ]),
)

fault(8, 'a memo missing, twice, or of another quote', async () => {
  const other = await market.quote()
  return allRefused([
    () => ({ memos: [] }),
    () => ({ memos: ['hello'] }),
    (quoted) => ({ memos: [quoted.paid.paymentId, quoted.paid.paymentId] }),
    (quoted) => ({ memos: [quoted.paid.paymentId, 'and more'] }),
    () => ({ memos: [other.paid.paymentId] }),
    (quoted) => ({ memos: [`${quoted.paid.paymentId} `] }),
  ])
})

fault(9, 'instructions that drain the fee payer, or cannot be read offline', async () => {
  const before = await lamportsOf(market.addresses.feePayer)
  const outcome = await allRefused([
    () => ({ extra: (wallet, feePayer) => [lamportsFrom(feePayer, wallet.address)] }),
    () => ({ extra: (wallet) => [transferOf(wallet)] }),
    () => ({ microLamports: 10_000_000n }),
    () => ({ feePayer: stranger.address }),
    // The fee payer as an account of somebody else's program.
    () => ({ extra: (_, feePayer) => [callOf(stranger.address, feePayer)] }),
  ])
  const quoted = await market.quote()
  const payload = JSON.parse(Buffer.from(await forge(quoted), 'base64').toString())
  const bytes = Buffer.from(payload.payload.transaction, 'base64')
  // The last byte of a version 0 message is the count of its lookup tables.
  const withTable = Buffer.concat([bytes.subarray(0, -1), Buffer.from([1]), Buffer.alloc(32, 7), Buffer.from([1, 0, 0])])
  const table = await refused(quoted, encodeHeader({ ...payload, payload: { transaction: withTable.toString('base64') } }))
  // What it may cost: the network fee of the honest payments and of what settled them, and accounts for payees that had none.
  const spent = before - (await lamportsOf(market.addresses.feePayer))
  expect(spent).toBeLessThan(10_000_000n)
  return `${outcome}; lookup table ${table}; the fee payer spent ${spent} lamports, on the honest ones alone`
})

fault(10, 'the blockhash expired before the claim', async () => {
  const quoted = await market.quote()
  const header = await forge(quoted)
  const signedAt = await height()
  while ((await height()) <= signedAt + blockhashSlots) await new Promise((resolve) => setTimeout(resolve, slotMs))
  const outcome = await refused(quoted, header)
  const fresh = await market.pay(quoted.request, await forge(quoted))
  expect(fresh.status, fresh.text).toBe(201)
  await market.stop(quoted.paid.rentalId)
  await check()
  return `${outcome}, nothing claimed, reserved or charged; signed anew the same quote is ${fresh.status}`
})

fault(12, 'a quote used after a price change, after its time, by somebody else', async () => {
  const repriced = await market.quote()
  const header = await forge(repriced)
  await market.sql('update offer set price_atoms_per_hour = price_atoms_per_hour * 10')
  const frozen = await market.pay(repriced.request, header)
  await market.sql('update offer set price_atoms_per_hour = price_atoms_per_hour / 10')
  expect(frozen, frozen.text).toMatchObject({ status: 201, body: { rental: { prepaidAtoms: '10000', priceAtomsPerHour: '60000' } } })

  // Another wallet pays the quote that is paid already: it gets neither the rental nor its token, and keeps its money.
  const before = await market.usdcOf(stranger.address)
  const late = await market.pay(repriced.request, await forgePayment(repriced.paid.paymentRequired, stranger, market.chain.rpcUrl))
  expect(late, late.text).toMatchObject({ status: 409, body: { code: 'payment_already_used' } })
  expect(late.text).not.toContain('f402_')
  expect(await market.usdcOf(stranger.address)).toBe(before)

  const expiring = await market.quote()
  const tooLate = await forge(expiring)
  await market.advance(91_000)
  const expired = await refused(expiring, tooLate)
  expect(expired).toBe('410 quote_expired')
  await market.stop(repriced.paid.rentalId)
  await check()
  return `after a price change ${frozen.status} at the quoted ${(frozen.body.rental as { prepaidAtoms: string }).prepaidAtoms} atoms; by another wallet ${late.status} ${late.body.code}; after its time ${expired}`
})

fault(23, 'amounts that are negative, zero, too large or no numbers; a refund beyond what is held', async () => {
  const before = await traces()
  const numbers = ['-1', '0', '9223372036854775808', '1e400', '1.5', '"1e3"', '"1"', 'null', 'NaN', '[]', '{}', 'true']
  const refusals: string[] = []
  const asked = async (path: string, body: string) => {
    const { status, body: problem, text } = await market.ask('POST', path, body)
    expect([400, 422], `${body} answered ${text}`).toContain(status)
    refusals.push(`${status} ${problem.code}`)
  }
  for (const wrong of numbers) {
    await asked('/api/rentals', `{"offerId":"${market.machine.offerId}","units":${wrong},"minutes":10}`)
    await asked('/api/rentals', `{"offerId":"${market.machine.offerId}","units":1,"minutes":${wrong}}`)
  }
  const amounts = ['-10000', '0', '1e4', 'NaN', '9223372036854775808', '10000.0', ' 10000', '0x2710', '']
  const quoted = await market.quote()
  for (const amount of amounts) refusals.push(await refused(quoted, await forge(quoted, { accepted: { amount } })))
  expect(await traces()).toEqual(before)

  // Whatever was charged, what is given back is never more than was held, never less than nothing, and everything is given to somebody.
  const atoms = fc.bigInt({ min: 0n, max: 999_999_999_999_999_999n })
  fc.assert(
    fc.property(atoms, fc.bigInt({ min: 0n, max: 2n ** 63n }), fc.integer({ min: 0, max: 10_000 }), (prepaid, charge, bps) => {
      const { refundAtoms, payoutAtoms, feeAtoms } = splitPrepaid(prepaid, charge, bps)
      expect(refundAtoms >= 0n && refundAtoms <= prepaid && payoutAtoms >= 0n && feeAtoms >= 0n).toBe(true)
      expect(refundAtoms + payoutAtoms + feeAtoms).toBe(prepaid)
    }),
    { numRuns: 1_000 },
  )
  await check()
  return `${tally(refusals)}; no trace; 1000 random charges never refunded beyond what was held`
})

async function height(): Promise<number> {
  return rpc<number>('getBlockHeight', [{ commitment: 'confirmed' }])
}

async function lamportsOf(owner: string): Promise<bigint> {
  return BigInt((await rpc<{ value: number }>('getBalance', [owner, { commitment: 'confirmed' }])).value)
}

async function rpc<T>(method: string, params: unknown[]): Promise<T> {
  const response = await fetch(market.chain.rpcUrl, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
  })
  return ((await response.json()) as { result: T }).result
}

function transferOf(wallet: KeyPairSigner): Instruction {
  const source = wallet.address
  return getTransferCheckedInstruction(
    { source, mint: source, destination: source, authority: wallet, amount: 1n, decimals: 6 },
    { programAddress: TOKEN_PROGRAM_ADDRESS },
  )
}

function lamportsFrom(from: string, to: string): Instruction {
  const data = new Uint8Array(12)
  data[0] = 2
  data[4] = 1
  const accounts = [
    { address: from, role: 3 },
    { address: to, role: 1 },
  ]
  return { programAddress: '11111111111111111111111111111111', accounts, data } as unknown as Instruction
}

function callOf(program: string, account: string): Instruction {
  return { programAddress: program, accounts: [{ address: account, role: 1 }], data: new Uint8Array(1) } as unknown as Instruction
}
