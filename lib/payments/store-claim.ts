// Claiming in SQL: one statement, and so one transaction, takes the units, opens the rental, adds the payment and holds its money.
import { type Db, inOneStatement, prepare } from '../db/client.ts'
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

/** From a CTE `bought` on: the payment, and the hold of what it may bring. */
const claimFor = `
  claimed as (
    insert into payment (
      id, rental_id, kind, status, minutes, amount_atoms, currency, network, asset, pay_to, payer, message_hash, payload, identifier,
      last_valid_block_height, created_at, work_token, work_until
    )
    select :id, bought.id, :kind::payment_kind, 'claimed', :minutes::int, :amountAtoms::bigint, :currency, :network, :asset, :payTo, :payer,
      :messageHash, :payload::jsonb, :identifier, :lastValidBlockHeight::bigint, :now::timestamptz, :workToken, :workUntil::timestamptz
    from bought
    returning id, rental_id, currency, amount_atoms, created_at
  )
  insert into ledger_hold (kind, external_id, subject, debit, credit, currency, amount_atoms, created_at)
  select 'charge', id, rental_id, 'escrow', 'held', currency, amount_atoms, created_at from claimed
  returning external_id`

const claimRent = prepare<
  Omit<NewRental, 'command' | 'env'> & PaymentValues & { command: string | null; env: string },
  { external_id: string }
>(
  'claim_rent',
  `with reserved as (
    update offer set units_reserved = offer.units_reserved + :units::int
    from node
    where offer.id = :offerId and offer.published and offer.units_reserved + :units::int <= offer.units_total
      and node.id = offer.node_id and node.status = 'listed'
    returning offer.*, node.payout_address
  ), bought as (
    insert into rental (
      id, offer_id, node_id, status, units, minutes, max_minutes, kind, ram_mb, cpu_millis, disk_mb, gpu_name, vram_mb, price_atoms_per_hour,
      currency, fee_bps, payout_address, image, command, env, ssh_public_key, payer, created_at
    )
    select :rentalId, id, node_id, 'requested', :units::int, :minutes::int, max_minutes, kind, ram_mb, cpu_millis, disk_mb, gpu_name, vram_mb,
      :priceAtomsPerHour::bigint, :currency, :feeBps::int, payout_address, :image, :command::jsonb, :env::jsonb, :sshPublicKey, :payer,
      :now::timestamptz
    from reserved
    returning id
  ), ${claimFor}`,
)

/**
 * Opens a rental, state requested, that holds its units, with its claimed payment; false when the offer is not listed or has not that many
 * units left, and then nothing is written. A second claim of the same rental, payment, message or identifier breaks a unique constraint.
 */
export async function claimForRental(db: Db, rental: NewRental, payment: NewPayment): Promise<boolean> {
  const { command, env, ...terms } = rental
  const values = { ...terms, ...paymentValues(payment), command: command && JSON.stringify(command), env: JSON.stringify(env) }
  return (await inOneStatement(() => claimRent(db, values))).length === 1
}

const claimExtend = prepare<PaymentValues & { whileIn: string[] }, { external_id: string }>(
  'claim_extend',
  `with bought as (
    select id from rental where id = :rentalId and status = any(:whileIn::rental_status[]) for no key update
  ), ${claimFor}`,
)

/** Claims a payment for more minutes of a rental that is in one of these states; false when it is not. */
export async function claimForExtension(db: Db, whileIn: readonly string[], payment: NewPayment): Promise<boolean> {
  return (await inOneStatement(() => claimExtend(db, { ...paymentValues(payment), whileIn: [...whileIn] }))).length === 1
}
