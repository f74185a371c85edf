// Looking: everything the database says of one sequence, read past the market's own code, amounts as bigint and times in Unix ms.
import type { World } from './world.ts'

export type SeenRental = {
  id: string
  offerId: string
  status: 'requested' | 'paid' | 'starting' | 'running' | 'ending' | 'settled' | 'expired'
  endReason: string | null
  units: number
  minutes: number
  price: bigint
  feeBps: number
  unitsHeld: boolean
  assignedAt: number | null
  startedAt: number | null
  paidUntil: number | null
  endedAt: number | null
  usageClosedAt: number | null
  booksClosedAt: number | null
  metered: number
  prepaid: bigint
  charged: bigint
  fee: bigint
  payout: bigint
  refund: bigint
  records: number
}
export type SeenPayment = {
  id: string
  rentalId: string
  kind: 'rent' | 'extend'
  status: 'claimed' | 'submitted' | 'settled' | 'rejected' | 'expired'
  amount: bigint
  payer: string
  signature: string | null
  messageHash: string
  counted: boolean
  settledAt: number | null
  finalizedAt: number | null
  lastValidHeight: bigint | null
  lastError: string | null
}
export type SeenTransfer = {
  id: string
  rentalId: string | null
  kind: 'payout' | 'fee' | 'refund'
  externalId: string
  destination: string
  amount: bigint
  status: 'owed' | 'signed' | 'confirmed'
  signature: string | null
  /** The rentals that a payout is for. */
  rentalIds: string[] | null
}
/** The sum of an account of a rental, over its ledger entries. */
export type SeenSum = { subject: string; account: string; atoms: bigint }
export type Seen = {
  unitsReserved: number
  rentals: Map<string, SeenRental>
  payments: Map<string, SeenPayment>
  transfers: Map<string, SeenTransfer>
  sums: SeenSum[]
}

const at = (column: string) => `(extract(epoch from ${column}) * 1000)::bigint`

const question = `
  with r as (select * from rental where offer_id = any($1)), p as (select * from payment where rental_id in (select id from r)),
  t as (
    select * from transfer where rental_id in (select id from r)
    union select transfer.* from transfer join earning on earning.transfer_id = transfer.id where earning.rental_id in (select id from r)
    union select * from transfer where kind = 'refund' and external_id = any($2)
  )
  select
    (select json_object_agg(id, units_reserved) from offer where id = any($1)) as units,
    (select coalesce(json_agg(json_build_object(
      'id', id, 'offerId', offer_id, 'status', status, 'endReason', end_reason, 'units', units, 'minutes', minutes, 'price', price_atoms_per_hour,
      'feeBps', fee_bps, 'unitsHeld', units_held, 'assignedAt', ${at('assigned_at')}, 'startedAt', ${at('started_at')},
      'paidUntil', ${at('paid_until')}, 'endedAt', ${at('ended_at')}, 'usageClosedAt', ${at('usage_closed_at')},
      'booksClosedAt', ${at('books_closed_at')}, 'metered', metered_seconds, 'prepaid', prepaid_atoms, 'charged', charged_atoms,
      'fee', fee_atoms, 'payout', payout_atoms, 'refund', refund_atoms,
      'records', (select count(*) from usage_record where rental_id = r.id)
    )), '[]') from r) as rentals,
    (select coalesce(json_agg(json_build_object(
      'id', id, 'rentalId', rental_id, 'kind', kind, 'status', status, 'amount', amount_atoms, 'payer', payer, 'signature', signature,
      'messageHash', message_hash, 'counted', counted, 'settledAt', ${at('settled_at')}, 'finalizedAt', ${at('finalized_at')},
      'lastValidHeight', last_valid_block_height, 'lastError', last_error
    )), '[]') from p) as payments,
    (select coalesce(json_agg(json_build_object(
      'id', id, 'rentalId', rental_id, 'kind', kind, 'externalId', external_id, 'destination', destination, 'amount', amount_atoms,
      'status', status, 'signature', signature,
      'rentalIds', (select json_agg(rental_id) from earning where transfer_id = t.id)
    )), '[]') from t) as transfers,
    (select coalesce(json_agg(s), '[]') from (
      select subject, account, sum(amount_atoms) as atoms from ledger_entry where subject in (select id from r) group by subject, account
    ) s) as sums`

const amounts = new Set(['price', 'prepaid', 'charged', 'fee', 'payout', 'refund', 'amount', 'atoms', 'lastValidHeight'])

type Rows = Record<'rentals' | 'payments' | 'transfers' | 'sums', Record<string, unknown>[]> & { units: Record<string, number> }

/** Everything of the sequences of these offers, one by one; `debts`: what their refunds may answer. Transfers for no rental are in every one. */
export async function observe(world: World, offerIds: string[], debts: string[]): Promise<(offerId: string) => Seen> {
  const [row] = await world.sql<Rows>(question, [offerIds, debts])
  if (!row) throw new Error('nothing was seen')
  const read = <T>(rows: Record<string, unknown>[]) =>
    rows.map((each) => {
      for (const name of Object.keys(each)) if (amounts.has(name) && each[name] !== null) each[name] = BigInt(each[name] as number)
      return each as T
    })
  const byId = <T extends { id: string }>(rows: T[]) => {
    const found = new Map(rows.map((each) => [each.id, each]))
    if (found.size !== rows.length) throw new Error(`P1: one id twice: ${rows.map(({ id }) => id).join(', ')}`)
    return found
  }
  const [rentals, payments, transfers, sums] = [
    read<SeenRental>(row.rentals),
    read<SeenPayment>(row.payments),
    read<SeenTransfer>(row.transfers),
    read<SeenSum>(row.sums),
  ]
  return (offerId) => {
    const mine = new Set(rentals.filter((rental) => rental.offerId === offerId).map(({ id }) => id))
    const isMine = ({ rentalId, rentalIds }: SeenTransfer) => (rentalIds ?? [rentalId]).some((id) => id === null || mine.has(id))
    return {
      unitsReserved: row.units[offerId] ?? -1,
      rentals: byId(rentals.filter(({ id }) => mine.has(id))),
      payments: byId(payments.filter(({ rentalId }) => mine.has(rentalId))),
      transfers: byId(transfers.filter(isMine)),
      sums: sums.filter(({ subject }) => mine.has(subject)),
    }
  }
}
