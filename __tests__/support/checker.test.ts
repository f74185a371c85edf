// The checker is worth something only if it finds what is wrong: each thing that must agree is broken once, and it must say so.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { checkMarket, untilQuiet } from './checker.ts'
import { forgePayment } from './forged-payment.ts'
import { openTestHouse, type TestHouse } from './house.ts'
import { runStatements } from './statements.ts'

let market: TestHouse
let settledId: string
let runningId: string
let paymentId: string
let transferId: string
beforeAll(async () => {
  market = await openTestHouse()
  settledId = (await market.rent()).rental.id
  await market.until(settledId, 'running')
  await market.advance(120_000)
  await market.machine.use(settledId, 120)
  await market.stop(settledId)
  await market.until(settledId, 'settled')
  runningId = (await market.rent({ units: 2 })).rental.id
  await market.until(runningId, 'running')
  paymentId = String((await market.sql(`select id from payment where rental_id = '${settledId}'`))[0]?.id)
  transferId = String((await market.sql(`select id from transfer where rental_id = '${settledId}' and kind = 'payout'`))[0]?.id)
})
afterAll(() => market?.close())

const check = (isQuiet = true) => checkMarket({ ...market, databaseUrl: market.databaseUrl }, { isQuiet })

let mend: string[] = []
/** Writes past every trigger and constraint of the database; `undo` is written after the test. */
async function plant(statement: string, undo: string): Promise<void> {
  mend.push(undo)
  await runStatements(market.databaseUrl, 'set session_replication_role = replica', statement)
}
afterEach(async () => {
  for (const undo of mend.reverse()) await runStatements(market.databaseUrl, 'set session_replication_role = replica', undo)
  mend = []
  await check()
})

test('a market in order is found in order, with its figures', async () => {
  await untilQuiet(market)
  expect(await check()).toEqual({ payments: 2, landedIn: 2, landedOut: 3, settledRentals: 1, ledgerTransactions: 6 })
})

test('an entry too many is found in its transaction, in its account and on chain', async () => {
  const entry = `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
    select id, 'escrow', rental_id, 'USDC', 7 from ledger_transaction where rental_id = '${settledId}' and kind = 'charge'`
  await plant(entry, 'delete from ledger_entry where amount_atoms = 7')
  await expect(check()).rejects.toThrow(/sums to 7 USDC[\s\S]*the ledger says/)
})

test('a debt that is paid twice in the books turns its account to the wrong side', async () => {
  await plant(
    `insert into ledger_transaction (id, kind, external_id, rental_id, created_at) values ('planted', 'payout', 'planted', '${settledId}', now())`,
    `delete from ledger_transaction where id = 'planted'`,
  )
  await plant(
    `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
     values ('planted', 'provider', '${settledId}', 'USDC', 5), ('planted', 'escrow', '${settledId}', 'USDC', -5)`,
    `delete from ledger_entry where transaction_id = 'planted'`,
  )
  await expect(check()).rejects.toThrow(/account provider has the wrong sign after ledger transaction planted: 5/)
})

test('units that nobody holds, and units held twice, are found', async () => {
  await plant('update offer set units_reserved = units_reserved + 1', 'update offer set units_reserved = units_reserved - 1')
  await expect(check()).rejects.toThrow(/has 3 of 8 units reserved, its rentals hold 2/)
})

test('a payment that is settled without a transfer, or not settled though it landed, is found', async () => {
  const [row] = await market.sql(`select id from payment where rental_id = '${runningId}'`)
  await plant(
    `update payment set status = 'expired' where id = '${row?.id}'`,
    `update payment set status = 'settled' where id = '${row?.id}'`,
  )
  await expect(check()).rejects.toThrow(new RegExp(`payment ${row?.id} is expired, but \\w+ landed`))
  const other = market.unknownId('payment')
  await plant(
    `update payment set id = '${other}' where id = '${paymentId}'`,
    `update payment set id = '${paymentId}' where id = '${other}'`,
  )
  await expect(check()).rejects.toThrow(new RegExp(`payment ${other} is settled, but 0 transactions pay it`))
})

test('another amount than the payment’s is found, in the rental and on chain', async () => {
  await plant(
    `update payment set amount_atoms = 10001 where id = '${paymentId}'`,
    `update payment set amount_atoms = 10000 where id = '${paymentId}'`,
  )
  await expect(check()).rejects.toThrow(/landed with another amount[\s\S]*10001 atoms paid, 10000 booked/)
})

test('a transfer that the books do not know, or that says more than was paid, is found', async () => {
  await plant(
    `update transfer set amount_atoms = amount_atoms + 1 where id = '${transferId}'`,
    `update transfer set amount_atoms = amount_atoms - 1 where id = '${transferId}'`,
  )
  await expect(check()).rejects.toThrow(/owes 1901 atoms, 1900 were paid/)
  const other = market.unknownId('transfer')
  await plant(
    `update transfer set id = '${other}' where id = '${transferId}'`,
    `update transfer set id = '${transferId}' where id = '${other}'`,
  )
  await expect(check()).rejects.toThrow(/which is not in the books[\s\S]*is confirmed, but nothing on chain pays it/)
})

test('a receipt that is missing, or says other amounts than the chain, is found', async () => {
  const [receipt] = await market.sql(`select body::text as body, digest, created_at::text from receipt where rental_id = '${settledId}'`)
  const back = `insert into receipt (rental_id, body, digest, created_at)
    values ('${settledId}', '${receipt?.body}', '${receipt?.digest}', '${receipt?.created_at}') on conflict (rental_id) do update set body = excluded.body`
  await plant(`update receipt set body = jsonb_set(body, '{transfers,2,amountAtoms}', '"1"')`, back)
  await expect(check()).rejects.toThrow(/lines come to 1[\s\S]*says that \w+ moved 1 atoms, it moved/)
  await plant('delete from receipt', back)
  await expect(check()).rejects.toThrow(new RegExp(`rental ${settledId} is settled without a receipt`))
})

test('money that came to the escrow and is in no book is found once everything is quiet', async () => {
  const quoted = await market.quote()
  const header = await forgePayment(quoted.paid.paymentRequired, market.renter, market.chain.rpcUrl)
  await market.pay(quoted.request, header)
  const [row] = await market.sql(`select id from ledger_transaction where rental_id = '${quoted.paid.rentalId}'`)
  const entries = await market.sql(`select account, amount_atoms::text as atoms from ledger_entry where transaction_id = '${row?.id}'`)
  const back = entries.map(({ account, atoms }) => `('${row?.id}', '${account}', '${quoted.paid.rentalId}', 'USDC', ${atoms})`)
  await plant(
    `delete from ledger_entry where transaction_id = '${row?.id}'`,
    `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms) values ${back.join(', ')}`,
  )
  await expect(check()).rejects.toThrow(/the escrow holds 40000 atoms on chain, the ledger says 30000|10000 atoms paid, 0 booked/)
  await expect(untilQuiet(market, { timeoutMs: 200 })).rejects.toThrow(/it never became quiet:[\s\S]*rental rnt_\w+ paid/)
})
