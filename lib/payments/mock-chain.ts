// The mock chain: a small ledger of accounts and landed transactions that is told what to do, so that every fault can be had at will. No money.
import { createHash } from 'node:crypto'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'

/** How many slots a signed transaction may still land in. At 400 ms each that is longer than a quote may be paid. */
export const validSlots = 300n
/** What the fee payer pays for a transaction, in lamports. */
const feeLamports = 5_000n
/** Money that is given comes from here. */
const faucet = 'faucet'

/** A signed transfer. `isSponsored`: our fee payer pays for it. `opensAccount`: a missing destination is opened at the sponsor's cost. */
export type MockTransfer = {
  signature: string
  from: string
  to: string
  amountAtoms: bigint
  memo: string | null
  lastValidHeight: bigint
  isSponsored?: boolean
  opensAccount?: boolean
}

/** A transaction on the chain. One that failed moved nothing. */
export type MockLanded = {
  signature: string
  from: string
  to: string
  amountAtoms: bigint
  memo: string | null
  slot: bigint
  hasFailed: boolean
  reason: string | null
  feeLamports: bigint
  landedAtMs: number
}

/**
 * How a transfer is to land: at the last height at which it can, or now and dropped by a fork before it is final, or as failed.
 * What a fork drops on these terms can never land again: its block hash went with the fork.
 */
export type Landing = 'now' | 'last_moment' | 'dropped_before_final' | 'fails'

export type MockChain = ReturnType<typeof openMockChain>

type Row = Record<string, SQLInputValue>

const schema = `
  create table if not exists meta (key text primary key, value integer not null);
  create table if not exists account (owner text primary key, atoms integer not null default 0, state text not null default 'open');
  create table if not exists landed (
    position integer primary key autoincrement, signature text not null unique, sender text not null, receiver text not null,
    atoms integer not null, memo text, slot integer not null, failed integer not null, reason text, fee integer not null,
    at_ms integer not null, drop_at integer
  );
  create index if not exists landed_by_memo on landed (memo);
  create index if not exists landed_by_slot on landed (slot, position);
  create index if not exists landed_by_sender on landed (sender, slot);
  create index if not exists landed_to_drop on landed (drop_at) where drop_at is not null;
  create table if not exists waiting (signature text primary key, land_at integer not null, transfer text not null);
  create table if not exists burned (signature text primary key);
  create table if not exists attempt (name text primary key, count integer not null);
`

/**
 * Opens a chain. It lives in this object, which several rails may share, or in `file`, which several processes may share and a restart
 * finds again. Its height is the time since it began in slots of `slotMs` (0: only `advance` moves it), and what `advance` added.
 * Transactions are final `finalizedLag` slots after they landed. Whoever pays for the first time has `openingAtoms`.
 */
export function openMockChain(options: {
  now: () => number
  file?: string | undefined
  slotMs?: number
  finalizedLag?: number
  openingAtoms?: bigint
}) {
  const { now, slotMs = 400, openingAtoms = 0n } = options
  const lag = BigInt(options.finalizedLag ?? 8)
  if (lag < 2n) throw new Error('a fork needs a chain that is final at least two slots later')
  const db = new DatabaseSync(options.file ?? ':memory:', { timeout: 5_000 })
  if (options.file) db.exec('pragma journal_mode = wal; pragma synchronous = off')
  db.exec(schema)
  const statements = new Map<string, StatementSync>()

  function statement(sql: string): StatementSync {
    const known = statements.get(sql)
    if (known) return known
    const made = db.prepare(sql)
    made.setReadBigInts(true)
    statements.set(sql, made)
    return made
  }
  const all = (sql: string, ...given: SQLInputValue[]) => statement(sql).all(...given) as Row[]
  const one = (sql: string, ...given: SQLInputValue[]) => statement(sql).get(...given) as Row | undefined
  const run = (sql: string, ...given: SQLInputValue[]) => statement(sql).run(...given)

  // It begins so high that its first block is not final yet.
  run(`insert into meta (key, value) values ('genesis_ms', ?), ('added', ?) on conflict do nothing`, BigInt(Math.floor(now())), lag)
  const genesisMs = Number(one(`select value from meta where key = 'genesis_ms'`)?.value)

  /** One writer at a time, whichever process; first of all what was due by now happens. */
  function atomically<T>(work: (height: bigint) => T): T {
    if (db.isTransaction) return work(heightNow())
    run('begin immediate')
    try {
      const height = heightNow()
      happen(height)
      const answer = work(height)
      run('commit')
      return answer
    } catch (error) {
      run('rollback')
      throw error
    }
  }

  function heightNow(): bigint {
    const added = BigInt(one(`select value from meta where key = 'added'`)?.value as bigint)
    return added + (slotMs > 0 ? BigInt(Math.max(0, Math.floor((now() - genesisMs) / slotMs))) : 0n)
  }

  /** What waited for its slot lands, and what a fork was to drop is dropped. */
  function happen(height: bigint): void {
    for (const row of all('select signature, land_at, transfer from waiting where land_at <= ? order by land_at, signature', height)) {
      run('delete from waiting where signature = ?', row.signature as string)
      land(transferFromText(row.transfer as string), row.land_at as bigint, height, undefined, null)
    }
    for (const row of all('select signature from landed where drop_at <= ? order by position desc', height))
      drop(row.signature as string, true)
  }

  function accountOf(owner: string, first = 0n): { atoms: bigint; state: string } {
    const found = one('select atoms, state from account where owner = ?', owner)
    if (found) return { atoms: found.atoms as bigint, state: found.state as string }
    run('insert into account (owner, atoms) values (?, ?)', owner, first)
    return { atoms: first, state: 'open' }
  }

  const move = (owner: string, atoms: bigint) => run('update account set atoms = atoms + ? where owner = ?', atoms, owner)

  /** Why a transfer would fail now; undefined when it would not. */
  function failureOf(transfer: Pick<MockTransfer, 'from' | 'to' | 'amountAtoms' | 'opensAccount'>): string | undefined {
    const [from, to] = [accountOf(transfer.from, openingAtoms), accountOf(transfer.to)]
    if (transfer.amountAtoms <= 0n) return 'nothing is moved'
    if (from.state !== 'open') return `the source account is ${from.state}`
    if (to.state === 'frozen' || (to.state === 'missing' && !transfer.opensAccount)) return `the destination account is ${to.state}`
    return transfer.from !== faucet && from.atoms < transfer.amountAtoms ? 'insufficient funds' : undefined
  }

  function land(transfer: MockTransfer, slot: bigint, height: bigint, failure: string | undefined, dropAt: bigint | null): void {
    const reason = failure ?? failureOf(transfer)
    if (reason === undefined) {
      run(`update account set state = 'open' where owner = ?`, transfer.to)
      move(transfer.from, -transfer.amountAtoms)
      move(transfer.to, transfer.amountAtoms)
    }
    const atMs = Math.floor(now()) - (slotMs > 0 ? Number(height - slot) * slotMs : 0)
    run(
      `insert into landed (signature, sender, receiver, atoms, memo, slot, failed, reason, fee, at_ms, drop_at)
       values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      transfer.signature,
      transfer.from,
      transfer.to,
      transfer.amountAtoms,
      transfer.memo,
      slot,
      reason === undefined ? 0n : 1n,
      reason ?? null,
      transfer.isSponsored ? feeLamports : 0n,
      BigInt(atMs),
      dropAt,
    )
  }

  /** Takes a transaction off the chain, and first those that spent what it brought. */
  function drop(signature: string, forEver: boolean): string[] {
    const row = one('select * from landed where signature = ?', signature)
    if (!row) return []
    const dropped: string[] = []
    const [sender, receiver, atoms] = [row.sender as string, row.receiver as string, row.atoms as bigint]
    if (row.failed === 0n) {
      while (accountOf(receiver).atoms < atoms) {
        const spent = one(
          'select signature from landed where sender = ? and failed = 0 and slot >= ? order by position desc limit 1',
          receiver,
          row.slot as bigint,
        )
        if (!spent) throw new Error(`what ${signature} brought was spent in a block that is final`)
        dropped.push(...drop(spent.signature as string, false))
      }
      move(receiver, -atoms)
      move(sender, atoms)
    }
    run('delete from landed where signature = ?', signature)
    if (forEver) run('insert into burned (signature) values (?) on conflict do nothing', signature)
    return [...dropped, signature]
  }

  const chain = {
    height: () => atomically((height) => height),
    finalizedHeight: () => atomically((height) => height - lag),
    /** The block height after which what is signed now can no longer land. */
    lastValidHeight: () => atomically((height) => height + validSlots),
    /** Lets slots pass. */
    advance(slots: number): void {
      atomically(() => run(`update meta set value = value + ? where key = 'added'`, BigInt(slots)))
      atomically(() => undefined)
    },
    /** Test money for anyone. */
    give(owner: string, atoms: bigint): void {
      atomically((height) => {
        const signature = signatureOf(['given', owner, String(atoms), String(height), String(count('given'))])
        land(
          { signature, from: faucet, to: owner, amountAtoms: atoms, memo: null, lastValidHeight: height },
          height,
          height,
          undefined,
          null,
        )
      })
    },
    /** A transfer that nobody asked for, landed at once; its signature. */
    transfer(from: string, to: string, amountAtoms: bigint, memo: string | null = null): string {
      return atomically((height) => {
        const signature = signatureOf(['sent', from, to, String(amountAtoms), String(count('sent'))])
        land({ signature, from, to, amountAtoms, memo, lastValidHeight: height }, height, height, undefined, null)
        return signature
      })
    },
    /** Why a transfer would fail if it landed now. */
    failureOf: (transfer: Pick<MockTransfer, 'from' | 'to' | 'amountAtoms' | 'opensAccount'>) => atomically(() => failureOf(transfer)),
    /**
     * Sends a signed transfer. A signature lands at most once, and never past its last valid height. dead: it can never land (any more).
     * Without money in the source it lands as failed, like a transaction that nobody simulated.
     */
    send(transfer: MockTransfer, landing: Landing = 'now'): 'landed' | 'waiting' | 'dead' {
      return atomically((height) => {
        const { signature } = transfer
        if (one('select 1 from landed where signature = ?', signature)) return 'landed'
        if (one('select 1 from waiting where signature = ?', signature)) return 'waiting'
        if (height > transfer.lastValidHeight || one('select 1 from burned where signature = ?', signature)) return 'dead'
        if (landing === 'last_moment' && transfer.lastValidHeight > height) {
          run(
            'insert into waiting (signature, land_at, transfer) values (?, ?, ?)',
            signature,
            transfer.lastValidHeight,
            textFromTransfer(transfer),
          )
          return 'waiting'
        }
        const failure = landing === 'fails' ? 'told to fail' : undefined
        land(transfer, height, height, failure, landing === 'dropped_before_final' ? height + lag / 2n : null)
        return 'landed'
      })
    },
    find: (signature: string) => atomically(() => landedFromRow(one('select * from landed where signature = ?', signature))),
    /** Landed transactions with this memo that touch an account, newest first. */
    findByMemo: (owner: string, memo: string, sinceMs: number) =>
      atomically(() =>
        all(
          'select * from landed where memo = ? and (sender = ? or receiver = ?) and at_ms >= ? order by slot desc, position desc',
          memo,
          owner,
          owner,
          BigInt(Math.floor(sinceMs)),
        ).map((row) => landedFromRow(row) as MockLanded),
      ),
    /** The same, by the first word of the memo. */
    findByName: (owner: string, name: string, sinceMs: number) =>
      atomically(() =>
        all(
          `select * from landed where (memo = ? or memo >= ? and memo < ?) and (sender = ? or receiver = ?) and at_ms >= ?
           order by slot desc, position desc`,
          name,
          `${name} `,
          `${name}!`,
          owner,
          owner,
          BigInt(Math.floor(sinceMs)),
        ).map((row) => landedFromRow(row) as MockLanded),
      ),
    /** Final transactions that touch an account, newest first, older than `before`, at most `limit`. */
    history: (owner: string, before: string | null, limit: number) =>
      atomically((height) => {
        const from = before === null ? undefined : one('select slot, position from landed where signature = ?', before)
        const newest = height - lag
        return all(
          `select * from landed where (sender = ? or receiver = ?) and slot <= ? and (slot, position) < (?, ?)
           order by slot desc, position desc limit ?`,
          owner,
          owner,
          newest,
          from ? (from.slot as bigint) : newest + 1n,
          from ? (from.position as bigint) : 0n,
          BigInt(limit),
        ).map((row) => landedFromRow(row) as MockLanded)
      }),
    /** Whether everything that was sent has landed and is final. */
    isAtRest: () =>
      atomically(
        (height) => !one('select 1 from waiting') && !one('select 1 from landed where slot > ? and sender <> ?', height - lag, faucet),
      ),
    balanceOf: (owner: string) => atomically(() => accountOf(owner).atoms),
    /** What an account holds at the newest final slot. */
    finalBalanceOf: (owner: string) =>
      atomically((height) => {
        const slot = height - lag
        const since = one(
          `select coalesce(sum(case when receiver = ? then atoms else -atoms end), 0) as atoms from landed
           where slot > ? and failed = 0 and (sender = ? or receiver = ?)`,
          owner,
          slot,
          owner,
          owner,
        )
        return { slot, atoms: accountOf(owner).atoms - (since?.atoms as bigint) }
      }),
    /** A fork: every transaction that is not final yet is dropped, newest first, or only this one and what spent its money. Their signatures. */
    fork: (signature?: string, forEver = false) =>
      atomically((height) => {
        const isOpen = 'slot > ? and sender <> ?'
        const rows =
          signature === undefined
            ? all(`select signature from landed where ${isOpen} order by position desc`, height - lag, faucet)
            : all(`select signature from landed where ${isOpen} and signature = ?`, height - lag, faucet, signature)
        return rows.flatMap((row) => drop(row.signature as string, forEver))
      }),
    /** missing: it was closed by its owner, what it held stays out of reach. frozen: nothing comes in or goes out. */
    setAccount(owner: string, state: 'open' | 'missing' | 'frozen'): void {
      atomically(() => {
        accountOf(owner)
        run('update account set state = ? where owner = ?', state, owner)
      })
    },
    /** How often something was tried, this time included; the same for all who share the chain. */
    countAttempt: (name: string) => atomically(() => Number(count(name))),
    close: () => db.close(),
  }

  function count(name: string): bigint {
    const row = one('insert into attempt (name, count) values (?, 1) on conflict do update set count = count + 1 returning count', name)
    return row?.count as bigint
  }

  return chain
}

/** What stands for a signature here: the hash of what was signed. */
export function signatureOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex')
}

function textFromTransfer(transfer: MockTransfer): string {
  const { amountAtoms, lastValidHeight, ...rest } = transfer
  return JSON.stringify({ ...rest, amountAtoms: String(amountAtoms), lastValidHeight: String(lastValidHeight) })
}

function transferFromText(text: string): MockTransfer {
  const read = JSON.parse(text)
  return { ...read, amountAtoms: BigInt(read.amountAtoms), lastValidHeight: BigInt(read.lastValidHeight) }
}

function landedFromRow(row: Row | undefined): MockLanded | undefined {
  if (!row) return undefined
  return {
    signature: row.signature as string,
    from: row.sender as string,
    to: row.receiver as string,
    amountAtoms: row.atoms as bigint,
    memo: row.memo as string | null,
    slot: row.slot as bigint,
    hasFailed: row.failed === 1n,
    reason: row.reason as string | null,
    feeLamports: row.fee as bigint,
    landedAtMs: Number(row.at_ms),
  }
}
