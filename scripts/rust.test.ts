// The committed WebAssembly is that of the committed Rust: known without a compiler, by the hashes that the build wrote down.
import { expect, test } from 'vitest'
import { moduleBytes, modules, readRecord, sha256, sourceFiles, sourceHash } from './rust-record.ts'

const record = readRecord()

test('the Rust sources are those that the modules were built from; if not, npm run rust:build', () => {
  expect(sourceFiles()).toEqual(record.sources.files)
  expect(sourceHash(sourceFiles())).toBe(record.sources.sha256)
})

test.each(modules)('$file is the module that the build wrote', ({ file, features }) => {
  const wasm = moduleBytes(file)
  expect(record.modules[file]).toEqual({ features, bytes: wasm.length, sha256: sha256(wasm) })
})

test('a changed source or module is noticed', () => {
  const [first = '', ...rest] = sourceFiles()
  expect(sourceHash([...rest, first])).not.toBe(record.sources.sha256)
  expect(sourceHash(rest)).not.toBe(record.sources.sha256)
  expect(WebAssembly.validate(new Uint8Array(moduleBytes('js/wasm-full.ts')))).toBe(true)
})
