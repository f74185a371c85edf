// x402's payment-identifier: the payer's own name for a payment, under which nothing is ever paid twice.
import { randomUUID } from 'node:crypto'
import { signPayment } from '@flow402/sdk/pay'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { encodeHeader } from '../support/forged-payment.ts'
import { openTestHouse, type Quoted, type TestHouse } from '../support/house.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 } })
})
afterAll(() => market.close())

const decoded = (header: string) => JSON.parse(Buffer.from(header, 'base64').toString())

/** The payment of a quote under a name of the payer's, as the sdk sends it. */
async function signAs(quoted: Quoted, identifier: string): Promise<string> {
  const limits = { network: market.env.network, maxAmountAtoms: 1_000_000n, expectedMint: market.env.usdcMint }
  const signed = await signPayment(quoted.paid, { ...limits, signer: market.renter, rpcUrl: market.chain.rpcUrl, identifier })
  return signed.header
}

async function traces(): Promise<unknown> {
  const [row] = await market.sql('select (select count(*)::int from payment) as payments, (select count(*)::int from rental) as rentals')
  return { ...row, balances: await market.balances() }
}

test('the 402 declares the extension and does not ask for it; a client that only echoes it pays as ever', async () => {
  const quoted = await market.quote()
  const declared = quoted.paid.paymentRequired.extensions?.['payment-identifier'] as { info: unknown; schema: { properties: unknown } }
  expect(declared.info).toEqual({ required: false })
  expect(declared.schema.properties).toMatchObject({ id: { minLength: 16, maxLength: 128, pattern: '^[a-zA-Z0-9_-]+$' } })
  const header = await market.sign(quoted)
  expect(decoded(header).extensions).toEqual({ 'payment-identifier': declared })
  expect((await market.pay(quoted.request, header)).status).toBe(201)
  await market.stop(quoted.paid.rentalId)
})

test('the same identifier with the same payment is the same outcome; with a payment signed anew it is 409 and nothing is charged', async () => {
  const id = randomUUID()
  const quoted = await market.quote()
  const header = await signAs(quoted, id)
  expect(decoded(header).extensions['payment-identifier'].info).toEqual({ required: false, id })
  const first = await market.pay(quoted.request, header)
  expect(first.status, first.text).toBe(201)
  expect(await market.sql(`select id from payment where identifier = '${id}'`)).toEqual([{ id: quoted.paid.paymentId }])
  const before = await traces()
  const again = await market.pay(quoted.request, header)
  expect(again).toMatchObject({ status: 201, body: { accessToken: first.body.accessToken } })

  const resigned = await market.quote()
  const other = await signAs(resigned, id)
  expect(await market.pay(resigned.request, other)).toMatchObject({ status: 409, body: { code: 'payment_identifier_reused' } })
  const judged = await market.ask('POST', '/api/payments/authorize', { request: resigned.request, payment: other })
  expect(judged.body).toMatchObject({ isValid: false, code: 'payment_identifier_reused' })
  expect(await traces()).toEqual(before)
  await market.stop(quoted.paid.rentalId)
})

test('two payments under one identifier at once: one is taken, the other is 409', async () => {
  const id = randomUUID()
  const quotes = await Promise.all([market.quote(), market.quote()])
  const headers = await Promise.all(quotes.map((quoted) => signAs(quoted, id)))
  const before = (await market.balances()).renter
  const answers = await Promise.all(quotes.map((quoted, index) => market.pay(quoted.request, String(headers[index]))))
  expect(answers.map(({ status }) => status).sort()).toEqual([201, 409])
  expect(answers.find(({ status }) => status === 409)?.body.code).toBe('payment_identifier_reused')
  expect((await market.balances()).renter).toBe(before - 10_000n)
  for (const answer of answers) if (answer.status === 201) await market.stop((answer.body.rental as { id: string }).id)
})

test('an identifier that is none is refused before anything is claimed', async () => {
  const quoted = await market.quote()
  const honest = decoded(await market.sign(quoted))
  const before = await traces()
  const wrong: unknown[] = ['short', 'x'.repeat(15), 'x'.repeat(129), 'has spaces in it all', 'ümlaut-ümlaut-ümlaut', '', 1, null, {}, []]
  for (const id of wrong) {
    const payload = { ...honest, extensions: { 'payment-identifier': { info: { required: false, id } } } }
    expect(await market.pay(quoted.request, encodeHeader(payload)), JSON.stringify(id)).toMatchObject({
      status: 422,
      body: { code: 'payment_invalid' },
    })
  }
  expect(await traces()).toEqual(before)
  for (const extensions of [undefined, null, {}, { 'payment-identifier': null }, { 'payment-identifier': { info: {} } }])
    expect(
      await market.ask('POST', '/api/payments/authorize', { request: quoted.request, payment: { ...honest, extensions } }),
    ).toMatchObject({
      status: 200,
      body: { isValid: true },
    })
})
