// The mock rail keeps the promises of the port: a payment lands once, is found by its memo, and is given up only past its last height.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MockFault } from '@flow402/protocol/mock-payment'
import type { Quote } from '@flow402/protocol/payment'
import { signMockPayment } from '@flow402/sdk/pay-mock'
import { expect, test } from 'vitest'
import { readEnv } from '../env.ts'
import { openHouse } from '../wiring.ts'
import { openMockChain, validSlots } from './mock-chain.ts'
import { mockEscrow, openMockRail, type PlannedFault } from './mock-rail.ts'
import { type Charge, chargeOf } from './payment-rail.ts'

let nowMs = 1_800_000_000_000
const hex = (n: number) => n.toString(16).padStart(32, '0')
let quotes = 0

function quoteOf(changes: Partial<Quote> = {}): Quote {
  const n = ++quotes
  const ids = { paymentId: `pay_${hex(n)}`, rentalId: `rnt_${hex(n)}`, offerId: `ofr_${hex(1)}` }
  const terms = { kind: 'rent' as const, units: 1, minutes: 10, priceAtomsPerHour: '6000', amountAtoms: '1000', currency: 'USDC' as const }
  const payee = { payTo: mockEscrow, asset: 'mock-usdc', network: 'mock:local' }
  return { ...ids, ...terms, ...payee, feeBps: 500, requestDigest: 'x', exp: Math.floor(nowMs / 1000) + 90, ...changes }
}

function openMarket(options: { file?: string; knowsSignature?: boolean; pageSize?: number } = {}) {
  const chain = openMockChain({ now: () => nowMs, slotMs: 0, file: options.file })
  const pauses: number[] = []
  const pause = async (ms: number) => void pauses.push(ms)
  const { knowsSignature = true, pageSize = 100 } = options
  const open = () => openMockRail({ chain, feeAddress: 'market', knowsSignature, pageSize, pause })
  const rail = open()
  chain.advance(92)
  chain.give('alice', 100_000n)

  async function proofOf(quote: Quote, fault?: MockFault, times?: number, nonce = 'n1') {
    const header = await rail.challenge(quote, 'token', 'http://market.test')
    const options = { payer: 'alice', maxAmountAtoms: 10_000n, nonce, ...(fault && { fault }), ...(times && { times }) }
    return rail.readProof(await signMockPayment(header, options))
  }

  /** Pays as the market does: what was stored before the broadcast, and what the facilitator said. */
  async function settle(charge: Charge, payload: unknown, by = rail) {
    const stored: (string | null)[] = []
    const outcome = await by.settle(charge, payload, async (signature) => void stored.push(signature))
    return { outcome, stored, fact: await rail.findCharge(charge, stored.at(-1) ?? null, 0) }
  }

  async function pay(fault?: MockFault, times?: number) {
    const quote = quoteOf()
    const charge = chargeOf(quote)
    const proof = await proofOf(quote, fault, times)
    rail.checkProof(proof, charge)
    expect(await rail.refusalOf(charge, proof.payload)).toBeUndefined()
    return { charge, proof, ...(await settle(charge, proof.payload)) }
  }

  return { chain, rail, open, pauses, proofOf, settle, pay, spent: () => 100_000n - chain.balanceOf('alice') }
}

test('a payment lands once however often and by however many replicas it is settled, and is found by its memo alone', async () => {
  const market = openMarket()
  const { charge, proof, outcome, stored, fact } = await market.pay()
  expect(outcome).toEqual({ kind: 'landed', signature: proof.messageHash })
  expect(stored).toEqual([proof.messageHash])
  expect(fact).toEqual({ kind: 'landed', signature: proof.messageHash, payer: 'alice', amountAtoms: 1000n })
  for (const rail of [market.rail, market.open(), market.open()]) await market.settle(charge, proof.payload, rail)
  expect(market.spent()).toBe(1000n)
  expect(await market.rail.findCharge(charge, null, 0)).toEqual(fact)
  expect(await market.rail.findCharge({ ...charge, amountAtoms: 999n }, null, 0)).toMatchObject({ kind: 'absent' })
})

test('nothing is sent when what may land could not be stored', async () => {
  const market = openMarket()
  const quote = quoteOf()
  const { payload } = await market.proofOf(quote)
  const outcome = await market.rail.settle(chargeOf(quote), payload, async () => {
    throw new Error('the database is away')
  })
  expect(outcome).toEqual({ kind: 'unsent', reason: 'the database is away' })
  expect(market.spent()).toBe(0n)
})

test('a proof that was altered, or that is for another quote, amount or payee, is refused', async () => {
  const market = openMarket()
  const [quote, other] = [quoteOf(), quoteOf()]
  const proof = await market.proofOf(quote)
  const check =
    (changes: object, charge = chargeOf(quote)) =>
    () =>
      market.rail.checkProof({ ...proof, payload: { ...(proof.payload as object), ...changes } }, charge)
  expect(check({})).not.toThrow()
  expect(check({ payer: 'bob' })).toThrow('payload.digest is not of these terms')
  expect(check({ amount: '999' })).toThrow('the quote asks for exactly 1000')
  expect(check({ payTo: 'bob' })).toThrow('must be echoed')
  expect(check({}, chargeOf(other))).toThrow('This payment is for another quote')
  expect(check({}, { ...chargeOf(quote), network: 'solana:x' })).toThrow('another network')
  for (const header of ['', 'x', Buffer.from('{}').toString('base64')])
    expect(() => market.rail.readProof(header)).toThrow('not base64 of a mock payment')
})

test('the same payment with another fault asked for is the same message; another nonce is another one', async () => {
  const market = openMarket()
  const quote = quoteOf()
  const plain = await market.proofOf(quote)
  expect((await market.proofOf(quote, 'unsent', 2)).messageHash).toBe(plain.messageHash)
  expect((await market.proofOf(quote, undefined, undefined, 'n2')).messageHash).not.toBe(plain.messageHash)
})

test('who has not enough is refused before the claim, and what lost its money meanwhile lands as failed and moves nothing', async () => {
  const market = openMarket()
  const quote = quoteOf({ amountAtoms: '9000' })
  const charge = chargeOf(quote)
  const { payload } = await market.proofOf(quote)
  market.chain.transfer('alice', 'bob', 95_000n)
  expect(await market.rail.refusalOf(charge, payload)).toBe('insufficient funds')
  market.chain.give('alice', 5_000n)
  expect(await market.rail.refusalOf(charge, payload)).toBeUndefined()
  const outcome = await market.rail.settle(charge, payload, async () => void market.chain.transfer('alice', 'bob', 9_000n))
  expect(outcome).toEqual({ kind: 'unknown', reason: 'not confirmed: insufficient funds' })
  const { messageHash } = await market.proofOf(quote)
  expect(await market.rail.findCharge(charge, messageHash, 0)).toEqual({ kind: 'failed', signature: messageHash })
  expect(market.chain.balanceOf(mockEscrow)).toBe(0n)
})

/** What each fault says, what was stored before, what the chain then knows, and what was paid in the end. */
const faults: Record<MockFault, { says: string; knows: string; paid: bigint }> = {
  refused: { says: 'refused', knows: 'absent', paid: 0n },
  unsent: { says: 'unsent', knows: 'absent', paid: 0n },
  answer_lost: { says: 'unknown', knows: 'landed', paid: 1000n },
  answer_late: { says: 'landed', knows: 'landed', paid: 1000n },
  false_success: { says: 'landed', knows: 'absent', paid: 0n },
  duplicate_settlement: { says: 'unknown', knows: 'landed', paid: 1000n },
  rpc_lags: { says: 'landed', knows: 'absent', paid: 1000n },
  dropped_after_confirmed: { says: 'landed', knows: 'landed', paid: 0n },
  lands_late: { says: 'unknown', knows: 'absent', paid: 1000n },
  never_lands: { says: 'unknown', knows: 'absent', paid: 0n },
}

test.each(MockFault.options)(
  'fault %s: what is said, what the chain knows, and that absence is final only past the last height',
  async (name) => {
    const market = openMarket()
    const { charge, proof, outcome, stored, fact } = await market.pay(name)
    const expected = faults[name]
    expect([outcome.kind, fact.kind]).toEqual([expected.says, expected.knows])
    const wasSent = name !== 'refused' && name !== 'unsent'
    expect(stored).toEqual(wasSent ? [proof.messageHash] : [])
    if (fact.kind === 'absent') expect(fact.finalizedHeight).toBeLessThan(100n + validSlots)
    if (name === 'answer_late') expect(Math.max(...market.pauses)).toBeGreaterThan(20_000)
    market.chain.advance(Number(validSlots) + 20)
    for (let asked = 0; asked < 3; asked++) await market.rail.findCharge(charge, null, 0)
    const last = await market.rail.findCharge(charge, stored[0] ?? null, 0)
    expect(last.kind).toBe(expected.paid > 0n ? 'landed' : 'absent')
    if (last.kind === 'absent') expect(last.finalizedHeight).toBeGreaterThan(100n + validSlots)
    expect(market.spent()).toBe(expected.paid)
    // It is too late for everything that has not landed by now.
    await market.rail.settle(charge, proof.payload, async () => undefined)
    expect(market.spent()).toBe(expected.paid)
  },
)

test('a lagging node names a height at which it cannot have known, so that its absence ends nothing', async () => {
  const market = openMarket()
  const { charge } = await market.pay('rpc_lags', 3)
  market.chain.advance(Number(validSlots) * 2)
  for (let asked = 0; asked < 2; asked++)
    expect(await market.rail.findCharge(charge, null, 0)).toEqual({ kind: 'absent', finalizedHeight: 99n })
  expect(await market.rail.findCharge(charge, null, 0)).toMatchObject({ kind: 'landed' })
})

test('a facilitator that fails n times before it sends settles the same payment the next time', async () => {
  const market = openMarket()
  const { charge, proof, outcome } = await market.pay('unsent', 2)
  const again = [await market.settle(charge, proof.payload, market.open()), await market.settle(charge, proof.payload)]
  expect([outcome.kind, ...again.map((each) => each.outcome.kind)]).toEqual(['unsent', 'unsent', 'landed'])
})

test('what was planned by code happens that often and then no more', async () => {
  const market = openMarket()
  market.rail.plan('answer_lost', 2)
  market.rail.plan('unreachable')
  await expect(market.rail.ping()).rejects.toThrow('does not answer')
  const said = [await market.pay(), await market.pay(), await market.pay()].map(({ outcome }) => outcome.kind)
  expect(said).toEqual(['unknown', 'unknown', 'landed'])
})

test('a remote facilitator tells its signature only afterwards', async () => {
  const { stored, outcome } = await openMarket({ knowsSignature: false }).pay()
  expect(stored).toEqual([null])
  expect(outcome.kind).toBe('landed')
})

const refund = { kind: 'refund' as const, externalId: 'pay_1', destination: 'alice', amountAtoms: 400n }

test('a movement that is sent again and again, by whoever, lands once; its memo finds it', async () => {
  const market = openMarket()
  await market.pay()
  const signed = await market.rail.signMovement(refund, 'trf_1', false)
  for (const rail of [market.rail, market.open(), market.rail]) await rail.broadcast(signed)
  expect(market.spent()).toBe(600n)
  expect(await market.rail.findMovement('trf_1', null, 0)).toEqual({ kind: 'landed', signature: signed.signature })
  expect(await market.rail.findMovement('trf_2', null, 0)).toMatchObject({ kind: 'absent' })
  const anchored = await market.rail.signMovement({ ...refund, amountAtoms: 1n }, `trf_3 ${'a'.repeat(64)}`, false)
  await market.rail.broadcast(anchored)
  expect(await market.rail.findMovement('trf_3', null, 0)).toEqual({ kind: 'landed', signature: anchored.signature })
  expect(await market.rail.findMovement('trf_', null, 0)).toMatchObject({ kind: 'absent' })
})

const outgoing: { fault: PlannedFault; throws: boolean; atFirst: string; last: string }[] = [
  { fault: 'transfer_fails', throws: false, atFirst: 'failed', last: 'failed' },
  { fault: 'transfer_lost', throws: false, atFirst: 'absent', last: 'absent' },
  { fault: 'transfer_late', throws: false, atFirst: 'absent', last: 'landed' },
  { fault: 'transfer_answer_lost', throws: true, atFirst: 'landed', last: 'landed' },
  { fault: 'transfer_dropped', throws: false, atFirst: 'landed', last: 'absent' },
]
test.each(outgoing)('money going out with $fault: $atFirst at first, $last in the end', async ({ fault, throws, atFirst, last }) => {
  const market = openMarket()
  await market.pay()
  const signed = await market.rail.signMovement(refund, 'trf_1', false)
  market.rail.plan(fault)
  const sent = await market.rail.broadcast(signed).then(
    () => false,
    () => true,
  )
  expect(sent).toBe(throws)
  expect((await market.rail.findMovement('trf_1', signed.signature, 0)).kind).toBe(atFirst)
  market.chain.advance(Number(validSlots) + 20)
  const found = await market.rail.findMovement('trf_1', signed.signature, 0)
  expect(found.kind).toBe(last)
  if (found.kind === 'absent') expect(found.finalizedHeight).toBeGreaterThan(signed.lastValidBlockHeight)
})

test('a refund to an account that is missing or frozen does not go out; a payout opens a missing account', async () => {
  const market = openMarket()
  await market.pay()
  for (const state of ['missing', 'frozen'] as const) {
    market.chain.setAccount('alice', state)
    await expect(market.rail.broadcast(await market.rail.signMovement(refund, `trf_${state}`, false))).rejects.toThrow(state)
  }
  market.chain.setAccount('provider', 'missing')
  const payout = { ...refund, kind: 'payout' as const, destination: 'provider' }
  await market.rail.broadcast(await market.rail.signMovement(payout, 'trf_payout', true))
  expect(market.chain.balanceOf('provider')).toBe(400n)
})

test('a fork drops what is not final, with what was paid from it, and leaves what is', async () => {
  const market = openMarket()
  await market.pay()
  market.chain.advance(20)
  const { charge } = await market.pay()
  await market.rail.broadcast(await market.rail.signMovement({ ...refund, amountAtoms: 1_500n }, 'trf_1', false))
  expect(market.chain.fork(chargeOf(quoteOf()).paymentId)).toEqual([])
  expect(market.chain.fork()).toHaveLength(2)
  expect(await market.rail.findCharge(charge, null, 0)).toMatchObject({ kind: 'absent' })
  expect([market.chain.balanceOf(mockEscrow), market.spent()]).toEqual([1000n, 1000n])
})

test('the escrow’s history is read once in pages, newest first, final only, and goes on where it stood', async () => {
  const market = openMarket({ pageSize: 2 })
  for (let n = 0; n < 3; n++) await market.pay()
  market.chain.transfer('alice', mockEscrow, 7n, 'a gift')
  market.chain.advance(20)
  await market.pay()

  async function readAll(position: Parameters<typeof market.rail.scanEscrow>[0]) {
    const movements = []
    for (let at = position; ; ) {
      const page = await market.rail.scanEscrow(at, 0, 0n)
      movements.push(...page.movements)
      at = page.next
      if (page.isComplete) return { movements, at }
    }
  }
  const first = await readAll({ doneTo: null, top: null, before: null })
  expect(first.movements.map(({ deltaAtoms }) => deltaAtoms)).toEqual([7n, 1000n, 1000n, 1000n])
  expect(first.movements[0]).toMatchObject({ memo: 'a gift', counterparty: 'alice', hasFailed: false, feeLamports: 0n })
  expect((await readAll(first.at)).movements).toEqual([])
  expect(await market.rail.escrowBalance()).toEqual({ slot: 112n, atoms: 3007n })
  market.chain.advance(20)
  const second = await readAll(first.at)
  expect(second.movements.map(({ deltaAtoms }) => deltaAtoms)).toEqual([1000n])
  expect(await market.rail.escrowBalance()).toEqual({ slot: 132n, atoms: 4007n })
})

test('two processes see the same chain in a file, and a restart finds it again', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'flow402-mock-'))
  try {
    const file = join(folder, 'chain')
    const [one, two] = [openMarket({ file }), openMarket({ file })]
    const { charge, proof } = await one.pay()
    await two.settle(charge, proof.payload)
    expect(await two.rail.findCharge(charge, null, 0)).toMatchObject({ kind: 'landed' })
    expect(two.chain.balanceOf(mockEscrow)).toBe(1000n)
    for (const { chain } of [one, two]) chain.close()
    const three = openMarket({ file })
    expect(three.chain.balanceOf(mockEscrow)).toBe(1000n)
    three.chain.close()
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('by time: a slot passes every 400 ms, and what waited lands in its slot', async () => {
  const chain = openMockChain({ now: () => nowMs, slotMs: 400, openingAtoms: 50n })
  const late = { signature: 's', from: 'alice', to: 'bob', amountAtoms: 20n, memo: null, lastValidHeight: 10n }
  expect(chain.send(late, 'last_moment')).toBe('waiting')
  nowMs += 8_000
  expect(chain.height()).toBe(28n)
  expect(chain.find('s')).toMatchObject({ slot: 10n, hasFailed: false, landedAtMs: nowMs - 7_200 })
  expect(chain.balanceOf('alice')).toBe(30n)
})

const settings = {
  FLOW402_ENV: 'local',
  NODE_ENV: 'test',
  PAYMENT_RAIL: 'mock',
  DATABASE_URL: 'postgres://localhost/none',
  SOLANA_RPC_URL: 'http://127.0.0.1:1',
  FEE_ADDRESS: 'F'.repeat(43),
  ...Object.fromEntries(['FLOW402_SECRET', 'ESCROW_SECRET_KEY', 'FEE_PAYER_SECRET_KEY'].map((name) => [name, 'A'.repeat(43)])),
}

test('the mock rail is chosen by its name only, and refused in production and off the local chain with one line', async () => {
  const link = {} as Parameters<typeof openHouse>[2]
  const house = await openHouse(readEnv(settings), 'test', link)
  expect(house.payee).toEqual({ payTo: mockEscrow, asset: 'mock-usdc', network: 'mock:local' })
  expect([house.env.network, house.env.usdcMint]).toEqual(['mock:local', 'mock-usdc'])
  await house.close()
  const refused = [
    { NODE_ENV: 'production' },
    { NODE_ENV: undefined },
    { FLOW402_ENV: 'devnet' },
    { FLOW402_ENV: 'mainnet', NODE_ENV: 'development' },
  ]
  for (const wrong of refused) expect(() => readEnv({ ...settings, ...wrong })).toThrow(/^PAYMENT_RAIL=mock moves no money: [^\n]*$/)
  expect(() => readEnv({ ...settings, PAYMENT_RAIL: 'Mock' })).toThrow('PAYMENT_RAIL')
  expect(readEnv({ ...settings, PAYMENT_RAIL: undefined })).toMatchObject({ paymentRail: 'x402' })
})

test('the client signs mock payments only, and none above its limit', async () => {
  const market = openMarket()
  const header = await market.rail.challenge(quoteOf(), 'token', 'http://market.test')
  await expect(signMockPayment(header, { payer: 'alice', maxAmountAtoms: 999n })).rejects.toThrow('more than the agreed 999')
  const exact = btoa(JSON.stringify({ x402Version: 2, accepts: [{ scheme: 'exact', network: 'solana:x' }] }))
  await expect(signMockPayment(exact, { payer: 'alice', maxAmountAtoms: 999n })).rejects.toThrow('does not run the mock rail')
})
