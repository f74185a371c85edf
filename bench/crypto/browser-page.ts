// What bench:crypto runs inside Chromium: the same checks and turns as in Node, with the peers that a browser has.
import type { Engine, SignedMessage } from '../../rust-lib/js/engine.ts'
import { javascriptEngine } from '../../rust-lib/js/javascript-engine.ts'
import { noblePrimitives } from '../../rust-lib/js/noble-primitives.ts'
import { openWasmEngine } from '../../rust-lib/js/wasm-engine.ts'
import { type HashWasm, merkleRootBy, openNoble, sharedHashers, verifyByNoble } from './peers.ts'
import { madeBytes, mustEqual, type Taken, type Turns, takeTurns } from './rounds.ts'
import { mustAccept, mustJudge } from './statement-check.ts'

/** Modules come by the names that the page's import map knows. */
const load = (specifier: string): Promise<unknown> => import(specifier)
const noble = await openNoble(load)
const wasm = await openWasmEngine()
const engines: { name: string; engine: Engine }[] = [
  { name: 'twin, noble', engine: javascriptEngine(noblePrimitives) },
  { name: 'wasm', engine: wasm },
]

/** Which engine the WebAssembly is. */
export function engineName(): string {
  return wasm.name
}

/** Roots over made leaves, held to one root that Node gave as numbers. */
export async function merkle(words: { count: number; leafBytes: number; root: number[]; turns: Turns }): Promise<Taken[]> {
  const leaves = madeBytes(words.count * words.leafBytes)
  const wanted = Uint8Array.from(words.root)
  const hashers = await sharedHashers('sha256', noble, (await load('hash-wasm')) as HashWasm)
  const ways = [
    ...hashers.map(({ name, hashTo }) => ({ name, rootOf: () => merkleRootBy(hashTo, leaves, words.leafBytes) })),
    ...engines.map(({ name, engine }) => ({ name, rootOf: () => engine.merkleRoot(leaves, words.leafBytes) })),
  ]
  return takeTurns(
    ways.map(({ name, rootOf }) => ({ name, count: words.count, run: () => mustEqual(`${name}'s root`, rootOf(), wanted) })),
    words.turns,
  )
}

/** Signatures as numbers, with one among them that is wrong; `good` are the same without it. */
export async function signatures(words: { good: number[][][]; oneWrong: number[][][]; wrong: number; turns: Turns }): Promise<Taken[]> {
  const signedOf = (all: number[][][]): SignedMessage[] =>
    all.map(([publicKey = [], message = [], signature = []]) => ({
      publicKey: Uint8Array.from(publicKey),
      message: Uint8Array.from(message),
      signature: Uint8Array.from(signature),
    }))
  const good = signedOf(words.good)
  const keys = await Promise.all(
    good.map(({ publicKey }) => crypto.subtle.importKey('raw', publicKey as BufferSource, 'Ed25519', false, ['verify'])),
  )
  const byWebCrypto = (signed: readonly SignedMessage[]) =>
    Promise.all(
      signed.map(async ({ message, signature }, index) =>
        Number(await crypto.subtle.verify('Ed25519', keys[index] as CryptoKey, signature as BufferSource, message as BufferSource)),
      ),
    )
  const ways: { name: string; verify: (signed: readonly SignedMessage[]) => Uint8Array | Promise<number[]> }[] = [
    { name: 'noble', verify: (signed) => verifyByNoble(noble, signed) },
    { name: 'WebCrypto, all at once', verify: byWebCrypto },
    ...engines.map(({ name, engine }) => ({ name, verify: engine.verifySignatures.bind(engine) })),
  ]
  const wanted = Uint8Array.from(good, () => 1)
  for (const { name, verify } of ways) {
    mustEqual(`${name}'s verdict on good signatures`, Uint8Array.from(await verify(good)), wanted)
    const withWrong = wanted.map((verdict, index) => (index === words.wrong ? 0 : verdict))
    mustEqual(`${name}'s verdict on a wrong signature`, Uint8Array.from(await verify(signedOf(words.oneWrong))), withWrong)
  }
  return takeTurns(
    ways.map(({ name, verify }) => ({ name, count: good.length, run: () => verify(good) })),
    words.turns,
  )
}

/** Both engines over a statement of a month, after they judged a small one rightly. */
export async function statement(words: { month: string; small: string; smallRecords: number; turns: Turns }): Promise<Taken[]> {
  const [month, small] = await Promise.all([bytesOf(words.month), bytesOf(words.small)])
  for (const { name, engine } of engines) mustJudge(name, engine, small, words.smallRecords)
  return takeTurns(
    engines.map(({ name, engine }) => ({ name, count: 1, run: () => mustAccept(name, engine, month) })),
    words.turns,
  )
}

/** Fetches a long statement and is ready to check it; the check is `checkLong`, so that memory can be looked at between. */
export async function openLong(words: { long: string; small: string; smallRecords: number }): Promise<void> {
  mustJudge('wasm', wasm, await bytesOf(words.small), words.smallRecords)
  long = await bytesOf(words.long)
}

/** Seconds that the WebAssembly takes for the long statement. */
export function checkLong(): number {
  const startedAt = performance.now()
  mustAccept('wasm', wasm, long)
  return (performance.now() - startedAt) / 1000
}

let long = new Uint8Array()

async function bytesOf(url: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url}: ${response.status}`)
  return new Uint8Array(await response.arrayBuffer())
}
