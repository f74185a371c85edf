// The memory of WebAssembly stays as it is over many calls, whatever they are and however they end.
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { unhex } from '../vectors/bytes.ts'
import type { Vectors } from '../vectors/format.ts'
import { vectorsFile } from '../vectors/write.ts'
import { madeStatement } from './made-statement.ts'
import { openWasmEngine } from './wasm-engine.ts'

const vectors = JSON.parse(readFileSync(vectorsFile, 'utf8')) as Vectors

test('a thousand calls of each kind leave the memory of the module as large as the first ones did', async () => {
  const memories: WebAssembly.Memory[] = []
  const { instantiate } = WebAssembly
  WebAssembly.instantiate = (async (bytes: Uint8Array<ArrayBuffer>) => {
    const result = await instantiate(bytes)
    memories.push(result.instance.exports.memory as WebAssembly.Memory)
    return result
  }) as typeof instantiate
  const engine = await openWasmEngine()
  WebAssembly.instantiate = instantiate
  const [memory] = memories
  if (memory === undefined) throw new Error('The module exports no memory.')

  const statements = vectors.statements.map(({ statement }) => unhex(statement))
  const large = madeStatement(300, engine).statement
  const signed = vectors.signatures.map(({ publicKey, message, signature }) => ({
    publicKey: unhex(publicKey),
    message: unhex(message),
    signature: unhex(signature),
  }))
  const bytes = new Uint8Array(100_000)
  const one = (call: number) => {
    engine.verifyStatement(statements[call % statements.length] ?? large)
    engine.verifyStatement(large.subarray(0, call * 40))
    engine.verifySignatures(signed.slice(0, call % 9))
    engine.digests(call % 2 ? 'sha256' : 'sha3-256', bytes.subarray(0, 97 * (call % 300)), new Uint32Array(call % 300).fill(97))
    engine.merkleProof(bytes, 100, call)
    const root = engine.merkleRoot(bytes.subarray(0, 100 * call), 100)
    engine.isConsistent(1 + call, root, 1000, root, engine.consistencyProof(bytes, 100, 1 + call))
    expect(() => engine.merkleRoot(bytes, 3)).toThrow(RangeError)
    expect(engine.sumPrices(new BigUint64Array(call).fill(2n), new BigUint64Array(call).fill(3n), 1n)).toBe(6n * BigInt(call))
  }
  engine.verifyStatement(large)
  one(999)
  const before = memory.buffer.byteLength
  for (let call = 0; call < 1000; call += 1) one(call)
  engine.verifyStatement(large)
  expect(memory.buffer.byteLength).toBe(before)
  expect(before).toBeLessThan(16 * 1024 * 1024)
})
