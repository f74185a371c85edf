// Claiming in SQL: one statement, and so one transaction, takes the units, opens the rental, adds the payment and holds its money. Claims
// that come at the same time go together.
import type { Db } from '../db/client.ts'
import { gather } from '../db/gather.ts'
import type { NewPayment } from './store.ts'

/** What a rental is opened with beside its payment; the rest are the offer's terms as they are at this moment. */
export type NewRental = {
  offerId: string
  units: number
  priceAtomsPerHour: bigint
  feeBps: number
  image: string | null
  command: string[] | null
  env: Record<string, string>
  sshPublicKey: string | null
}

type PaymentValues = Omit<NewPayment, 'payload' | 'createdAtMs' | 'workUntilMs'> & { payload: string; now: Date; workUntil: Date }

const paymentValues = ({ createdAtMs, workUntilMs, payload, ...payment }: NewPayment): PaymentValues => ({
  ...payment,
  payload: JSON.stringify(payload),
  now: new Date(createdAtMs),
  workUntil: new Date(workUntilMs),
})

const paymentColumns: Record<keyof PaymentValues, string> = {
  id: 'text',
  rentalId: 'text',
  kind: 'payment_kind',
  minutes: 'int',
  amountAtoms: 'bigint',
  currency: 'text',
  network: 'text',
  asset: 'text',
  payTo: 'text',
  payer: 'text',
  messageHash: 'text',
  payload: 'text',
  identifier: 'text',
  lastValidBlockHeight: 'bigint',
  workToken: 'text',
  workUntil: 'timestamptz',
  now: 'timestamptz',
}

/** From a CTE `bought` on, the calls that may pay: the payments, and the holds of what they may bring. */
const claim = `
  claimed as (
    insert into payment (
      id, rental_id, kind, status, minutes, amount_atoms, currency, network, asset, pay_to, payer, message_hash, payload, identifier,
      last_valid_block_height, created_at, work_token, work_until
    )
    select id, rental_id, kind, 'claimed', minutes, amount_atoms, currency, network, asset, pay_to, payer, message_hash, payload::jsonb,
      identifier, last_valid_block_height, now, work_token, work_until
    from bought
  ), held as (
    insert into ledger_hold (kind, external_id, subject, debit, credit, currency, amount_atoms, created_at)
    select 'charge', id, rental_id, 'escrow', 'held', currency, amount_atoms, now from bought
  )
  select nth from bought`

type RentValues = Omit<NewRental, 'command' | 'env'> & PaymentValues & { command: string | null; env: string }

// Who wants the fewest units of an offer comes first: then nobody who is told that it is sold out could have had what is left. Offers are
// locked in one order, so that two runs never wait for each other.
const claimRent = gather<RentValues, { nth: bigint }>('claim_rent', {
  key: 'id',
  columns: {
    ...paymentColumns,
    offerId: 'text',
    units: 'int',
    priceAtomsPerHour: 'bigint',
    feeBps: 'int',
    image: 'text',
    command: 'text',
    env: 'text',
    sshPublicKey: 'text',
  },
  text: `free as materialized (
    select offer.id, offer.node_id, offer.units_total - offer.units_reserved as units_left, offer.kind, max_minutes, ram_mb, cpu_millis,
      disk_mb, gpu_name, vram_mb, node.payout_address
    from offer join node on node.id = offer.node_id
    where offer.id in (select offer_id from asked) and offer.published and node.status = 'listed'
    order by offer.id
    for no key update of offer
  ), placed as (
    select asked.*, sum(asked.units) over (partition by asked.offer_id order by asked.units, asked.nth) as units_up_to from asked
  ), bought as materialized (
    select placed.* from placed join free on free.id = placed.offer_id where placed.units_up_to <= free.units_left
  ), reserved as (
    update offer set units_reserved = units_reserved + taken.units
    from (select offer_id, sum(units)::int as units from bought group by offer_id) taken
    where offer.id = taken.offer_id
  ), opened as (
    insert into rental (
      id, offer_id, node_id, status, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb, gpu_name, vram_mb, price_atoms_per_hour,
      currency, fee_bps, payout_address, image, command, env, ssh_public_key, payer, created_at
    )
    select bought.rental_id, offer_id, node_id, 'requested', units, minutes, max_minutes, free.kind, ram_mb, cpu_millis, disk_mb, gpu_name,
      vram_mb, price_atoms_per_hour, currency, fee_bps, payout_address, image, command::jsonb, env::jsonb, ssh_public_key, payer, now
    from bought join free on free.id = bought.offer_id
  ), ${claim}`,
})

/**
 * Opens a rental, state requested, that holds its units, with its claimed payment; false when the offer is not listed or has not that many
 * units left, and then nothing is written. A second claim of the same rental, payment, message or identifier breaks a unique constraint.
 */
export async function claimForRental(db: Db, rental: NewRental, payment: NewPayment): Promise<boolean> {
  const { command, env, ...terms } = rental
  const values = { ...terms, ...paymentValues(payment), command: command && JSON.stringify(command), env: JSON.stringify(env) }
  return (await claimRent(db, values)) !== undefined
}

const claimExtend = gather<PaymentValues & { whileIn: string }, { nth: bigint }>('claim_extend', {
  key: 'id',
  columns: { ...paymentColumns, whileIn: 'text' },
  text: `extendable as materialized (
    select id, status from rental where id in (select rental_id from asked) order by id for no key update
  ), bought as materialized (
    select asked.* from asked join extendable on extendable.id = asked.rental_id
    where extendable.status = any(string_to_array(asked.while_in, ' ')::rental_status[])
  ), ${claim}`,
})

/** Claims a payment for more minutes of a rental that is in one of these states; false when it is not. */
export async function claimForExtension(db: Db, whileIn: readonly string[], payment: NewPayment): Promise<boolean> {
  return (await claimExtend(db, { ...paymentValues(payment), whileIn: whileIn.join(' ') })) !== undefined
}
