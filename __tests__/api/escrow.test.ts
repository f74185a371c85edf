// The escrow's history: whatever touches the escrow is noticed on finalized blocks, booked once, and what nobody asked for goes back.
import type { KeyPairSigner } from '@solana/kit'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openDatabase } from '../../lib/db/client.ts'
import { checkReserves } from '../../lib/payments/check-reserves.ts'
import { scanEscrow } from '../../lib/payments/scan-escrow.ts'
import { planFault } from '../support/chain-fault.ts'
import { emptyBooks } from '../support/empty-books.ts'
import { openTestHouse, type TestHouse } from '../support/house.ts'
import { sendUsdc } from '../support/send-usdc.ts'

let market: TestHouse
beforeAll(async () => {
  market = await openTestHouse({ slotMs: 60 })
})
afterAll(() => market.close())

const toEscrow = (wallet: KeyPairSigner, atoms: bigint, memo?: string) =>
  sendUsdc({ rpcUrl: market.chain.rpcUrl, usdcMint: market.env.usdcMint }, wallet, {
    to: market.addresses.escrow,
    atoms,
    ...(memo === undefined ? {} : { memo }),
  })

/** Lets every timer run until a question is answered with yes. */
async function tickUntil(what: string, isSo: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 30_000
  while (!(await isSo())) {
    if (Date.now() > giveUpAt) throw new Error(`it never came to this: ${what}`)
    await market.advance(0)
    await market.tick()
  }
}

const fateOf = async (signature: string) => (await market.sql(`select fate from escrow_movement where signature = '${signature}'`))[0]?.fate
const books = () => market.ledger()

describe('P5: money that nobody asked for', () => {
  test('is booked as unmatched and goes back to who sent it, once, however often the history is read', async () => {
    const friend = await market.wallet(1_000_000n)
    const signature = await toEscrow(friend, 250_000n, 'a gift')
    await tickUntil('the gift is back', async () => (await market.usdcOf(friend.address)) === 1_000_000n)
    await market.sql('update escrow_scan set done_to = null, pass_top = null, pass_before = null')
    for (let again = 0; again < 3; again++) await market.tick()
    expect(await fateOf(signature)).toBe('unmatched')
    expect(await market.usdcOf(friend.address)).toBe(1_000_000n)
    await tickUntil('the refund is booked', async () => (await books()).unmatched === 0n)
    expect(await books()).toEqual(emptyBooks)
    expect(await market.sql(`select count(*)::int as n from transfer where external_id = '${signature}'`)).toEqual([{ n: 1 }])
  })

  test('that is dust is booked and kept, because sending it back would cost more', async () => {
    const friend = await market.wallet(10_000n)
    const signature = await toEscrow(friend, 1_999n)
    await tickUntil('it is seen', async () => (await fateOf(signature)) === 'dust')
    expect((await books()).unmatched).toBe(-1_999n)
    expect(await market.sql(`select 1 from transfer where external_id = '${signature}'`)).toEqual([])
  })

  test('a payment that was made a second time for the same quote goes back, and the rental is paid once', async () => {
    const friend = await market.wallet(1_000_000n)
    const quoted = await market.quote()
    expect((await market.pay(quoted.request, await market.sign(quoted))).status).toBe(201)
    const signature = await toEscrow(friend, 10_000n, quoted.paid.paymentId)
    await tickUntil('the second one is back', async () => (await market.usdcOf(friend.address)) === 1_000_000n)
    expect(await fateOf(signature)).toBe('unmatched')
    expect((await market.rental(quoted.paid.rentalId)).prepaidAtoms).toBe('10000')
    await market.stop(quoted.paid.rentalId)
    await market.until(quoted.paid.rentalId, 'settled')
  })

  test('that names a payment which nobody claims waits for its claim, and then goes back', async () => {
    const friend = await market.wallet(1_000_000n)
    const quoted = await market.quote()
    const signature = await toEscrow(friend, 10_000n, quoted.paid.paymentId)
    await tickUntil('it is seen', async () => (await fateOf(signature)) === 'waiting')
    await market.advance(200_000)
    await tickUntil('it is back', async () => (await market.usdcOf(friend.address)) === 1_000_000n)
    expect(await fateOf(signature)).toBe('unmatched')
  })

  test('a receipt that was given back pays for nothing any more, even if its payment is claimed afterwards', async () => {
    const quoted = await market.quote()
    const header = await market.sign(quoted)
    const before = (await market.balances()).renter
    // Broadcast by the facilitator, but the market never came to claim it: a crash before the claim cannot do that, a hostile client can.
    const proof = market.house.rail.readProof(header)
    const charge = { ...quoted.paid, amountAtoms: BigInt(quoted.paid.price.prepaidAtoms), ...market.house.payee }
    const outcome = await market.house.rail.settle(charge, proof.payload, async () => undefined)
    expect(outcome.kind).toBe('landed')
    const signature = outcome.kind === 'landed' ? outcome.signature : ''
    await tickUntil('it is seen', async () => (await fateOf(signature)) === 'waiting')
    await market.sql(`update escrow_movement set fate = 'unmatched' where signature = '${signature}'`)
    const late = await market.pay(quoted.request, header)
    expect([402, 202]).toContain(late.status)
    expect(await market.untilDecided(quoted.paid.paymentId).catch(() => 'unclaimed')).not.toBe('settled')
    await market.sql(`update escrow_movement set fate = 'waiting' where signature = '${signature}'`)
    await market.advance(200_000)
    await tickUntil('it is back', async () => (await market.balances()).renter === before)
  })
})

describe('finality', () => {
  test('P7: nothing leaves the escrow for a rental before its payment is on a finalized block', async () => {
    await planFault(market.chain.rpcUrl, { finalityStalls: true })
    const { rental } = await market.rent()
    await market.stop(rental.id)
    for (let beat = 0; beat < 5; beat++) await market.tick()
    expect(await market.sql(`select 1 from transfer where rental_id = '${rental.id}'`)).toEqual([])
    expect((await market.rental(rental.id)).state).toBe('ending')
    await planFault(market.chain.rpcUrl, { finalityStalls: false })
    await market.until(rental.id, 'settled')
  })

  test('a payment that a fork takes away is sent again and counts when it lands again', async () => {
    const before = (await market.balances()).escrow
    await planFault(market.chain.rpcUrl, { finalityStalls: true })
    const { rental } = await market.rent()
    const [row] = await market.sql(`select signature from payment where rental_id = '${rental.id}'`)
    await planFault(market.chain.rpcUrl, { fork: String(row?.signature) })
    expect((await market.balances()).escrow).toBe(before)
    await planFault(market.chain.rpcUrl, { finalityStalls: false })
    await market.advance(31_000)
    await market.tick()
    expect((await market.balances()).escrow).toBe(before + 10_000n)
    await market.stop(rental.id)
    await market.until(rental.id, 'settled')
    expect(await market.paymentState(String((await market.sql(`select id from payment where rental_id = '${rental.id}'`))[0]?.id))).toBe(
      'settled',
    )
  })

  test('a payment that a fork takes away for good is undone: ledger reversed, rental ended, nobody is paid, nothing is billed', async () => {
    const [before, booksBefore] = [await market.balances(), await books()]
    await planFault(market.chain.rpcUrl, { finalityStalls: true })
    const { rental } = await market.rent()
    await market.until(rental.id, 'running')
    const [row] = await market.sql(`select id, signature from payment where rental_id = '${rental.id}'`)
    await planFault(market.chain.rpcUrl, { fork: String(row?.signature), forever: true })
    await planFault(market.chain.rpcUrl, { finalityStalls: false })
    await tickUntil('it is undone', async () => {
      // Slots pass in real time, and the rental's paid time must not be over before the transaction's is.
      await new Promise((resolve) => setTimeout(resolve, 250))
      await market.advance(6_000)
      return (await market.paymentState(String(row?.id))) === 'expired'
    })
    const settled = await market.until(rental.id, 'settled')
    expect(settled).toMatchObject({ endReason: 'payment_reversed', prepaidAtoms: '0', chargedAtoms: '0', refundAtoms: '0' })
    expect(await market.balances()).toEqual(before)
    expect(await books()).toEqual(booksBefore)
  })
})

describe('L8: the reserves', () => {
  const check = async () => {
    for (;;) {
      const found = await checkReserves(market.house)
      if (found) return found
    }
  }

  test('chain and books agree while rentals run, and money that left without us freezes payouts but no refund', async () => {
    const { rental } = await market.rent()
    await tickUntil('the payment is final', async () => {
      const rows = await market.sql(`select 1 from payment where rental_id = '${rental.id}' and finalized_at is not null`)
      return rows.length === 1
    })
    const { escrow } = await market.balances()
    expect(escrow).toBeGreaterThanOrEqual(10_000n)
    expect(await check()).toMatchObject({ chainAtoms: escrow, ledgerAtoms: escrow, waitingAtoms: 0n, differenceAtoms: 0n })
    // A row that nobody booked: as after a theft or a bug.
    await market.sql(
      `insert into escrow_movement (signature, fate, delta_atoms, slot, landed_at, created_at) values ('planted', 'unmatched', 5, 1, now(), now())`,
    )
    await market.sql(
      `with t as (insert into ledger_transaction (id, kind, external_id, signature, created_at) values ('ltx_planted', 'unmatched', 'planted', 'planted', now()) returning id)
       insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms) select id, v.a, 'planted', 'USDC', v.n from t, (values ('escrow', 5), ('unmatched', -5)) v (a, n)`,
    )
    expect((await check()).differenceAtoms).toBe(-5n)
    await market.until(rental.id, 'running')
    await market.advance(300_000)
    await market.machine.use(rental.id, 300)
    await market.stop(rental.id)
    await tickUntil('the refund is out', async () => {
      const rows = await market.sql(`select 1 from transfer where rental_id = '${rental.id}' and kind = 'refund' and status = 'confirmed'`)
      return rows.length === 1
    })
    for (let beat = 0; beat < 5; beat++) await market.tick()
    const owed = await market.sql(`select kind from transfer where rental_id = '${rental.id}' and status = 'owed' order by kind`)
    expect(owed).toEqual([{ kind: 'payout' }, { kind: 'fee' }])
    await market.sql(`delete from escrow_movement where signature = 'planted'`)
    expect((await check()).differenceAtoms).toBe(0n)
    await market.until(rental.id, 'settled')
  })

  test('what the escrow held before the market opened is the market’s own and is neither refunded nor an alarm', async () => {
    const other = await openTestHouse({ slotMs: 60 })
    try {
      const owner = await other.wallet(5_000_000n)
      await sendUsdc({ rpcUrl: other.chain.rpcUrl, usdcMint: other.env.usdcMint }, owner, { to: other.addresses.escrow, atoms: 700_000n })
      await other.sql(`update escrow_scan set opened_at = now() + interval '1 hour'`)
      await new Promise((resolve) => setTimeout(resolve, 500))
      const found = await checkReserves(other.house)
      expect(found).toMatchObject({ chainAtoms: 700_000n, ledgerAtoms: 700_000n, differenceAtoms: 0n })
      expect(await other.ledger()).toEqual({ ...emptyBooks, escrow: 700_000n, capital: -700_000n })
    } finally {
      await other.close()
    }
  })
})

describe('L2: the books', () => {
  test('can be added to by the application and not changed, emptied or unguarded by it', async () => {
    const db = openDatabase(market.databaseUrl, { max: 1 })
    try {
      for (const table of [
        'ledger_transaction',
        'ledger_entry',
        'ledger_hold',
        'ledger_hold_end',
        'usage_record',
        'receipt',
        'event',
      ] as const) {
        const denied = { code: '42501' }
        await expect(db.deleteFrom(table).execute()).rejects.toMatchObject(denied)
        await expect(db.schema.dropTable(table).execute()).rejects.toMatchObject(denied)
      }
      await expect(db.updateTable('ledger_entry').set({ amount_atoms: 1n }).execute()).rejects.toMatchObject({ code: '42501' })
    } finally {
      await db.destroy()
    }
  })

  test('L1: a transaction that does not sum to zero is refused, and so is one that would owe less than nothing (L3)', async () => {
    const add = (entries: string) =>
      market.sql(
        `with t as (insert into ledger_transaction (id, kind, external_id, created_at) values ('ltx_wrong', 'settle', 'wrong', now()) returning id)
         insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms) select id, v.a, 'wrong', 'USDC', v.n from t, (values ${entries}) v (a, n)`,
      )
    await expect(add(`('held', 5), ('provider', -4)`)).rejects.toThrow('does not sum to zero')
    await expect(add(`('held', 5), ('provider', -5)`)).rejects.toThrow('less than nothing')
  })
})

describe('scanning', () => {
  test('goes on where it stood: a history longer than a page is read bit by bit, each movement once', async () => {
    const friend = await market.wallet(3_000_000n)
    const before = (await books()).unmatched
    for (let each = 0; each < 130; each++) await toEscrow(friend, 100n + BigInt(each))
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    expect((await scanEscrow(market.house))?.isComplete).toBe(false)
    const [two] = await Promise.all([scanEscrow(market.house), scanEscrow(market.house)])
    while (!(await scanEscrow(market.house))?.isComplete);
    expect(two === undefined || two.isComplete).toBe(true)
    const sum = 130n * 100n + (129n * 130n) / 2n
    expect((await books()).unmatched).toBe(before - sum)
  })
})
