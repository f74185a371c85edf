// The commands of the model runs: what payers, machines, workers, the chain and bad luck may do to a market, and how often.
import { MockFault } from '@flow402/protocol/mock-payment'
import fc from 'fast-check'
import type { CrashName } from '../../lib/crash.ts'
import type { TransferFault } from '../../lib/payments/mock-rail.ts'
import type { Death } from './world.ts'

/** The market's workers, each one turn. */
export const workers = [
  'payments',
  'assign',
  'orders',
  'time',
  'escrow',
  'reversals',
  'reserves',
  'books',
  'payouts',
  'transfers',
  'receipts',
] as const
export type Worker = (typeof workers)[number]

/** What every payment may suffer. `rail`: a remote facilitator names its signature only afterwards. `isSentTwice`: to two replicas at once. */
type Suffering = { fault?: MockFault; times?: number; rail: 'local' | 'remote'; death?: Death; isSentTwice?: boolean }

/** What may happen at the same time as others. `which` and `wallet` choose among those that are there. */
export type Part =
  | ({ do: 'pay'; which: number; wallet: number } & Suffering)
  | ({ do: 'again'; which: number; how: 'same' | 'other_rental' | 'other_request' } & Pick<Suffering, 'rail' | 'death'>)
  | ({ do: 'extend'; which: number; minutes: number; wallet: number } & Suffering)
  | { do: 'stop'; which: number; death?: Death }
  | { do: 'tell'; death?: Death }
  | { do: 'work'; worker: Worker; death?: Death }

/** rent: quote, pay, let the workers bring it to its machine, and ready. round: every worker has a turn. */
export type Command =
  | Part
  | { do: 'quote'; units: number; minutes: number }
  | ({ do: 'rent'; units: number; minutes: number; wallet: number; isReady: boolean } & Suffering)
  | { do: 'ready'; which: number }
  | { do: 'use'; which: number; moreSeconds: number }
  | { do: 'exit'; which: number }
  | { do: 'pass'; ms: number }
  | { do: 'round' }
  | { do: 'stray'; wallet: number; atoms: number; memo: 'none' | 'quote' | 'payment' | 'transfer' | 'words' }
  | { do: 'fork'; which: number; isAll: boolean; isForEver: boolean }
  | { do: 'outgoing'; fault: TransferFault }
  | { do: 'account'; wallet: number; state: 'missing' | 'frozen' }
  | { do: 'node'; is: 'away' | 'back' | 'vanished' }
  | { do: 'together'; parts: Part[] }

const points: CrashName[] = ['claimed', 'signed', 'broadcast', 'landed', 'paid', 'assigned', 'transfer_signed', 'transfer_sent']

const which = fc.nat(5)
const wallet = fc.nat(2)
const times = fc.integer({ min: 1, max: 4 })
const minutes = fc.oneof(fc.constantFrom(1, 2, 10), fc.integer({ min: 1, max: 30 }))
const units = fc.integer({ min: 1, max: 3 })

const someDeath: fc.Arbitrary<Death> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ point: fc.constantFrom(...points), nth: fc.integer({ min: 1, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ statement: fc.nat(14) }) },
  { weight: 1, arbitrary: fc.record({ call: fc.nat(3) }) },
)
const rarely = <T>(arbitrary: fc.Arbitrary<T>, out: number) => fc.option(arbitrary, { nil: undefined, freq: out })
const death = rarely(someDeath, 4)
const fault = rarely(fc.constantFrom(...MockFault.options), 2)
const rail = fc.constantFrom<'local' | 'remote'>('local', 'remote')

/** undefined members are left out, so that commands are plain JSON. */
const plain = <T extends object>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(shape).map((made) => Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)) as T)

const isSentTwice = rarely(fc.constant(true), 2)
const suffering = { fault, times, rail, death, isSentTwice }
const doing = <D extends string>(name: D) => fc.constant(name)

const part: fc.Arbitrary<Part> = fc.oneof(
  { weight: 4, arbitrary: plain({ do: doing('pay'), which, wallet, ...suffering }) as fc.Arbitrary<Part> },
  {
    weight: 3,
    arbitrary: plain({
      do: doing('again'),
      which,
      how: fc.constantFrom('same', 'same', 'other_rental', 'other_request'),
      rail,
      death,
    }) as fc.Arbitrary<Part>,
  },
  { weight: 4, arbitrary: plain({ do: doing('extend'), which, minutes, wallet, ...suffering }) as fc.Arbitrary<Part> },
  { weight: 2, arbitrary: plain({ do: doing('stop'), which, death }) as fc.Arbitrary<Part> },
  { weight: 2, arbitrary: plain({ do: doing('tell'), death }) as fc.Arbitrary<Part> },
  { weight: 8, arbitrary: plain({ do: doing('work'), worker: fc.constantFrom(...workers), death }) as fc.Arbitrary<Part> },
)

const ms = fc.constantFrom(400, 400, 1_000, 1_000, 5_000, 5_000, 9_000, 20_000, 45_000, 65_000, 95_000, 130_000, 400_000, 700_000)

const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 8, arbitrary: part },
  { weight: 3, arbitrary: plain({ do: doing('quote'), units, minutes }) as fc.Arbitrary<Command> },
  {
    weight: 5,
    arbitrary: plain({ do: doing('rent'), units, minutes, wallet, isReady: fc.boolean(), ...suffering }) as fc.Arbitrary<Command>,
  },
  { weight: 1, arbitrary: plain({ do: doing('ready'), which }) as fc.Arbitrary<Command> },
  {
    weight: 2,
    arbitrary: plain({ do: doing('use'), which, moreSeconds: fc.constantFrom(0, 0, 0, 1, 70, 100_000) }) as fc.Arbitrary<Command>,
  },
  { weight: 1, arbitrary: plain({ do: doing('exit'), which }) as fc.Arbitrary<Command> },
  { weight: 4, arbitrary: plain({ do: doing('pass'), ms }) as fc.Arbitrary<Command> },
  { weight: 4, arbitrary: fc.constant<Command>({ do: 'round' }) },
  {
    weight: 1,
    arbitrary: plain({
      do: doing('stray'),
      wallet,
      atoms: fc.constantFrom(1, 999, 1_000, 1_001, 50_000),
      memo: fc.constantFrom('none', 'quote', 'payment', 'transfer', 'words'),
    }) as fc.Arbitrary<Command>,
  },
  {
    weight: 1,
    arbitrary: plain({ do: doing('fork'), which, isAll: fc.boolean(), isForEver: fc.boolean() }) as fc.Arbitrary<Command>,
  },
  {
    weight: 1,
    arbitrary: plain({
      do: doing('outgoing'),
      fault: fc.constantFrom('transfer_fails', 'transfer_lost', 'transfer_late', 'transfer_answer_lost', 'transfer_dropped'),
    }) as fc.Arbitrary<Command>,
  },
  {
    weight: 1,
    arbitrary: plain({ do: doing('account'), wallet, state: fc.constantFrom('missing', 'frozen') }) as fc.Arbitrary<Command>,
  },
  {
    weight: 1,
    arbitrary: plain({ do: doing('node'), is: fc.constantFrom('away', 'back', 'back', 'vanished') }) as fc.Arbitrary<Command>,
  },
  {
    weight: 4,
    arbitrary: plain({ do: doing('together'), parts: fc.array(part, { minLength: 2, maxLength: 3 }) }) as fc.Arbitrary<Command>,
  },
)

/** A sequence: enough commands that something can go wrong, 9 on average. */
const sequenceOfCommands = fc.array(command, { minLength: 6, maxLength: 12, size: 'max' })

/** Sequences that share their time, each with a machine and wallets of its own. */
export const groupOfSequences = fc.array(sequenceOfCommands, { minLength: 1, maxLength: 8, size: 'max' })
