// The checker: after a fault it reads the chain and the database, past all of the market's code, and says what does not agree.
import { type LandedTransaction, readBalance, readHistory } from './chain-history.ts'
import { runStatements } from './statements.ts'

/** What the checker must know of a market; both the house in this process and the house of replicas have it. */
export type CheckedMarket = {
  databaseUrl: string
  chain: { rpcUrl: string }
  addresses: { escrow: string }
  env: { usdcMint: string }
}

/** What was checked, for the words of an outcome. */
export type Checked = { payments: number; landedIn: number; landedOut: number; settledRentals: number; ledgerTransactions: number }

type Row = Record<string, string | null>
type Facts = {
  payments: Row[]
  rentals: Row[]
  transfers: Row[]
  receipts: { rental_id: string; body: ReceiptBody }[]
  /** Signatures of what came for nothing that was asked for and is booked as that. */
  strays: Set<string>
  ledgerEscrow: bigint
  history: LandedTransaction[]
  escrow: string
}
type ReceiptBody = {
  prepaidAtoms: string
  payoutAtoms: string
  feeAtoms: string
  refundAtoms: string
  chargedAtoms: string
  /** `transaction` is null for a payout that is still owed. */
  transfers: { kind: string; amountAtoms: string; from: string; to: string; transaction: string | null }[]
}

/**
 * Waits until nothing is under way: no payment undecided, no transfer unpaid, no rental between two states that pass by themselves.
 * `meanwhile` runs between two looks, for houses in which nothing happens by itself. Throws with what is still open.
 */
export async function untilQuiet(
  market: Pick<CheckedMarket, 'databaseUrl'>,
  options: { timeoutMs?: number; meanwhile?: () => Promise<unknown> } = {},
): Promise<void> {
  const giveUpAt = Date.now() + (options.timeoutMs ?? 60_000)
  for (;;) {
    const open = await runStatements(
      market.databaseUrl,
      `select 'payment ' || id || ' ' || status as what, last_error as why from payment where status in ('claimed', 'submitted')
       union all select 'transfer ' || kind || ' ' || id || ' ' || status, last_error from transfer where status <> 'confirmed'
       union all select 'rental ' || id || ' ' || status, end_detail from rental
         where status in ('requested', 'paid', 'starting', 'ending')
       -- A provider that asks for a minimum or an interval is owed for as long as that takes.
       union all select 'earning ' || external_id, 'not paid out' from earning join node on node.id = earning.node_id
         where transfer_id is null and amount_atoms > disputed_atoms and payable_at <= now()
           and payout_min_atoms = 0 and payout_interval_seconds = 0
       union all select 'hold ' || kind || ' ' || external_id, 'neither posted nor voided' from ledger_hold
         where not exists (select 1 from ledger_hold_end as ended where (ended.kind, ended.external_id) = (ledger_hold.kind, ledger_hold.external_id))`,
    )
    if (open.length === 0) return
    if (Date.now() > giveUpAt) throw new Error(`it never became quiet:\n  ${open.map(({ what, why }) => `${what} (${why})`).join('\n  ')}`)
    await (options.meanwhile?.() ?? new Promise((resolve) => setTimeout(resolve, 100)))
  }
}

/**
 * Throws an Error that lists everything that does not agree. `isQuiet: false` leaves out what is only true when nothing is under way:
 * that the escrow holds what the ledger says, and that what landed is booked already.
 */
export async function checkMarket(market: CheckedMarket, options: { isQuiet?: boolean } = {}): Promise<Checked> {
  const isQuiet = options.isQuiet ?? true
  const wrong: string[] = []
  await checkLedger(market, wrong)
  await checkUnits(market, wrong)
  await checkEarnings(market, wrong)
  await checkBookings(market, wrong)
  const facts = await readFacts(market)
  checkPayments(facts, isQuiet, wrong)
  checkOutgoing(facts, isQuiet, wrong)
  await checkRentals(market, facts, wrong)
  checkReceipts(facts, wrong)
  if (isQuiet) {
    const onChain = await readBalance(market.chain.rpcUrl, market.addresses.escrow, market.env.usdcMint)
    if (onChain !== facts.ledgerEscrow) wrong.push(`the escrow holds ${onChain} atoms on chain, the ledger says ${facts.ledgerEscrow}`)
  }
  if (wrong.length > 0) throw new Error(`${wrong.length} things do not agree:\n  ${wrong.join('\n  ')}`)
  const landed = facts.history.map((transaction) => moved(transaction, facts.escrow))
  return {
    payments: facts.payments.length,
    landedIn: landed.filter((atoms) => atoms > 0n).length,
    landedOut: landed.filter((atoms) => atoms < 0n).length,
    settledRentals: facts.rentals.filter(({ status }) => status === 'settled').length,
    ledgerTransactions: Number(await one(market, 'select count(*)::text from ledger_transaction')),
  }
}

/** Every transaction sums to zero per currency; no liability is ever on our side of the books, at no point of its history. */
async function checkLedger(market: CheckedMarket, wrong: string[]): Promise<void> {
  for (const { transaction_id, currency, sum } of await rows(
    market,
    `select transaction_id::text, currency, sum(amount_atoms)::text as sum from ledger_entry group by 1, 2 having sum(amount_atoms) <> 0`,
  ))
    wrong.push(`ledger transaction ${transaction_id} sums to ${sum} ${currency}`)
  for (const { id, kind } of await rows(
    market,
    `select id::text, kind::text from ledger_transaction t where not exists (select 1 from ledger_entry e where e.transaction_id = t.id)`,
  ))
    wrong.push(`ledger transaction ${id} (${kind}) has no entries`)
  for (const { account, id, balance } of await rows(
    market,
    `select distinct on (account) account::text, transaction_id::text as id, balance::text from (
       select account, transaction_id, last_id,
         sum(atoms) over (partition by account, currency order by last_id) as balance
       from (select account, currency, transaction_id, max(id) as last_id, sum(amount_atoms) as atoms
             from ledger_entry group by 1, 2, 3) as per_transaction) as running
     join ledger_account on ledger_account.code = running.account
     where case side when 'debit' then balance < 0 else balance > 0 end
     order by account, last_id`,
  ))
    wrong.push(`account ${account} has the wrong sign after ledger transaction ${id}: ${balance}`)
  for (const { account, subject, sum } of await rows(
    market,
    `select account::text, subject::text, sum(amount_atoms)::text as sum
     from ledger_entry join ledger_account on ledger_account.code = account
     group by account, subject, side having case side when 'debit' then sum(amount_atoms) < 0 else sum(amount_atoms) > 0 end`,
  ))
    wrong.push(`account ${account} of ${subject} ends on the wrong side: ${sum}`)
}

/** Units reserved are those of the rentals that hold units, and never more than there are. */
async function checkUnits(market: CheckedMarket, wrong: string[]): Promise<void> {
  for (const { id, reserved, total, held } of await rows(
    market,
    `select o.id, o.units_reserved::text as reserved, o.units_total::text as total, coalesce(sum(r.units), 0)::text as held
     from offer o left join rental r on r.offer_id = o.id and r.units_held group by o.id
     having o.units_reserved <> coalesce(sum(r.units), 0) or o.units_reserved not between 0 and o.units_total`,
  ))
    wrong.push(`offer ${id} has ${reserved} of ${total} units reserved, its rentals hold ${held}`)
}

/** Every settled payment and every confirmed transfer is booked, once, with its amount and its signature. */
async function checkBookings(market: CheckedMarket, wrong: string[]): Promise<void> {
  for (const { what, atoms, booked, times } of await rows(
    market,
    `with moved as (
       select 'charge' as kind, id, amount_atoms as atoms from payment where status = 'settled'
       union all select kind::text, id, -amount_atoms from transfer where status = 'confirmed')
     select moved.kind || ' ' || moved.id as what, moved.atoms::text, coalesce(sum(entry.amount_atoms), 0)::text as booked,
       count(distinct booking.id)::text as times
     from moved left join ledger_transaction booking on booking.kind = moved.kind and booking.external_id = moved.id
     left join ledger_entry entry on entry.transaction_id = booking.id and entry.account = 'escrow'
     group by moved.kind, moved.id, moved.atoms having coalesce(sum(entry.amount_atoms), 0) <> moved.atoms`,
  ))
    wrong.push(`the ${what} moved ${atoms} atoms, ${booked} are booked for it (${times} times)`)
}

/** What a payout carries is exactly what its earnings are, less what disputes took. */
async function checkEarnings(market: CheckedMarket, wrong: string[]): Promise<void> {
  for (const { id, atoms, earned } of await rows(
    market,
    `select transfer.id, transfer.amount_atoms::text as atoms, coalesce(sum(earning.amount_atoms - earning.disputed_atoms), 0)::text as earned
     from transfer left join earning on earning.transfer_id = transfer.id where transfer.kind = 'payout' group by transfer.id
     having transfer.amount_atoms <> coalesce(sum(earning.amount_atoms - earning.disputed_atoms), 0)`,
  ))
    wrong.push(`payout ${id} carries ${atoms} atoms, its earnings are ${earned}`)
  for (const { id, payout, earned } of await rows(
    market,
    `select rental.id, payout_atoms::text as payout, coalesce(sum(amount_atoms), 0)::text as earned
     from rental left join earning on earning.external_id = rental.id where books_closed_at is not null group by rental.id
     having payout_atoms <> coalesce(sum(amount_atoms), 0)`,
  ))
    wrong.push(`rental ${id} earned its provider ${payout} atoms, ${earned} are written down`)
}

async function readFacts(market: CheckedMarket): Promise<Facts> {
  const { escrow } = market.addresses
  // The database first: what is settled there must have landed before.
  const [payments, rentals, transfers, receipts, strays, ledgerEscrow] = await Promise.all([
    rows(market, `select id, rental_id, status::text, amount_atoms::text as atoms, signature, counted::text from payment`),
    rows(
      market,
      `select id, status::text, prepaid_atoms::text as prepaid, payout_atoms::text as payout, fee_atoms::text as fee,
       refund_atoms::text as refund, charged_atoms::text as charged, (books_closed_at is not null)::text as closed from rental`,
    ),
    rows(market, `select id, kind::text, status::text, amount_atoms::text as atoms, signature, anchor from transfer`),
    runStatements(market.databaseUrl, 'select rental_id, body from receipt') as Promise<Facts['receipts']>,
    rows(market, `select external_id from ledger_transaction where kind = 'unmatched'`),
    one(market, `select coalesce(sum(amount_atoms), 0)::text from ledger_entry where account = 'escrow'`),
  ])
  const history = await readHistory(market.chain.rpcUrl, escrow, market.env.usdcMint)
  const strayed = new Set(strays.map((row) => String(row.external_id)))
  return { payments, rentals, transfers, receipts, strays: strayed, ledgerEscrow: BigInt(ledgerEscrow), history, escrow }
}

/**
 * A payment is settled exactly when one landed transaction carries its memo and its exact amount. Others may carry its memo when they are
 * booked as owed back: anybody can write it.
 */
function checkPayments({ payments, history, strays, escrow }: Facts, isQuiet: boolean, wrong: string[]): void {
  const byMemo = Map.groupBy(
    history.filter((transaction) => moved(transaction, escrow) > 0n && !strays.has(transaction.signature)),
    ({ memos }) => memos.join('; '),
  )
  for (const { id, status, atoms, signature } of payments) {
    const landed = byMemo.get(String(id)) ?? []
    const exact = landed.filter((transaction) => moved(transaction, escrow) === BigInt(atoms ?? 0))
    const isOpen = status === 'claimed' || status === 'submitted'
    if (landed.length > 1) wrong.push(`payment ${id} landed ${landed.length} times: ${landed.map((each) => each.signature).join(', ')}`)
    if (exact.length < landed.length) wrong.push(`payment ${id} of ${atoms} atoms landed with another amount`)
    if (status === 'settled' && exact.length !== 1) wrong.push(`payment ${id} is settled, but ${exact.length} transactions pay it`)
    if (status === 'settled' && exact[0] && exact[0].signature !== signature)
      wrong.push(`payment ${id} cites ${signature}, but ${exact[0].signature} paid it`)
    if (!isOpen && status !== 'settled' && landed.length > 0) wrong.push(`payment ${id} is ${status}, but ${landed[0]?.signature} landed`)
    if (isQuiet && isOpen) wrong.push(`payment ${id} is still ${status}`)
  }
}

/** Whatever left the escrow left it once, for a transfer that we know, with its exact amount. */
function checkOutgoing({ transfers, history, escrow }: Facts, isQuiet: boolean, wrong: string[]): void {
  const known = new Map(transfers.map((transfer) => [transfer.id, transfer]))
  const seen = new Map<string, string>()
  for (const transaction of history) {
    const atoms = -moved(transaction, escrow)
    if (atoms <= 0n) continue
    // A payout says after its id what it anchors.
    const [memo = '', root] = transaction.memos.join('; ').split(' ')
    if (memo === '') wrong.push(`${transaction.signature} took ${atoms} atoms out of the escrow and does not say what for`)
    const before = seen.get(memo)
    if (before) wrong.push(`transfer ${memo} landed twice: ${before} and ${transaction.signature}`)
    seen.set(memo, transaction.signature)
    const transfer = known.get(memo)
    if (!memo.startsWith('trf_')) continue
    if (transfer && (root ?? null) !== transfer.anchor) wrong.push(`transfer ${memo} anchors ${root}, the books say ${transfer.anchor}`)
    if (transfer && (transfer.kind === 'payout') !== /^[0-9a-f]{64}$/.test(root ?? ''))
      wrong.push(`the ${transfer.kind} ${memo} anchors ${root ?? 'nothing'}`)
    if (!transfer) wrong.push(`${transaction.signature} pays transfer ${memo}, which is not in the books`)
    else if (BigInt(transfer.atoms ?? 0) !== atoms) wrong.push(`transfer ${memo} owes ${transfer.atoms} atoms, ${atoms} were paid`)
    else if (isQuiet && (transfer.status !== 'confirmed' || transfer.signature !== transaction.signature))
      wrong.push(`transfer ${memo} landed as ${transaction.signature}, the books say ${transfer.status} ${transfer.signature}`)
  }
  for (const { id, kind, status } of transfers)
    if (status === 'confirmed' && !seen.has(String(id))) wrong.push(`the ${kind} ${id} is confirmed, but nothing on chain pays it`)
}

/** Per rental: paid = held + provider + fee + refunded, at every time; and what a settled one says of itself is what was booked. */
async function checkRentals(market: CheckedMarket, { payments, rentals }: Facts, wrong: string[]): Promise<void> {
  const booked = await rows(
    market,
    `select t.rental_id, t.kind::text, e.account::text, sum(e.amount_atoms)::text as atoms
     from ledger_entry e join ledger_transaction t on t.id = e.transaction_id where t.rental_id is not null group by 1, 2, 3`,
  )
  const sums = new Map(booked.map(({ rental_id, kind, account, atoms }) => [`${rental_id} ${kind} ${account}`, BigInt(atoms ?? 0)]))
  const held = new Map<string, bigint>()
  for (const { rental_id, account, atoms } of booked)
    if (account === 'held') held.set(String(rental_id), (held.get(String(rental_id)) ?? 0n) - BigInt(atoms ?? 0))
  const paid = new Map<string, bigint>()
  const counted = new Map<string, bigint>()
  for (const payment of payments) {
    if (payment.status !== 'settled') continue
    const add = (to: Map<string, bigint>) =>
      to.set(String(payment.rental_id), (to.get(String(payment.rental_id)) ?? 0n) + BigInt(payment.atoms ?? 0))
    add(paid)
    if (payment.counted === 'true') add(counted)
  }
  for (const { id, status, closed, ...rental } of rentals) {
    const [prepaid, payout, fee, refund, charged] = [rental.prepaid, rental.payout, rental.fee, rental.refund, rental.charged].map((text) =>
      BigInt(text ?? 0),
    ) as [bigint, bigint, bigint, bigint, bigint]
    const isSettled = status === 'settled'
    const chargedIn = (sums.get(`${id} charge escrow`) ?? 0n) + (sums.get(`${id} reversal escrow`) ?? 0n)
    if (chargedIn !== (paid.get(String(id)) ?? 0n))
      wrong.push(`rental ${id}: ${paid.get(String(id)) ?? 0n} atoms paid, ${chargedIn} booked`)
    if (prepaid !== (counted.get(String(id)) ?? 0n))
      wrong.push(`rental ${id}: ${counted.get(String(id)) ?? 0n} atoms paid for it, it says ${prepaid}`)
    const stillHeld = held.get(String(id)) ?? 0n
    if (closed === 'false' && stillHeld !== prepaid) wrong.push(`rental ${id}: ${stillHeld} atoms held of ${prepaid} prepaid`)
    if (isSettled && stillHeld !== 0n) wrong.push(`rental ${id} is settled with ${stillHeld} atoms still held`)
    if (isSettled && prepaid !== payout + fee + refund)
      wrong.push(`rental ${id}: ${payout} + ${fee} + ${refund} is not the ${prepaid} prepaid`)
    if (charged !== payout + fee) wrong.push(`rental ${id}: charged ${charged} is not payout ${payout} + fee ${fee}`)
    if (refund < 0n || payout < 0n || fee < 0n || charged > prepaid) wrong.push(`rental ${id} has amounts out of bounds`)
  }
}

/** Every settled rental has a receipt that adds up and whose lines are on chain with exactly these amounts. */
function checkReceipts({ rentals, receipts, history, escrow }: Facts, wrong: string[]): void {
  const byRental = new Map(receipts.map((receipt) => [receipt.rental_id, receipt.body]))
  const landed = new Map(history.map((transaction) => [transaction.signature, transaction]))
  // One transaction may answer lines of several receipts: what it moved is their sum.
  const cited = new Map<string, { signature: string; party: string; isIn: boolean; isPayout: boolean; atoms: bigint; rental: string }>()
  for (const { id, status, ...rental } of rentals) {
    const receipt = byRental.get(String(id))
    if (status !== 'settled') continue
    if (!receipt) {
      wrong.push(`rental ${id} is settled without a receipt`)
      continue
    }
    const { payoutAtoms, feeAtoms, refundAtoms, prepaidAtoms } = receipt
    if (BigInt(payoutAtoms) + BigInt(feeAtoms) + BigInt(refundAtoms) !== BigInt(prepaidAtoms))
      wrong.push(`the receipt of ${id} does not add up`)
    if (payoutAtoms !== rental.payout || feeAtoms !== rental.fee || refundAtoms !== rental.refund || prepaidAtoms !== rental.prepaid)
      wrong.push(`the receipt of ${id} says other amounts than the rental`)
    const says = { charge: prepaidAtoms, payout: payoutAtoms, fee: feeAtoms, refund: refundAtoms }
    for (const [kind, atoms] of Object.entries(says)) {
      const lines = receipt.transfers.filter((line) => line.kind === kind).reduce((total, line) => total + BigInt(line.amountAtoms), 0n)
      if (lines !== BigInt(atoms)) wrong.push(`the receipt of ${id}: its ${kind} lines come to ${lines}, it says ${atoms}`)
    }
    for (const { kind, amountAtoms, from, to, transaction } of receipt.transfers) {
      if (transaction === null) continue
      const isIn = kind === 'charge'
      const party = isIn ? from : to
      const line = cited.get(`${transaction} ${party}`)
      const atoms = BigInt(amountAtoms) + (line?.atoms ?? 0n)
      cited.set(`${transaction} ${party}`, { signature: transaction, party, isIn, isPayout: kind === 'payout', atoms, rental: String(id) })
    }
  }
  for (const { signature, party, isIn, isPayout, atoms, rental } of cited.values()) {
    const transaction = landed.get(signature)
    if (!transaction) {
      wrong.push(`the receipt of ${rental} cites ${signature}, which is not on chain`)
      continue
    }
    const delta = (transaction.deltas.get(party) ?? 0n) * (isIn ? -1n : 1n)
    // A payout may be for more rentals than have their receipts already.
    if (isPayout ? delta < atoms : delta !== atoms)
      wrong.push(`the receipt of ${rental} says that ${signature} moved ${atoms} atoms, it moved ${delta}`)
    if (isIn && moved(transaction, escrow) !== atoms) wrong.push(`${signature} of rental ${rental} did not bring ${atoms} atoms in`)
  }
}

function moved(transaction: LandedTransaction, escrow: string): bigint {
  return transaction.deltas.get(escrow) ?? 0n
}

async function rows(market: Pick<CheckedMarket, 'databaseUrl'>, statement: string): Promise<Row[]> {
  return (await runStatements(market.databaseUrl, statement)) as Row[]
}

async function one(market: Pick<CheckedMarket, 'databaseUrl'>, statement: string): Promise<string> {
  return String(Object.values((await runStatements(market.databaseUrl, statement))[0] ?? {})[0])
}
