// Running many sequences: random ones from a seed, in worlds that are made anew every few hundred, and the first failure in its smallest form.
import fc from 'fast-check'
import { type Command, groupOfSequences } from './commands.ts'
import { compareReserves, listen, runGroup } from './group.ts'
import { openWorld, type World } from './world.ts'

/** A failure that happened once, replayed first in every run: its commands, or fast-check's seed and path to them. */
export type Regression = { what: string; sequences: readonly (readonly Command[])[] } | { what: string; seed: number; path: string }
export type Ran = {
  sequences: number
  commands: number
  statements: number
  crashes: number
  forks: number
  seconds: number
  failure: { seed: number; afterSeconds: number; path: string; what: string; sequences: readonly (readonly Command[])[] } | undefined
}
type Database = { url: string; drop(): Promise<void> }

/** How long a smaller form of a failure is looked for, in ms. */
const shrinkMs = 40_000
/** How many sequences share a world: long enough to be cheap, short enough that its tables stay small. */
const perWorld = 300

/** Runs `count` sequences, or the one that `path` names, over databases that `freshDatabase` makes. Stops at the first violation. */
export async function runSequences(options: {
  count: number
  seed: number
  path?: string
  freshDatabase: () => Promise<Database>
}): Promise<Ran> {
  listen()
  const startedAt = performance.now()
  const ran: Ran = { sequences: 0, commands: 0, statements: 0, crashes: 0, forks: 0, seconds: 0, failure: undefined }
  let open: { world: World; database: Database } | undefined

  async function close(): Promise<void> {
    if (!open) return
    const { world, database } = open
    open = undefined
    ran.statements += world.stats.statements
    ran.crashes += world.stats.crashes
    ran.forks += world.stats.forks
    await world.close()
    await database.drop()
  }
  async function world(): Promise<World> {
    if (open) return open.world
    const database = await options.freshDatabase()
    open = { world: await openWorld(database.url), database }
    return open.world
  }

  for (let seed = options.seed; ran.sequences < options.count && !ran.failure; seed++) {
    const first = ran.sequences
    let failedAt: number | undefined
    const property = fc.asyncProperty(groupOfSequences, fc.scheduler(), async (lists, scheduler) => {
      // A smaller form is looked for, but not for ever.
      if (failedAt !== undefined && performance.now() - failedAt > shrinkMs) return
      if (failedAt === undefined && ran.sequences >= Math.min(options.count, first + perWorld)) return
      try {
        const commands = await runGroup(await world(), lists, scheduler)
        if (failedAt !== undefined) return
        ran.commands += commands
        ran.sequences += lists.length
      } catch (error) {
        failedAt ??= performance.now()
        // What failed may have left anything behind: the next group must not suffer for it.
        await close()
        throw error
      }
    })
    const found = await fc.check(property, { seed, numRuns: perWorld, ...(options.path ? { path: options.path } : {}) })
    if (found.failed && found.counterexample)
      ran.failure = {
        seed,
        afterSeconds: ((failedAt ?? startedAt) - startedAt) / 1000,
        path: found.counterexamplePath ?? '',
        what: String((found.errorInstance as Error | undefined)?.stack ?? found.errorInstance),
        sequences: found.counterexample[0],
      }
    if (open && !ran.failure) await atTheEnd(open.world)
    await close()
  }
  ran.seconds = (performance.now() - startedAt) / 1000
  return ran
}

/** Runs what failed once. Throws Violation when it fails again. */
export async function replay(regression: Regression, freshDatabase: () => Promise<Database>): Promise<void> {
  if ('path' in regression) {
    const { seed, path } = regression
    const { failure } = await runSequences({ count: 1, seed, path, freshDatabase })
    if (failure) throw new Error(`${regression.what}: ${failure.what}`)
    return
  }
  listen()
  const database = await freshDatabase()
  const world = await openWorld(database.url)
  try {
    await runGroup(world, regression.sequences)
    await atTheEnd(world)
  } finally {
    await world.close()
    await database.drop()
  }
}

/** Of the whole world: chain and books agree, and every ledger transaction and account is what its entries say. */
async function atTheEnd(world: World): Promise<void> {
  await compareReserves(world)
  const wrong = await world.sql<{ what: string }>(`
    select 'L1: ' || transaction_id as what from ledger_entry group by transaction_id, currency having sum(amount_atoms) <> 0
    union all select 'L1: all entries' from ledger_entry having sum(amount_atoms) <> 0
    union all select 'L3: ' || account || ' of ' || subject from ledger_entry join ledger_account on code = account
      group by account, subject, side having sum(amount_atoms) * case side when 'debit' then 1 else -1 end < 0
    union all select 'L4: ' || kind || ' ' || external_id from ledger_transaction group by kind, external_id having count(*) > 1
    union all select 'P1: ' || signature from payment where signature is not null group by signature having count(*) > 1
    union all select 'P1: ' || message_hash from payment group by message_hash having count(*) > 1
    union all select 'S1: ' || rental.id from rental left join statement on statement.rental_id = rental.id
      where rental.status = 'settled' and (statement.root is null or statement.fault is not null or
        statement.metered_seconds <> rental.metered_seconds)
    union all select 'S1: ' || transfer.id from transfer where (kind = 'payout') <> (anchor is not null)
    union all select 'R1: ' || offer.id from offer where units_reserved <> 0
    union all select 'two phases: ' || kind || ' ' || external_id from ledger_hold
      where not exists (select from ledger_hold_end ended where ended.kind = ledger_hold.kind and ended.external_id = ledger_hold.external_id)`)
  if (wrong.length > 0) throw new Error(`of the whole: ${wrong.map(({ what }) => what).join(', ')}`)
}

/** What a run comes to, in one line, and what to do about a failure in a few more. */
export function inWords(ran: Ran): string {
  const { sequences, commands, crashes, forks, statements, seconds, failure } = ran
  const perSequence = (commands / Math.max(1, sequences)).toFixed(1)
  const line =
    `${sequences} sequences, ${commands} commands (${perSequence} each), ${crashes} crashes injected, ${forks} forks, ` +
    `${statements} statements, ${failure ? 1 : 0} violations, ${seconds.toFixed(1)} s`
  if (!failure) return line
  const { seed, path, what, afterSeconds, sequences: smallest } = failure
  return [
    line,
    what,
    `found after ${afterSeconds.toFixed(1)} s`,
    `again: npm run test:model -- 1 ${seed} ${path}`,
    `to keep it, add to __tests__/model/regressions.json: ${JSON.stringify({ what: what.split('\n')[0], sequences: smallest })}`,
  ].join('\n')
}
