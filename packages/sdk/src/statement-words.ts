// Why a statement is refused, in words for people who were sent a bill.
import { formatUsdc } from '@flow402/protocol/money'
import type { StatementFault, StatementVerdict } from '@flow402/rust-lib/engine'
import { decodeRecord, recordAt, type StatedRecords, type Statement, type UsageFields } from '@flow402/rust-lib/statement'

type Refusal = StatementVerdict & { ok: false }

const parts: Record<StatementFault, 'statement' | 'records' | 'bill' | 'root'> = {
  malformed: 'statement',
  terms: 'statement',
  node_key: 'records',
  record_malformed: 'records',
  record_foreign: 'records',
  sequence: 'records',
  chain: 'records',
  time: 'records',
  signature: 'records',
  metered: 'bill',
  billed: 'bill',
  charge: 'bill',
  fee: 'bill',
  payout: 'bill',
  refund: 'bill',
  root: 'root',
}

/** Which part of a statement a fault is in: it can be read, its records hold, its bill follows from them, its root is theirs. */
export function partOf(fault: StatementFault): 'statement' | 'records' | 'bill' | 'root' {
  return parts[fault]
}

/** What is wrong with a record: the position (from 1) of the wrong one, how many there are, and what does not fit. */
export function recordWords(statement: Statement, { fault, record }: Refusal): string {
  const { bill, records } = statement
  const here = `Record ${record} of ${bill.recordCount}`
  const fields = fieldsOf(records, record)
  const before = record > 1 ? fieldsOf(records, record - 1) : null
  if (fault === 'signature')
    return `${here} is the last one and does not carry the node’s signature: it was changed after it was signed, or the node never wrote it.`
  if (fault === 'chain')
    return `${here} is not the one that record ${record + 1}, which the node’s signature vouches for, names as the one before it: it was changed, or a record between them was taken out.`
  if (fault === 'record_malformed' || !fields) return `${here} is not a usage record: its first bytes, its flags or its time are wrong.`
  if (fault === 'record_foreign') {
    const [what, said, ours] =
      fields.rentalId !== bill.rentalId
        ? ['rental', fields.rentalId, bill.rentalId]
        : fields.nodeId !== bill.nodeId
          ? ['node', fields.nodeId, bill.nodeId]
          : ['placement', fields.epoch, bill.epoch]
    return `${here} belongs to another ${what}: it says ${said}, the bill says ${ours}.`
  }
  if (fault === 'sequence') {
    if (before?.final) return `${here} follows a record that was the final one.`
    if (record === 1 && fields.seq === 1) return `${here} names a record before it, although it is the first.`
    return `${here} calls itself number ${fields.seq}: a record is missing, doubled or out of order.`
  }
  if (fields.fromSecond !== (before?.toSecond ?? 0))
    return `${here} begins at second ${fields.fromSecond}, but the one before ended at second ${before?.toSecond ?? 0}.`
  return `${here} goes from second ${fields.fromSecond} to second ${fields.toSecond}, which cannot be.`
}

/** What is wrong with the bill, the key or the root, with the figure that it states and the one that follows from the records. */
export function billWords({ fault, stated = 0n, computed = 0n }: Refusal): string {
  switch (fault) {
    case 'malformed':
      return 'The statement is not as long as its records need, or does not begin as a statement does.'
    case 'terms':
      return 'The terms of the bill are impossible: a number of them is outside of what may be agreed.'
    case 'node_key':
      return 'The node’s public key is none that could have signed anything.'
    case 'metered':
      return `The bill counts ${stated} s of use, but the signed records, the paid time and the market’s clock give ${computed} s.`
    case 'billed':
      return `The bill bills ${stated} s, but ${computed} s are to be billed.`
    case 'charge':
      return `The bill charges ${usd(stated)}, but the billed time costs ${usd(computed)} at the agreed price.`
    case 'fee':
      return `The bill takes a fee of ${usd(stated)}, but the agreed part of the charge is ${usd(computed)}.`
    case 'payout':
      return `The bill pays out ${usd(stated)}, but the charge without the fee is ${usd(computed)}.`
    case 'refund':
      return `The bill gives back ${usd(stated)}, but ${usd(computed)} of the prepaid amount were not charged.`
    case 'root':
      return 'The root in the statement is not the root of its terms and records.'
    default:
      return `A record is wrong (${fault}).`
  }
}

function fieldsOf(records: StatedRecords, position: number): UsageFields | null {
  try {
    return decodeRecord(recordAt(records, position))
  } catch (error) {
    if (error instanceof RangeError) return null
    throw error
  }
}

function usd(atoms: bigint): string {
  return `$${formatUsdc(atoms, 6)}`
}
