// Reserves and the admin's view of the money over the API: what is owed is shown, proved to who it is owed to, and audited.

import { randomBytes } from 'node:crypto'
import { verifyReserveProof } from '@flow402/sdk/reserve-proof'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openTestHouse, type TestHouse } from '../support/house.ts'

const adminToken = randomBytes(32).toString('base64url')
const admin = { authorization: `Bearer ${adminToken}` }
let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ terms: { unitsTotal: 40 }, settings: () => ({ ADMIN_TOKEN: adminToken }) })
})
afterAll(() => market.close())

type Line = { code: string; holds: boolean; wrong: string[]; figure: string }
async function audit(): Promise<string[]> {
  const answer = await market.ask('GET', '/api/admin/audit', undefined, admin)
  expect(answer.status).toBe(200)
  return (answer.body.lines as Line[]).flatMap(({ code, wrong }) => wrong.map((text) => `${code} ${text}`))
}
const client = () => market.client()

/** Lets the market work and compares chain with books until the newest snapshot is of this owed sum. */
async function untilOwed(atoms: bigint): Promise<void> {
  await expect
    .poll(async () => {
      await market.tick()
      await market.advance(11_000)
      const check = await market.ask('POST', '/api/admin/reserve-checks', undefined, admin)
      expect(check.status).toBe(200)
      return (await client().reserves()).snapshot?.liabilitiesAtoms
    })
    .toBe(atoms.toString())
}

test('before the first comparison nothing is claimed', async () => {
  expect(await client().reserves()).toMatchObject({
    escrow: market.addresses.escrow,
    network: market.env.network,
    asset: market.env.usdcMint,
    snapshot: null,
    checkedAt: null,
    differenceAtoms: null,
    frozen: false,
  })
  expect((await client().reserves()).escrowAccount).toMatch(/^[1-9A-HJ-NP-Za-km-z]{32,44}$/)
  expect(await audit()).toEqual([])
})

test('L8: three renters are owed what they paid, each can prove that it is in the sum, and nobody can prove another’s', async () => {
  const rented = [await market.rent({ minutes: 10 }), await market.rent({ minutes: 20 }), await market.rent({ minutes: 30 })]
  await untilOwed(60_000n)
  const reserves = await client().reserves()
  const { snapshot } = reserves
  expect(snapshot).toMatchObject({ onChainAtoms: '60000', capitalAtoms: '0', waitingAtoms: '0', leaves: 3 })
  expect(snapshot?.breakdown).toEqual({ held: '60000', provider: '0', disputed: '0', refund: '0', fee: '0', unmatched: '0' })
  expect(reserves).toMatchObject({ differenceAtoms: '0', frozen: false })
  expect((await market.balances()).escrow).toBe(60_000n)

  for (const { rental, accessToken } of rented) {
    const proof = await client().reserveProof({ params: { id: rental.id }, accessToken })
    expect(proof.leaf).toEqual({ subject: rental.id, amountAtoms: rental.prepaidAtoms })
    expect(await verifyReserveProof(proof, snapshot ?? undefined)).toMatchObject({ isValid: true })
    const richer = { ...proof, leaf: { ...proof.leaf, amountAtoms: '1' } }
    expect(await verifyReserveProof(richer, snapshot ?? undefined)).toMatchObject({ isValid: false })
  }
  const [first, second] = rented
  const path = `/api/rentals/${first?.rental.id}/reserve-proof`
  expect((await market.ask('GET', path)).status).toBe(401)
  expect((await market.ask('GET', path, undefined, { authorization: `Bearer ${second?.accessToken}` })).status).toBe(404)

  // While one of them is divided among its parties the sum stays what the chain holds.
  const id = first?.rental.id ?? ''
  await market.until(id, 'running')
  await market.advance(300_000)
  await market.machine.use(id, 300)
  await market.stop(id)
  await market.until(id, 'settled')
  await untilOwed(50_000n)
  expect((await client().reserves()).snapshot).toMatchObject({ onChainAtoms: '50000', leaves: 2 })
  const gone = await market.ask('GET', path, undefined, market.bearer(id))
  expect([gone.status, gone.body.code]).toEqual([409, 'not_in_reserves'])
  expect(await audit()).toEqual([])
})

test('a difference freezes: it is shown at once, the last right snapshot stays, and the audit fails in L8', async () => {
  const before = await client().reserves()
  const [row] = await market.sql('select max(slot) + 1 as slot from reserve_check')
  await market.sql(
    `insert into reserve_check (slot, chain_atoms, ledger_atoms, waiting_atoms, difference_atoms, created_at) values (${row?.slot}, 1, 2, 0, -1, now())`,
  )
  expect(await client().reserves()).toMatchObject({ frozen: true, differenceAtoms: '-1', snapshot: before.snapshot })
  const found = await audit()
  expect(found).toHaveLength(1)
  expect(found[0]).toContain('L8 the chain differs from the books by -0.000001')
  // The next comparison finds none.
  expect((await market.ask('POST', '/api/admin/reserve-checks', undefined, admin)).body).toMatchObject({ differenceAtoms: '0' })
  expect(await client().reserves()).toMatchObject({ frozen: false })
  const listed = await market.ask('GET', '/api/admin/reserve-checks?limit=2', undefined, admin)
  expect((listed.body.items as { differenceAtoms: string }[]).map(({ differenceAtoms }) => differenceAtoms)).toEqual(['0', '-1'])
})

test('what is owed and has not arrived is listed with its age and its error, and the admin’s doors open to nobody else', async () => {
  await market.sql(
    `insert into transfer (id, kind, external_id, destination, amount_atoms, currency, attempts, last_error, created_at)
     values ('trf_' || repeat('1', 32), 'refund', 'made-up', 'nobody', 5, 'USDC', 3, 'the account is frozen', now() - interval '1 hour')`,
  )
  const debts = await client().debts({ accessToken: adminToken })
  expect(debts.transferCount).toBeGreaterThan(0)
  expect(debts.transfers[0]).toMatchObject({
    kind: 'refund',
    amountAtoms: '5',
    status: 'owed',
    attempts: 3,
    lastError: 'the account is frozen',
  })
  expect(debts.transfers[0]?.ageSeconds).toBeGreaterThanOrEqual(3_600)
  for (const [method, path] of [
    ['GET', '/api/admin/audit'],
    ['GET', '/api/admin/debts'],
    ['GET', '/api/admin/reserve-checks'],
    ['POST', '/api/admin/reserve-checks'],
  ] as const) {
    for (const headers of [{}, { authorization: `Bearer ${adminToken}x` }])
      expect((await market.ask(method, path, undefined, headers)).status).toBe(401)
  }
  expect((await market.ask('GET', '/api/admin/debts?limit=0', undefined, admin)).status).toBe(422)
})

test('twenty snapshots are kept', async () => {
  const rows = async () => (await market.sql('select count(*)::int as n, max(id)::int as newest from reserve_snapshot'))[0]
  const first = Number((await rows())?.newest)
  for (let n = 0; n < 22; n++) {
    await market.advance(11_000)
    expect((await market.ask('POST', '/api/admin/reserve-checks', undefined, admin)).status).toBe(200)
  }
  expect(await rows()).toEqual({ n: 20, newest: first + 22 })
  expect(
    (await market.sql('select count(*)::int as n from reserve_leaf where snapshot_id not in (select id from reserve_snapshot)'))[0]?.n,
  ).toBe(0)
})
