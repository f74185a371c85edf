// The compiler of rust-lib: Debian 13's own, unpacked beside the clone's state, so that every machine builds the same bytes.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { stateDir } from './state.ts'

/** Debian's release whose rustc, standard library for WebAssembly and linker are taken: a stable one, so that versions stay. */
export const suite = 'trixie'
const wanted = ['rustc', 'cargo', 'libstd-rust-dev-wasm32', 'lld-19']
/** What only compiles C comes from the machine itself, and is by far the larger part. */
const notNeeded =
  /^(gcc|cpp|binutils|linux-libc-dev|rpcsvc-proto|libc6-dev|libc-dev-bin|libcrypt-dev|libgcc-14-dev|libbinutils|lib(asan|tsan|lsan|ubsan|hwasan|itm|quadmath|gomp|atomic|cc1-|isl|mpc|mpfr|gprofng|ctf|sframe)\S*$)/

/** The programs to call, and which packages they are (name: version). */
export type Toolchain = { cargo: string; rustc: string; wasmLinker: string; packages: Record<string, string> }

/** Unpacks the toolchain on the first call; later calls find it. Needs Debian's apt and dpkg on x86-64, and no root. */
export function openToolchain(): Toolchain {
  const folder = stateDir('rust', suite)
  const note = join(folder, 'packages.json')
  if (!existsSync(note)) fetchToolchain(folder)
  const program = (name: string) => join(folder, 'bin', name)
  const packages = JSON.parse(readFileSync(note, 'utf8')) as Record<string, string>
  return { cargo: program('cargo'), rustc: program('rustc'), wasmLinker: program('wasm-ld'), packages }
}

/** Where cargo keeps the sources of crates. */
export function cargoHome(): string {
  return process.env.CARGO_HOME || (process.env.HOME ? join(homedir(), '.cargo') : stateDir('rust', 'cargo'))
}

function fetchToolchain(folder: string): void {
  if (process.arch !== 'x64' || !existsSync('/usr/bin/apt-get') || !existsSync('/usr/bin/dpkg'))
    throw new Error('The compiler is unpacked from Debian packages: this needs Debian (or Ubuntu) on x86-64.')
  console.log(`Fetching rustc of Debian ${suite} (200 MB) ...`)
  const draft = `${folder}.${process.pid}`
  rmSync(draft, { recursive: true, force: true })
  try {
    const packages = unpackPackages(draft)
    writePrograms(draft, folder)
    writeFileSync(join(draft, 'packages.json'), JSON.stringify(packages, null, 2))
    rmSync(folder, { recursive: true, force: true })
    renameSync(draft, folder)
  } finally {
    rmSync(draft, { recursive: true, force: true })
  }
}

/** Downloads the packages with an apt that knows one source and no installed package, and unpacks them. Answers their versions. */
function unpackPackages(draft: string): Record<string, string> {
  const apt = join(draft, 'apt')
  const debs = join(draft, 'debs')
  for (const part of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, part), { recursive: true })
  for (const part of ['debs', 'root']) mkdirSync(join(draft, part))
  writeFileSync(join(apt, 'sources.list'), `deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror()} ${suite} main\n`)
  writeFileSync(join(apt, 'status'), '')
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State': apt,
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': join(apt, 'cache'),
    'APT::Architecture': 'amd64',
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const config = join(apt, 'apt.conf')
  writeFileSync(
    config,
    `#clear APT::Architectures;\n${Object.entries(settings)
      .map(([key, value]) => `${key} "${value}";\n`)
      .join('')}`,
  )
  const env = { ...process.env, APT_CONFIG: config, DEBIAN_FRONTEND: 'noninteractive' }
  run('apt-get', ['update', '-q'], { env })
  const plan = run('apt-get', ['install', '-y', '-q', '--print-uris', ...wanted], { env })
  const names = [...plan.matchAll(/^'\S+' (\S+)_(\S+)_\w+\.deb /gm)].map(([, name = '', version = '']) => [
    name,
    decodeURIComponent(version),
  ])
  const packages = Object.fromEntries(names.filter(([name = '']) => !notNeeded.test(name)).toSorted()) as Record<string, string>
  run('apt-get', ['download', '-q', ...Object.keys(packages)], { env, cwd: debs })
  for (const deb of readdirSync(debs)) run('dpkg', ['-x', join(debs, deb), join(draft, 'root')])
  rmSync(debs, { recursive: true })
  rmSync(apt, { recursive: true })
  return packages
}

/** The mirror that this machine has its own packages from. */
function mirror(): string {
  const codename = /^VERSION_CODENAME=(\w+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? ''
  const parts = '/etc/apt/sources.list.d'
  const files = [...(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : []), '/etc/apt/sources.list']
  for (const file of files.filter((path) => existsSync(path) && /\.(list|sources)$/.test(path))) {
    for (const stanza of readFileSync(file, 'utf8').split(/\n\s*\n/)) {
      const field = (name: string) => new RegExp(`^${name}:\\s*(.+)$`, 'm').exec(stanza)?.[1]?.split(/\s+/) ?? []
      if (field('Suites').includes(codename) && field('Components').includes('main')) return field('URIs')[0] ?? ''
      for (const [, uri = '', of] of stanza.matchAll(/^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+.*\bmain\b/gm))
        if (of === codename) return uri
    }
  }
  throw new Error('The sources of apt name no mirror of this Debian.')
}

/** Programs that run with the libraries they were unpacked with, in the folder where they will lie. */
function writePrograms(draft: string, folder: string): void {
  const root = join(folder, 'root')
  const libraries = join(root, 'usr/lib/x86_64-linux-gnu')
  mkdirSync(join(draft, 'bin'))
  const write = (name: string, program: string, first = '') => {
    const command = `exec '${libraries}/ld-linux-x86-64.so.2' --argv0 ${name} --library-path '${libraries}' '${join(root, program)}' ${first}"$@"`
    writeFileSync(join(draft, 'bin', name), `#!/bin/sh\n${command}\n`)
    chmodSync(join(draft, 'bin', name), 0o755)
  }
  write('rustc', 'usr/bin/rustc', `--sysroot '${join(root, 'usr')}' `)
  write('rustdoc', 'usr/bin/rustdoc', `--sysroot '${join(root, 'usr')}' `)
  write('cargo', 'usr/bin/cargo')
  write('wasm-ld', 'usr/lib/llvm-19/bin/lld')
}

/** Runs a program to its end and answers what it wrote; an error with its words when it fails. */
export function run(program: string, args: string[], options: { env?: NodeJS.ProcessEnv; cwd?: string; input?: string } = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { ...options, encoding: 'utf8', maxBuffer: 64 << 20 })
  if (error) throw error
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}
