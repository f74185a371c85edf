// Tests of paying against a small market and a two-method RPC: limits hold before signing, an unknown outcome is waited for.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { newId } from '@flow402/protocol/id'
import { prepaidAtoms } from '@flow402/protocol/money'
import { Problem } from '@flow402/protocol/problem'
import { generateKeyPairSigner, type KeyPairSigner } from '@solana/kit'
import { decodePaymentSignatureHeader, encodePaymentRequiredHeader } from '@x402/core/http'
import { afterEach, beforeAll, expect, test } from 'vitest'
import { marketClient } from './client.ts'
import { payingFetch, payRental, quoteRental, signPayment } from './pay.ts'

const network = 'solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1'
const usdc = '4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU'
const closers: (() => void)[] = []
let payer: KeyPairSigner
let escrow: string
let facilitator: string

beforeAll(async () => {
  payer = await generateKeyPairSigner()
  escrow = (await generateKeyPairSigner()).address
  facilitator = (await generateKeyPairSigner()).address
})
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

type World = {
  baseUrl: string
  rpcUrl: string
  paid: string[]
  /** Answers of successive paid requests, the last one repeated. */
  answers: ((response: ServerResponse) => void)[]
  asked: { amount: string; payTo: string; asset: string; network: string }
}

const rentalId = newId('rental')
const paymentId = newId('payment')
const price = { prepaidAtoms: '2500000', priceAtomsPerHour: '15000000', units: 1, minutes: 10, feeBps: 500, currency: 'USDC' }
const request = { offerId: newId('offer'), units: 1, minutes: 10 }

function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

const pending = (response: ServerResponse) => json(response, 202, { code: 'payment_pending', paymentId, rentalId, state: 'submitted' })
const granted = (response: ServerResponse) =>
  json(response, 201, {
    accessToken: 'token',
    rental: {
      ...{ id: rentalId, offerId: request.offerId, state: 'paid', endReason: null, endDetail: null, kind: 'ram', units: 1, minutes: 10 },
      ...{ perUnit: { ramMb: 1024, cpuMillis: 250, diskMb: 1024 }, image: null, priceAtomsPerHour: '15000000', currency: 'USDC' },
      ...{ feeBps: 500, createdAt: '2026-01-01T00:00:00Z', startedAt: null, paidUntil: null, endedAt: null, settledAt: null },
      ...{ meteredSeconds: 0, prepaidAtoms: '2500000', chargedAtoms: '0', refundAtoms: '0', payoutAtoms: '0', feeAtoms: '0' },
      ...{ payer: payer.address, node: { id: newId('node'), name: 'desk', region: 'local', online: true } },
    },
  })

async function world(): Promise<World> {
  const asked = { amount: price.prepaidAtoms, payTo: escrow, asset: usdc, network }
  const here: World = { baseUrl: '', rpcUrl: '', paid: [], answers: [granted], asked }
  let paymentAsked = 0
  const server = createServer(async (incoming: IncomingMessage, response) => {
    let text = ''
    for await (const piece of incoming) text += piece
    if (incoming.url === '/rpc') return json(response, 200, rpcAnswer(JSON.parse(text)))
    if (incoming.url === `/api/payments/${paymentId}`) {
      const state = paymentAsked++ === 0 ? 'submitted' : 'settled'
      return json(response, 200, { id: paymentId, rentalId, state, amountAtoms: price.prepaidAtoms })
    }
    const proof = incoming.headers['payment-signature']
    if (typeof proof === 'string') {
      here.paid.push(proof)
      return (here.answers.length > 1 ? here.answers.shift() : here.answers[0])?.(response)
    }
    const accepts = [{ scheme: 'exact', maxTimeoutSeconds: 90, extra: { feePayer: facilitator, memo: paymentId }, ...asked }]
    const required = { x402Version: 2, resource: { url: `${here.baseUrl}/api/rentals` }, accepts }
    const problem = new Problem('payment_required', { rentalId, paymentId, expiresAt: '2030-01-01T00:00:00Z', price })
    json(response, 402, problem.toBody(), { 'PAYMENT-REQUIRED': encodePaymentRequiredHeader(required as never) })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  here.baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  here.rpcUrl = `${here.baseUrl}/rpc`
  return here
}

function rpcAnswer({ id, method }: { id: number; method: string }) {
  const mint = Buffer.alloc(82)
  mint.writeUInt8(6, 44)
  mint.writeUInt8(1, 45)
  const context = { slot: 1, apiVersion: '2.0.0' }
  const owner = 'TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA'
  const account = { data: [mint.toString('base64'), 'base64'], executable: false, lamports: 1, owner, rentEpoch: 0, space: 82 }
  const blockhash = { blockhash: '4sGjMW1sUnHzSxGspuhpqLDx6wiyjNtZAMdL4VZHirAn', lastValidBlockHeight: 150 }
  return { jsonrpc: '2.0', id, result: { context, value: method === 'getAccountInfo' ? account : blockhash } }
}

const limits = (here: World) => ({
  signer: payer,
  rpcUrl: here.rpcUrl,
  network,
  maxAmountAtoms: 2_500_000n,
  expectedPayTo: escrow,
  expectedMint: usdc,
})

test('a quote shows the exact price and pays it, even above the stock client limit of one dollar', async () => {
  const here = await world()
  const client = marketClient({ baseUrl: here.baseUrl })
  const quote = await quoteRental(client, request)
  expect(quote.price.prepaidAtoms).toBe(prepaidAtoms(1, 15_000_000n, 600).toString())
  const kept: string[] = []
  const created = await payRental(client, quote, { ...limits(here), onSigned: (signed) => kept.push(signed.header) })
  expect(created.accessToken).toBe('token')
  expect(here.paid).toEqual(kept)
  const payload = decodePaymentSignatureHeader(here.paid[0] ?? '')
  expect(payload.accepted).toMatchObject({ amount: '2500000', payTo: escrow, extra: { memo: paymentId } })
})

test('an unknown outcome is waited for, then the same header is sent again, never a second signature', async () => {
  const here = await world()
  here.answers = [pending, pending, granted]
  const client = marketClient({ baseUrl: here.baseUrl })
  const states: string[] = []
  const quote = await quoteRental(client, request)
  const created = await payRental(client, quote, { ...limits(here), onPending: ({ state }) => states.push(state) })
  expect(created.rental.id).toBe(rentalId)
  expect(here.paid).toHaveLength(3)
  expect(new Set(here.paid).size).toBe(1)
  expect(states).toEqual(['submitted', 'submitted'])
})

test('a broken connection after signing repeats the same header', async () => {
  const here = await world()
  here.answers = [(response) => response.destroy(), granted]
  const client = marketClient({ baseUrl: here.baseUrl })
  await payRental(client, await quoteRental(client, request), limits(here))
  expect(new Set(here.paid).size).toBe(1)
  expect(here.paid).toHaveLength(2)
})

test('patience ends with payment_pending, not with a claim of failure', async () => {
  const here = await world()
  here.answers = [pending]
  const client = marketClient({ baseUrl: here.baseUrl })
  const paying = payRental(client, await quoteRental(client, request), { ...limits(here), timeoutMs: 300 })
  await expect(paying).rejects.toMatchObject({ code: 'payment_pending', status: 202, extra: { paymentId } })
})

test('a refusal of the market after paying surfaces as its problem', async () => {
  const here = await world()
  here.answers = [(response) => json(response, 409, new Problem('sold_out').toBody())]
  const client = marketClient({ baseUrl: here.baseUrl })
  await expect(payRental(client, await quoteRental(client, request), limits(here))).rejects.toMatchObject({ code: 'sold_out', status: 409 })
})

test.each([
  ['amount', { amount: '2500001' }],
  ['pay_to', { payTo: 'Vote111111111111111111111111111111111111111' }],
  ['asset', { asset: 'So11111111111111111111111111111111111111112' }],
  ['network', { network: 'solana:5eykt4UsFv8P8NJdTREpY1vzqKqZKvdp' }],
])('nothing is signed when the 402 breaks the limit on %s', async (reason, change) => {
  const here = await world()
  Object.assign(here.asked, change)
  const client = marketClient({ baseUrl: here.baseUrl })
  await expect(payRental(client, await quoteRental(client, request), limits(here))).rejects.toMatchObject({
    name: 'PaymentRefused',
    reason,
  })
  const paying = payingFetch(limits(here))(`${here.baseUrl}/api/rentals`, { method: 'POST', body: JSON.stringify(request) })
  await expect(paying).rejects.toMatchObject({ name: 'PaymentRefused', reason })
  expect(here.paid).toEqual([])
})

test('a price that does not follow from units, price and minutes is not signed, even within the limit', async () => {
  const here = await world()
  const client = marketClient({ baseUrl: here.baseUrl })
  const quote = await quoteRental(client, request)
  const dearer = { ...quote, price: { ...quote.price, minutes: 9 } }
  await expect(signPayment(dearer, limits(here))).rejects.toMatchObject({ name: 'PaymentRefused', reason: 'amount' })
})

test('without a named mint only the USDC of the network is paid', async () => {
  const here = await world()
  const { expectedMint: _, ...anyUsdc } = limits(here)
  const client = marketClient({ baseUrl: here.baseUrl })
  await payRental(client, await quoteRental(client, request), anyUsdc)
  expect(here.paid).toHaveLength(1)
  here.asked.asset = 'So11111111111111111111111111111111111111112'
  await expect(payRental(client, await quoteRental(client, request), anyUsdc)).rejects.toMatchObject({ reason: 'asset' })
})

test('the paying fetch answers the 402 by itself and waits out a pending payment', async () => {
  const here = await world()
  here.answers = [pending, granted]
  const response = await payingFetch(limits(here))(`${here.baseUrl}/api/rentals`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(request),
  })
  expect(response.status).toBe(201)
  expect(new Set(here.paid).size).toBe(1)
})
