// What rust-lib's committed WebAssembly was built from: the hash of its sources, and of each module as it lies in TypeScript.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cloneDir } from './state.ts'

export const rustDir = join(cloneDir, 'rust-lib')
export const recordFile = join(rustDir, 'build-record.json')

/** The modules: where each is committed, under which name, and with which features of the crate. */
export const modules = [
  { file: 'js/wasm-full.ts', name: 'wasmFull', features: ['ed25519'] },
  { file: 'js/wasm-hashes.ts', name: 'wasmHashes', features: [] },
]

/** rust-lib/build-record.json. */
export type BuildRecord = {
  about: string
  compiler: { rustc: string; llvm: string; from: string; packages: Record<string, string> }
  flags: string[]
  profile: string
  sources: { files: string[]; sha256: string }
  modules: Record<string, { features: string[]; bytes: number; sha256: string }>
}

export const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex')

/** The files that the bytes of the modules follow from, relative to rust-lib, in the order of their names. */
export function sourceFiles(): string[] {
  const sources = readdirSync(join(rustDir, 'src'), { recursive: true, encoding: 'utf8' })
  return ['Cargo.toml', 'Cargo.lock', ...sources.filter((file) => file.endsWith('.rs')).map((file) => `src/${file}`)].toSorted()
}

/** One hash over all of them: that of what `sha256sum` prints for the files in this order. */
export function sourceHash(files: string[]): string {
  return sha256(files.map((file) => `${sha256(readFileSync(join(rustDir, file)))}  ${file}\n`).join(''))
}

export function readRecord(): BuildRecord {
  return JSON.parse(readFileSync(recordFile, 'utf8')) as BuildRecord
}

/** The TypeScript that a module is committed as. */
export function moduleText(name: string, wasm: Uint8Array): string {
  const base64 = Buffer.from(wasm).toString('base64')
  return `// Written by npm run rust:build from rust-lib/src; build-record.json says how.\nexport const ${name} =\n  '${base64}'\n`
}

/** The module that a committed file holds. */
export function moduleBytes(file: string): Buffer {
  const base64 = /'([A-Za-z0-9+/=]+)'\n$/.exec(readFileSync(join(rustDir, file), 'utf8'))?.[1]
  if (base64 === undefined) throw new Error(`${file} holds no module.`)
  return Buffer.from(base64, 'base64')
}
