// References between rows of money that no foreign key holds any more (db/migrations/0004): still nothing refers to what is not there.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freshDatabase } from '../../__tests__/support/database.ts'
import { plantBooks, plantedId } from '../../__tests__/support/planted-books.ts'
import { runStatements } from '../../__tests__/support/statements.ts'

let database: Awaited<ReturnType<typeof freshDatabase>>
let ids: { rental: string; payment: string; transfer: string }
beforeAll(async () => {
  database = await freshDatabase()
  await plantBooks(database.url, 3)
  const nth = (prefix: 'rnt' | 'pay' | 'trf') => plantedId(database.url, prefix, 1)
  ids = { rental: await nth('rnt'), payment: await nth('pay'), transfer: await nth('trf') }
})
afterAll(() => database?.drop())

/** A copy of an existing row with some columns changed: past all code, by the owner of the tables. */
const copyOf = (table: string, where: string, changed: Record<string, string>) =>
  `insert into ${table} select (jsonb_populate_record(row, '${JSON.stringify(changed)}')).* from ${table} row where ${where} limit 1`
const id = (prefix: string, n: number) => `${prefix}_${n.toString(16).padStart(32, '0')}`
const nothing = id('rnt', 1)

const dangling: [what: string, statement: () => string][] = [
  ['a rental on no machine', () => copyOf('rental', `id = '${ids.rental}'`, { id: id('rnt', 2), node_id: id('nod', 2) })],
  ['a rental of no offer', () => copyOf('rental', `id = '${ids.rental}'`, { id: id('rnt', 3), offer_id: id('ofr', 2) })],
  [
    'a payment for no rental',
    () => copyOf('payment', `id = '${ids.payment}'`, { id: id('pay', 2), rental_id: nothing, message_hash: 'm', signature: 's' }),
  ],
  [
    'a transfer for no rental',
    () => copyOf('transfer', `id = '${ids.transfer}'`, { id: id('trf', 2), rental_id: nothing, external_id: 'e', signature: 's' }),
  ],
  ['an earning with no rental', () => copyOf('earning', 'true', { external_id: 'e', rental_id: nothing })],
  ['an earning of no machine', () => copyOf('earning', 'true', { external_id: 'e', node_id: id('nod', 2) })],
  ['an earning paid by no transfer', () => copyOf('earning', 'true', { external_id: 'e', transfer_id: id('trf', 3) })],
  ['a posting about no rental', () => copyOf('ledger_transaction', `kind = 'charge'`, { id: 'l', external_id: 'e', rental_id: nothing })],
  [
    'entries of no posting',
    () => `insert into ledger_entry (transaction_id, account, subject, currency, amount_atoms)
      values ('none', 'escrow', 'market', 'USDC', 1), ('none', 'capital', 'market', 'USDC', -1)`,
  ],
  ['the end of no hold', () => copyOf('ledger_hold_end', `kind = 'charge'`, { external_id: 'none' })],
  [
    'the end of a hold with no posting',
    () =>
      `insert into ledger_hold_end select 'charge', external_id, 'posted', 'none', now() from ledger_hold hold
       where kind = 'charge' and not exists (select from ledger_hold_end ended where ended.external_id = hold.external_id) limit 1`,
  ],
]
test.each(dangling)('%s is refused', async (_what, statement) => {
  await expect(runStatements(database.url, statement())).rejects.toThrow(/foreign key|does not exist/)
})

const leaving: [what: string, statement: () => string][] = [
  ['a machine', () => 'delete from node'],
  ['a rental', () => `delete from rental where id = '${ids.rental}'`],
  ['all rentals', () => 'truncate rental cascade'],
  ['a payment', () => `delete from payment where id = '${ids.payment}'`],
  ['a transfer', () => `delete from transfer where id = '${ids.transfer}'`],
  ['an earning', () => 'delete from earning'],
  ['an offer that was rented', () => 'delete from offer'],
]
test.each(leaving)('%s does not go away', async (_what, statement) => {
  await expect(runStatements(database.url, statement())).rejects.toThrow(/foreign key/)
})

const renamed: [what: string, statement: () => string][] = [
  ['a rental', () => `update rental set id = '${id('rnt', 9)}' where id = '${ids.rental}'`],
  ['the machine of a rental', () => `update rental set node_id = '${id('nod', 9)}' where id = '${ids.rental}'`],
  ['the rental of a payment', () => `update payment set rental_id = '${nothing}' where id = '${ids.payment}'`],
  ['the rental of a transfer', () => `update transfer set rental_id = '${nothing}' where id = '${ids.transfer}'`],
  ['the rental of an earning', () => `update earning set rental_id = '${nothing}'`],
]
test.each(renamed)('%s does not change', async (_what, statement) => {
  await expect(runStatements(database.url, statement())).rejects.toThrow(/foreign key/)
})
