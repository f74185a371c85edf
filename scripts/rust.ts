// Builds, tests and verifies rust-lib with the compiler that it fetches: npm run rust:build | rust:test | rust:verify. The last line of a
// test or a verification is "N passed, N failed".
import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type BuildRecord,
  moduleBytes,
  modules,
  moduleText,
  readRecord,
  recordFile,
  rustDir,
  sha256,
  sourceFiles,
  sourceHash,
} from './rust-record.ts'
import { cargoHome, openToolchain, run, suite, type Toolchain } from './rust-toolchain.ts'
import { stateDir } from './state.ts'

const target = 'wasm32-unknown-unknown'
/** What every machine must compile with; the paths that a machine adds are mapped away. */
const flags = ['-Ctarget-feature=+simd128,+bulk-memory']

const commands: Record<string, () => boolean> = { build, test, verify }
const command = commands[process.argv[2] ?? '']
if (!command) {
  console.error('usage: node scripts/rust.ts build | test | verify')
  process.exit(2)
}
process.exit(command() ? 0 : 1)

/** Compiles both modules into a folder and answers their bytes. */
function compile(toolchain: Toolchain, folder: string): Map<string, Buffer> {
  const env = cargoEnv(toolchain, folder)
  run(toolchain.cargo, ['fetch', '--locked'], { cwd: rustDir, env })
  const registries = join(cargoHome(), 'registry', 'src')
  const maps = [[rustDir, '/rust-lib'], ...readdirSync(registries).map((registry) => [join(registries, registry), '/crates'])].map(
    ([from, to]) => `--remap-path-prefix=${from}=${to}`,
  )
  const built = new Map<string, Buffer>()
  for (const { file, features } of modules) {
    const args = ['build', '--release', '--locked', '--offline', '--lib', '--target', target, '--no-default-features']
    run(toolchain.cargo, [...args, ...(features.length > 0 ? ['--features', features.join()] : [])], {
      cwd: rustDir,
      env: { ...env, CARGO_ENCODED_RUSTFLAGS: [...flags, ...maps].join('\x1f') },
    })
    built.set(file, readFileSync(join(folder, target, 'release', 'flow402_core.wasm')))
  }
  return built
}

/** Nothing of the caller's own Rust may reach the compiler. */
function cargoEnv(toolchain: Toolchain, folder: string): NodeJS.ProcessEnv {
  const own = Object.entries(process.env).filter(([name]) => !/^(RUST|CARGO_(BUILD|TARGET|PROFILE|ENCODED|INCREMENTAL))/.test(name))
  return {
    ...(Object.fromEntries(own) as NodeJS.ProcessEnv),
    RUSTC: toolchain.rustc,
    RUSTDOC: join(toolchain.rustc, '..', 'rustdoc'),
    CARGO_HOME: cargoHome(),
    CARGO_TARGET_DIR: folder,
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER: toolchain.wasmLinker,
    CARGO_TERM_COLOR: 'never',
  }
}

/** Writes both modules and the record of how they came to be. */
function build(): boolean {
  const toolchain = openToolchain()
  const built = compile(toolchain, stateDir('rust', 'target'))
  for (const { file, name } of modules) writeChanged(join(rustDir, file), moduleText(name, bytesOf(built, file)))
  const version = run(toolchain.rustc, ['-vV'])
  const files = sourceFiles()
  const record: BuildRecord = {
    about: 'Written by npm run rust:build; npm run rust:verify builds the same bytes again.',
    compiler: {
      rustc: version.split('\n')[0] ?? '',
      llvm: /^LLVM version: (.+)$/m.exec(version)?.[1] ?? '',
      from: `Debian ${suite}, amd64`,
      packages: compilerPackages(toolchain),
    },
    flags,
    profile: 'release, as Cargo.toml has it',
    sources: { files, sha256: sourceHash(files) },
    modules: Object.fromEntries(
      modules.map(({ file, features }) => {
        const wasm = bytesOf(built, file)
        return [file, { features, bytes: wasm.length, sha256: sha256(wasm) }]
      }),
    ),
  }
  writeChanged(recordFile, run('biome', ['format', '--stdin-file-path', recordFile], { input: JSON.stringify(record, null, 2) }))
  for (const [file, { bytes }] of Object.entries(record.modules)) console.log(`${file}: ${bytes} bytes`)
  return true
}

/** Leaves a file alone that says the same already. */
function writeChanged(file: string, text: string): void {
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
}

/** Those of the packages that decide the bytes. */
function compilerPackages({ packages }: Toolchain): Record<string, string> {
  const deciding = /^(rustc|cargo|libstd-rust-\S+|libllvm\d+|lld-\d+)$/
  return Object.fromEntries(Object.entries(packages).filter(([name]) => deciding.test(name)))
}

/** Runs the tests of the crate, with and without signatures. */
function test(): boolean {
  const toolchain = openToolchain()
  const env = cargoEnv(toolchain, stateDir('rust', 'target'))
  let [passed, failed] = [0, 0]
  for (const features of [[], ['--no-default-features']]) {
    const args = ['test', '--locked', '--tests', '--no-fail-fast', ...features]
    const { status, stdout, stderr } = spawnSync(toolchain.cargo, args, { cwd: rustDir, env, encoding: 'utf8', maxBuffer: 64 << 20 })
    console.log(`cargo ${args.join(' ')}\n${stdout}${status === 0 ? '' : stderr}`)
    const counts = [...stdout.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed;/gm)]
    const failures = counts.reduce((sum, count) => sum + Number(count[2]), 0)
    passed += counts.reduce((sum, count) => sum + Number(count[1]), 0)
    // It may fail before any test ran.
    failed += status !== 0 && failures === 0 ? 1 : failures
  }
  return finish(passed, failed)
}

/** Builds both modules anew in an empty folder and compares them, byte for byte, with what is committed. */
function verify(): boolean {
  const toolchain = openToolchain()
  const record = readRecord()
  for (const [name, version] of Object.entries(compilerPackages(toolchain))) {
    const recorded = record.compiler.packages[name]
    if (recorded !== version) console.log(`note: ${name} is ${version} here and was ${recorded}; other versions may give other bytes.`)
  }
  const folder = mkdtempSync(join(tmpdir(), 'flow402-rust-'))
  let [passed, failed] = [0, 0]
  try {
    const built = compile(toolchain, folder)
    for (const { file } of modules) {
      const isSame = bytesOf(built, file).equals(moduleBytes(file)) && record.modules[file]?.sha256 === sha256(bytesOf(built, file))
      console.log(`${isSame ? 'ok  ' : 'FAIL'}  ${file} is ${isSame ? '' : 'not '}what its sources compile to`)
      if (isSame) passed += 1
      else failed += 1
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return finish(passed, failed)
}

function bytesOf(built: Map<string, Buffer>, file: string): Buffer {
  const bytes = built.get(file)
  if (!bytes) throw new Error(`${file} was not built.`)
  return bytes
}

function finish(passed: number, failed: number): boolean {
  const counted = passed + failed === 0 ? 1 : failed
  console.log(`${passed} passed, ${counted} failed`)
  return counted === 0
}
