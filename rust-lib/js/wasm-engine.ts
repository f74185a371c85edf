// The engine in WebAssembly, compiled from the Rust of src/: the same bytes of code on a server, in Node and in a page.
import type { Engine, SignedMessage, StatementVerdict } from './engine.ts'
import { statementFaults } from './engine.ts'
import { type HashesExports, hashesEngine, requireLength } from './wasm-hashes-engine.ts'
import { openWasm } from './wasm-module.ts'
import { countLimit, done, slabBytes, slabOf } from './wasm-slab.ts'

/** What the build with Ed25519 exports beyond the other one (src/wasm.rs). */
type FullExports = HashesExports & {
  signatures_begin: () => number
  signatures_add: (count: number) => number
  signature_begin: () => number
  signature_feed: (length: number) => number
  signature_end: () => number
  signatures_end: () => number
  statement_begin: (total: bigint) => number
  statement_feed: (length: number) => number
  statement_end: () => number
}

/** Bytes before a message in the slab: the key and the signature. */
const headBytes = 96
/** Bytes of a verdict on a statement as they come out. */
const verdictBytes = 64

/** Compiles the module and answers its engine; WasmMissing where it cannot run (no WebAssembly, no SIMD, forbidden by the page). */
export async function openWasmEngine(): Promise<Engine> {
  const { wasmFull } = await import('./wasm-full.ts')
  return wasmEngine(await openWasm<FullExports>(wasmFull))
}

function wasmEngine(wasm: FullExports): Engine {
  const slab = slabOf(wasm)

  /** Adds signatures to the batch, as many to a call as the slab holds. */
  function addSignatures(signed: readonly SignedMessage[]): void {
    let lengths: number[] = []
    let filled = 0
    const flush = () => {
      if (lengths.length === 0) return
      slab.putLengths(lengths)
      done(wasm.signatures_add(lengths.length))
      lengths = []
      filled = 0
    }
    for (const { publicKey, message, signature } of signed) {
      const isLong = headBytes + message.length > slabBytes
      if (isLong || filled + headBytes + message.length > slabBytes) flush()
      slab.put(publicKey, filled)
      slab.put(signature, filled + 32)
      if (isLong) {
        done(wasm.signature_begin())
        slab.feed(message, (length) => done(wasm.signature_feed(length)) === 0)
        done(wasm.signature_end())
      } else {
        slab.put(message, filled + headBytes)
        lengths.push(message.length)
        filled += headBytes + message.length
      }
    }
    flush()
  }

  return {
    ...hashesEngine(wasm),
    name: 'wasm-simd',
    verifySignatures(signed) {
      for (const { publicKey, signature } of signed) {
        requireLength('publicKey', publicKey, 32)
        requireLength('signature', signature, 64)
      }
      const verdicts = new Uint8Array(signed.length)
      for (let start = 0; start < signed.length; start += countLimit) {
        done(wasm.signatures_begin())
        addSignatures(signed.slice(start, start + countLimit))
        verdicts.set(slab.answer(done(wasm.signatures_end())), start)
      }
      return verdicts
    },
    verifyStatement(statement) {
      done(wasm.statement_begin(BigInt(statement.length)))
      slab.feed(statement, (length) => done(wasm.statement_feed(length)) === 1)
      done(wasm.statement_end())
      return verdictFrom(slab.answer(verdictBytes))
    },
  }
}

/** The verdict that statement_end wrote. */
function verdictFrom(bytes: Uint8Array<ArrayBuffer>): StatementVerdict {
  const view = new DataView(bytes.buffer)
  const number = (at: number) => view.getUint32(at, true)
  if (number(0) === 0) return { ok: true, records: number(12), root: bytes.slice(32, 64) }
  const fault = statementFaults[number(0) - 1]
  if (fault === undefined) throw new Error(`The WebAssembly module knows a fault ${number(0)} that this program does not.`)
  const refused = { ok: false, fault, record: number(4) } as const
  return number(8) === 0 ? refused : { ...refused, stated: view.getBigUint64(16, true), computed: view.getBigUint64(24, true) }
}
