// Payments that are not what was asked: refused before anything is claimed, whatever is wrong with them.

import { generateKeyPairSync } from 'node:crypto'
import { AccountRole, type Address, type Instruction, type KeyPairSigner } from '@solana/kit'
import { getTransferCheckedInstruction } from '@solana-program/token'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readQuote, signQuote } from '../../lib/rentals/quote-token.ts'
import { encodeHeader, type Forgery, forgePayment, guardOf } from '../support/forged-payment.ts'
import { openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'

let market: TestHouse
let stranger: KeyPairSigner
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 } })
  stranger = await market.wallet()
})
afterAll(() => market.close())

async function traces(): Promise<unknown> {
  const [row] = await market.sql(
    `select (select count(*)::int from payment) as payments, (select count(*)::int from rental) as rentals,
     (select sum(units_reserved)::int from offer) as units`,
  )
  return { ...row, balances: await market.balances() }
}

const forge = (quoted: Quoted, forgery: Forgery = {}) =>
  forgePayment(quoted.paid.paymentRequired, market.renter, market.chain.rpcUrl, forgery)
const quoteTokenOf = (quoted: Quoted) => String(quoted.paid.paymentRequired.accepts[0]?.extra.quote)

/** Sends one payment and expects a refusal that left no trace. */
async function expectRefused(quoted: Quoted, header: string, status: number, code: string) {
  const before = await traces()
  const answer = await market.pay(quoted.request, header)
  expect(answer, answer.text).toMatchObject({ status, body: { code } })
  expect(await traces()).toEqual(before)
}

test('the forger can also make an honest payment, so what is refused below is refused for its fault alone', async () => {
  const quoted = await market.quote()
  const answer = await market.pay(quoted.request, await forge(quoted))
  expect(answer.status, answer.text).toBe(201)
  await market.stop(quoted.paid.rentalId)
})

test.each(['before', 'after', 'around'])(
  'a payment with a wallet’s guards %s its transfer pays, also when they look at the fee payer',
  async (where) => {
    const quoted = await market.quote()
    const guards = (payer: Address) => [guardOf(5, [market.renter.address]), guardOf(9, [payer]), guardOf(6, [market.renter.address])]
    const [hasBefore, hasAfter] = [where !== 'after', where !== 'before']
    const header = await forge(quoted, {
      arrange: ({ budget, transfer, memos }, payer) => [
        ...budget,
        ...(hasBefore ? guards(payer) : []),
        transfer,
        ...memos,
        ...(hasAfter ? guards(payer) : []),
      ],
    })
    const answer = await market.pay(quoted.request, header)
    expect(answer.status, answer.text).toBe(201)
    await market.stop(quoted.paid.rentalId)
  },
)

const wrongs: [string, (quoted: Quoted) => Forgery, number, string][] = [
  ['an atom too little', () => ({ amountAtoms: 9_999n }), 422, 'payment_invalid'],
  ['an atom too much', () => ({ amountAtoms: 10_001n }), 422, 'payment_invalid'],
  ['nothing', () => ({ amountAtoms: 0n }), 422, 'payment_invalid'],
  ['another token', () => ({ mint: 'So11111111111111111111111111111111111111112' }), 422, 'payment_invalid'],
  ['wrong decimals', () => ({ decimals: 9 }), 402, 'payment_failed'],
  ['another payee', () => ({ payTo: stranger.address }), 422, 'payment_invalid'],
  ['no memo', () => ({ memos: [] }), 422, 'payment_invalid'],
  ['a memo of its own', () => ({ memos: ['hello'] }), 422, 'payment_invalid'],
  ['two memos', (quoted) => ({ memos: [quoted.paid.paymentId, quoted.paid.paymentId] }), 422, 'payment_invalid'],
  ['the memo of another quote', () => ({ memos: [market.unknownId('payment')] }), 409, 'payment_already_used'],
  ['another fee payer', () => ({ feePayer: stranger.address }), 402, 'payment_failed'],
  ['a price for priority that would drain the fee payer', () => ({ microLamports: 10_000_000n }), 402, 'payment_failed'],
  [
    'a wallet’s guard that would make the fee payer pay for its memory',
    () => ({ extra: (wallet, feePayer) => [guardOf(0, [feePayer, wallet.address], AccountRole.WRITABLE)] }),
    402,
    'payment_failed',
  ],
  ['more compute than is sponsored', () => ({ units: 200_001 }), 402, 'payment_failed'],
  [
    'no compute limit',
    () => ({ arrange: ({ budget: [, price], transfer, memos }) => [...(price ? [price] : []), transfer, ...memos] }),
    402,
    'payment_failed',
  ],
  ['a second transfer', () => ({ extra: (wallet) => [transferOf(wallet)] }), 422, 'payment_invalid'],
  [
    'the fee payer as a sender of SOL',
    () => ({ extra: (wallet, feePayer) => [lamportsFrom(feePayer, wallet.address)] }),
    422,
    'payment_invalid',
  ],
  ['another network in its terms', () => ({ accepted: { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' } }), 422, 'payment_invalid'],
  ['another amount in its terms', () => ({ accepted: { amount: '1' } }), 422, 'payment_invalid'],
  ['another payee in its terms', () => ({ accepted: { payTo: stranger.address } }), 422, 'payment_invalid'],
  ['another scheme', () => ({ accepted: { scheme: 'upto' } }), 422, 'payment_invalid'],
  ['version 1', () => ({ payload: { x402Version: 1 } }), 422, 'payment_invalid'],
  ['no quote', () => ({ acceptedExtra: { quote: undefined } }), 422, 'payment_invalid'],
  ['a quote that nobody signed', () => ({ acceptedExtra: { quote: 'a.b.c' } }), 422, 'quote_invalid'],
  ['no transaction', () => ({ payload: { payload: {} } }), 422, 'payment_invalid'],
]

test.each(wrongs)('a payment of %s is refused and leaves no trace', async (_, forgery, status, code) => {
  const quoted = await market.quote()
  await expectRefused(quoted, await forge(quoted, forgery(quoted)), status, code)
})

test('a signature that is not the payer’s is refused before it is claimed', async () => {
  const quoted = await market.quote()
  const payload = JSON.parse(Buffer.from(await forge(quoted), 'base64').toString())
  const wire = Buffer.from(payload.payload.transaction, 'base64')
  // One byte of the second signature; the first is the fee payer's empty place.
  wire[70] = (wire[70] ?? 0) ^ 1
  await expectRefused(quoted, encodeHeader({ ...payload, payload: { transaction: wire.toString('base64') } }), 402, 'payment_failed')
})

test('a transaction with a lookup table is refused: what cannot be read offline is not accepted', async () => {
  const quoted = await market.quote()
  const payload = JSON.parse(Buffer.from(await forge(quoted), 'base64').toString())
  const wire = Buffer.from(payload.payload.transaction, 'base64')
  // The last byte of a version 0 message is the count of its lookup tables.
  const tables = Buffer.concat([wire.subarray(0, -1), Buffer.from([1]), Buffer.alloc(32, 7), Buffer.from([1, 0, 0])])
  await expectRefused(quoted, encodeHeader({ ...payload, payload: { transaction: tables.toString('base64') } }), 422, 'payment_invalid')
})

test('a quote of another market’s key, and one for another payee or network, are not ours', async () => {
  const quoted = await market.quote()
  const terms = await readQuote(market.house.keys, quoteTokenOf(quoted))
  const { privateKey } = generateKeyPairSync('ed25519')
  const foreign = await signQuote({ signing: privateKey }, terms)
  await expectRefused(quoted, await forge(quoted, { acceptedExtra: { quote: foreign } }), 422, 'quote_invalid')
  for (const change of [{ payTo: stranger.address }, { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }, { asset: stranger.address }]) {
    const token = await signQuote(market.house.keys, { ...terms, ...change })
    await expectRefused(quoted, await forge(quoted, { acceptedExtra: { quote: token } }), 422, 'quote_invalid')
  }
})

test('whoever saw a payment on chain but not its quote gets nothing from it', async () => {
  const victim = await market.quote()
  const header = await forge(victim)
  expect((await market.pay(victim.request, header)).status).toBe(201)
  const { payload } = JSON.parse(Buffer.from(header, 'base64').toString())
  const mine = await market.quote()
  const [accepted] = mine.paid.paymentRequired.accepts
  for (const extra of [accepted?.extra, { ...accepted?.extra, memo: victim.paid.paymentId }])
    await expectRefused(mine, encodeHeader({ x402Version: 2, accepted: { ...accepted, extra }, payload }), 409, 'payment_already_used')
  const told = await market.ask('GET', `/api/payments/${victim.paid.paymentId}`)
  expect(told.text).not.toContain('f402_')
  expect(told.text).not.toContain(quoteTokenOf(victim))
  await market.stop(victim.paid.rentalId)
})

test('the price of the quote is paid, whatever the offer costs since', async () => {
  const quoted = await market.quote()
  await market.sql(`update offer set price_atoms_per_hour = 600000 where id = '${market.machine.offerId}'`)
  const answer = await market.pay(quoted.request, await forge(quoted))
  await market.sql(`update offer set price_atoms_per_hour = 60000 where id = '${market.machine.offerId}'`)
  expect(answer).toMatchObject({ status: 201, body: { rental: { priceAtomsPerHour: '60000', prepaidAtoms: '10000' } } })
  await market.stop(quoted.paid.rentalId)
})

test('a price beyond what can be paid at once is refused when it is asked for', async () => {
  const dear = await market.addMachine({ priceAtomsPerHour: '999999999999999999' }, 'dear')
  const answer = await market.ask('POST', '/api/rentals', { offerId: dear.offerId, units: 8, minutes: 1440 })
  expect(answer, answer.text).toMatchObject({ status: 422, body: { code: 'invalid_request' } })
})

test('a header may hold anything beside the payment, and nothing of it is stored', async () => {
  const quoted = await market.quote()
  const header = await forge(quoted, { payload: { resource: { url: 'a\u0000b', description: '\ud800' }, extensions: { x: '\u0000' } } })
  const answer = await market.pay(quoted.request, header)
  expect(answer.status, answer.text).toBe(201)
  const [row] = await market.sql(`select payload::text as payload from payment where id = '${quoted.paid.paymentId}'`)
  expect(Object.keys(JSON.parse(String(row?.payload)))).toEqual(['transaction'])
  await market.stop(quoted.paid.rentalId)
})

test('no header whatsoever is a fault of ours, and none of the wrong ones leaves a trace', async () => {
  const quoted = await market.quote()
  const honest = await forge(quoted)
  const payload = JSON.parse(Buffer.from(honest, 'base64').toString())
  const bytes = Buffer.from(payload.payload.transaction, 'base64')
  const withWire = (wire: Buffer) => encodeHeader({ ...payload, payload: { transaction: wire.toString('base64') } })
  const headers = fc.oneof(
    fc.string({ minLength: 1, maxLength: 200 }).map((text) => text.replace(/[^\x21-\x7e]/g, 'x')),
    fc.base64String({ minLength: 4, maxLength: 400 }),
    fc.json().map((text) => Buffer.from(text).toString('base64')),
    fc.jsonValue().map((accepted) => encodeHeader({ ...payload, accepted })),
    fc.jsonValue().map((inner) => encodeHeader({ ...payload, payload: inner })),
    fc.jsonValue().map((extra) => encodeHeader({ ...payload, accepted: { ...payload.accepted, extra } })),
    fc.jsonValue().map((transaction) => encodeHeader({ ...payload, payload: { transaction } })),
    fc.string().map((quote) => encodeHeader({ ...payload, accepted: { ...payload.accepted, extra: { quote } } })),
    fc.uint8Array({ maxLength: 300 }).map((wire) => withWire(Buffer.from(wire))),
    fc.tuple(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, flip]) => {
      // Not within the fee payer's empty place: filling that leaves the payment the same payment.
      const place = at >= 1 && at < 65 ? 65 : at
      const wire = Buffer.from(bytes)
      wire[place] = (wire[place] ?? 0) ^ flip
      return withWire(wire)
    }),
    fc.nat(bytes.length - 1).map((length) => withWire(bytes.subarray(0, length))),
  )
  const before = await traces()
  await fc.assert(
    fc.asyncProperty(headers, async (header) => {
      const answer = await market.pay(quoted.request, header)
      if (answer.status < 400 || answer.status >= 500) throw new Error(`answered ${answer.status}: ${answer.text}`)
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
    }),
    { numRuns: 400 },
  )
  expect(await traces()).toEqual(before)
})

test('a payment whose empty places were filled with noise is the same payment', async () => {
  const quoted = await market.quote()
  const header = await forge(quoted)
  const payload = JSON.parse(Buffer.from(header, 'base64').toString())
  const noisy = Array.from({ length: 5 }, (_, index) => {
    const wire = Buffer.from(payload.payload.transaction, 'base64')
    wire.fill(index + 1, 1, 65)
    return encodeHeader({ ...payload, payload: { transaction: wire.toString('base64') } })
  })
  const before = (await market.balances()).renter
  const answers = await Promise.all([header, ...noisy].map((each) => market.pay(quoted.request, each)))
  expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(201))
  expect(before - (await market.balances()).renter).toBe(10_000n)
  await market.stop(quoted.paid.rentalId)
})

function transferOf(wallet: KeyPairSigner): Instruction {
  const source = wallet.address
  return getTransferCheckedInstruction({ source, mint: source, destination: source, authority: wallet, amount: 1n, decimals: 6 })
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
