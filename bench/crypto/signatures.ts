// Ed25519 verifications per second: 256 signatures of 256 keys, 256 of one key, and one alone. Part of bench:crypto.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import type { SignedMessage } from '../../rust-lib/js/engine.ts'
import { openNodeEngines } from './engines.ts'
import { verifyByNoble } from './peers.ts'
import { keyObjectOf, openNodeNoble, verifyByNode, verifyByNodeThreads } from './peers-node.ts'
import { mustEqual, type Taken, type Way } from './rounds.ts'
import { brief, named, type Plan, perSecond, ratioAim, type Section, table, takeTurnsHere, timesAsFast } from './table.ts'

export const batchSize = 256
const cases = [
  { label: '256, distinct keys', count: batchSize, keys: batchSize },
  { label: '256, one key', count: batchSize, keys: 1 },
  { label: 'one', count: 1, keys: 1 },
]

/** Signatures over 32 bytes each, as a node signs the leaf hash of a record; the keys take turns. */
export function madeSignatures(count: number, keys: number): SignedMessage[] {
  const pairs = Array.from({ length: keys }, () => generateKeyPairSync('ed25519'))
  return Array.from({ length: count }, (_, index) => {
    const { publicKey, privateKey } = pairs[index % keys] as (typeof pairs)[number]
    const message = new Uint8Array(randomBytes(32))
    return {
      publicKey: new Uint8Array(publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)),
      message,
      signature: new Uint8Array(sign(undefined, message, privateKey)),
    }
  })
}

/** The same with one signature over something else. */
export function withOneWrong(signed: readonly SignedMessage[], wrong: number): SignedMessage[] {
  return signed.map((each, index) => (index === wrong ? { ...each, message: each.message.map((byte) => byte ^ 1) } : each))
}

/** Every way of verifying so many signatures; each has told the one wrong among them from the good before it is timed. */
export async function checkedSignatureWays(count: number, keys: number): Promise<Way[]> {
  const noble = await openNodeNoble()
  const engines = await openNodeEngines()
  const signed = madeSignatures(count, keys)
  const imported = keysOf(signed)
  const ways: { name: string; verify: (signed: readonly SignedMessage[]) => Uint8Array | Promise<number[]> }[] = [
    { name: 'node verify', verify: (some) => verifyByNode(some, imported) },
    {
      name: 'node verify, key imported each time',
      verify: (some) =>
        verifyByNode(
          some,
          some.map(({ publicKey }) => keyObjectOf(publicKey)),
        ),
    },
    { name: "node verify, on Node's 4 threads", verify: (some) => verifyByNodeThreads(some, imported) },
    { name: 'noble', verify: (some) => verifyByNoble(noble, some) },
    ...engines.map(({ name, engine }) => ({ name, verify: engine.verifySignatures.bind(engine) })),
  ]
  const good = new Uint8Array(count).fill(1)
  const wrong = Math.floor(count / 3)
  const oneWrong = good.map((verdict, index) => (index === wrong ? 0 : verdict))
  for (const { name, verify } of ways) {
    mustEqual(`${name}'s verdict on good signatures`, Uint8Array.from(await verify(signed)), good)
    mustEqual(`${name}'s verdict on a wrong signature`, Uint8Array.from(await verify(withOneWrong(signed, wrong))), oneWrong)
  }
  return ways.map(({ name, verify }) => ({ name, count, run: () => verify(signed) }))
}

/** Measures every way with every case. */
export async function measureSignatures({ turns }: Plan): Promise<Section> {
  const taken: Taken[][] = []
  for (const { count, keys } of cases) taken.push(await takeTurnsHere(await checkedSignatureWays(count, keys), turns))
  const names = taken[0]?.map(({ name }) => name) ?? []
  const ratios = taken.map((each) => timesAsFast(named(each, 'wasm'), named(each, 'node verify')))
  const aimOf = (what: string, each: Taken[], least: number) => ratioAim(what, named(each, 'wasm'), named(each, 'node verify'), least)
  const [distinct = [], oneKey = []] = taken
  return {
    title: 'Ed25519 verifications per second, messages of 32 bytes',
    lines: [
      '',
      ...table(
        ['way', ...cases.map(({ label }) => label)],
        [
          ...names.map((name) => [name, ...taken.map((each) => brief(perSecond(named(each, name))))]),
          ['**wasm / node verify**', ...ratios.map(brief)],
        ],
      ),
    ],
    aims: [
      aimOf('batch of 256 signatures, distinct keys, beside node verify', distinct, 2.2),
      aimOf('batch of 256 signatures, one key, beside node verify', oneKey, 4.5),
    ],
  }
}

/** The keys of some signatures, each imported once. */
function keysOf(signed: readonly SignedMessage[]) {
  const known = new Map<string, ReturnType<typeof keyObjectOf>>()
  return signed.map(({ publicKey }) => {
    const name = Buffer.from(publicKey).toString('hex')
    const key = known.get(name) ?? keyObjectOf(publicKey)
    known.set(name, key)
    return key
  })
}
