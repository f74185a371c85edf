// Hashes per second by length: one message at a time, as a caller gets a digest, and many into one array. Part of bench:crypto.
import { createHash, hash } from 'node:crypto'
import type { DigestName } from '../../rust-lib/js/engine.ts'
import { type NamedEngine, openNodeEngines } from './engines.ts'
import type { Hasher } from './peers.ts'
import { openHashers, openNodeNoble } from './peers-node.ts'
import { madeBytes, mustEqual, type Taken, type Way } from './rounds.ts'
import { brief, fastest, named, type Plan, perSecond, type Section, table, takeTurnsHere, timesAsFast } from './table.ts'

const lengths = [
  { label: '64 B', bytes: 64, messages: 1024 },
  { label: '256 B', bytes: 256, messages: 1024 },
  { label: '1 KiB', bytes: 1024, messages: 512 },
  { label: '1 MiB', bytes: 1 << 20, messages: 2 },
]
type Length = { bytes: number; messages: number }

/** Measures both digests, both manners and every length. */
export async function measureHashes({ turns }: Plan): Promise<Section> {
  const noble = await openNodeNoble()
  const engines = await openNodeEngines()
  const lines: string[] = []
  for (const digest of ['sha256', 'sha3-256'] as const) {
    const hashers = await openHashers(digest, noble)
    for (const [manner, waysOf] of [
      ['one at a time', oneAtATime],
      ['many into one array', manyAtOnce],
    ] as const) {
      const taken: Taken[][] = []
      for (const length of lengths) taken.push(await takeTurnsHere(waysOf(digest, length, hashers, engines), turns))
      lines.push('', `${digest}, ${manner}: thousands per second (MB/s)`, '', ...figures(taken))
    }
  }
  return { title: 'Hashes per second by length', lines, aims: [] }
}

function figures(taken: Taken[][]): string[] {
  const names = taken[0]?.map(({ name }) => name) ?? []
  const rows = names.map((name) => [
    name,
    ...lengths.map(({ bytes }, index) => {
      const rate = perSecond(named(taken[index] ?? [], name))
      return `${brief(rate / 1e3)} (${brief((rate * bytes) / 1e6)})`
    }),
  ])
  const ratios = (peers: string) =>
    taken.map((each) => brief(timesAsFast(named(each, 'wasm'), fastest(each.filter(({ name }) => name.startsWith(peers))))))
  return table(
    ['way', ...lengths.map(({ label }) => label)],
    [...rows, ['**wasm / best of node:crypto**', ...ratios('node ')], ['**wasm / hash-wasm**', ...ratios('hash-wasm')]],
  )
}

/** Messages of one length, one after the other in `input`. */
function madeMessages({ bytes, messages }: Length): { input: Uint8Array; all: Uint8Array[] } {
  const input = madeBytes(bytes * messages)
  return { input, all: Array.from({ length: messages }, (_, index) => input.subarray(index * bytes, (index + 1) * bytes)) }
}

/** As a caller gets one digest: in the form that the library gives. */
export function oneAtATime(
  digest: DigestName,
  { bytes, messages }: Length,
  hashers: readonly Hasher[],
  engines: readonly NamedEngine[],
): Way[] {
  const { all } = madeMessages({ bytes, messages })
  const length = Uint32Array.of(bytes)
  const target = Buffer.alloc(32)
  const node: [string, (message: Uint8Array) => Uint8Array | string][] = [
    ['node createHash', (message) => createHash(digest).update(message).digest()],
    ['node crypto.hash, buffer', (message) => hash(digest, message, 'buffer')],
    ['node crypto.hash, hex', (message) => hash(digest, message, 'hex')],
  ]
  const others = hashers
    .filter(({ name }) => !name.startsWith('node '))
    .map(({ name, hashTo }): (typeof node)[number] => {
      const digestOf = (message: Uint8Array) => {
        hashTo(message, target, 0)
        return target
      }
      return [name, digestOf]
    })
  const ours = engines.map(({ name, engine }): (typeof node)[number] => [name, (message) => engine.digests(digest, message, length)])
  return [...node, ...others, ...ours].map(([name, digestOf]) => {
    for (const message of all.slice(0, 16)) {
      const answer = digestOf(message)
      mustEqual(`${name}'s ${digest}`, typeof answer === 'string' ? Buffer.from(answer, 'hex') : answer, reference(digest, message))
    }
    return {
      name,
      count: messages,
      run: () => {
        for (const message of all) digestOf(message)
      },
    }
  })
}

/** Many messages that lie one after the other, their digests one after the other too. */
export function manyAtOnce(
  digest: DigestName,
  { bytes, messages }: Length,
  hashers: readonly Hasher[],
  engines: readonly NamedEngine[],
): Way[] {
  const { input, all } = madeMessages({ bytes, messages })
  const wanted = Buffer.concat(all.map((message) => reference(digest, message)))
  const sizes = new Uint32Array(messages).fill(bytes)
  const target = Buffer.alloc(32 * messages)
  const peers = hashers.map(({ name, hashTo }) => ({
    name,
    digests: () => {
      for (let index = 0; index < messages; index += 1) hashTo(all[index] as Uint8Array, target, 32 * index)
      return target
    },
  }))
  const ours = engines.map(({ name, engine }) => ({ name, digests: () => engine.digests(digest, input, sizes) }))
  return [...peers, ...ours].map(({ name, digests }) => {
    target.fill(0)
    mustEqual(`${name}'s batch of ${digest}`, digests(), wanted)
    return { name, count: messages, run: digests }
  })
}

function reference(digest: DigestName, message: Uint8Array): Uint8Array {
  return createHash(digest).update(message).digest()
}
