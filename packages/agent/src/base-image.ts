// Base image: the default image, made from what this machine has, without any registry.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream, existsSync, lstatSync, readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { pack } from 'tar-stream'
import type { Runtime } from './runtimes/runtime.ts'

const run = promisify(execFile)

/** One entry of the image: a file of the host, a link, or a small text. */
type Entry = { path: string; mode: number } & ({ file: string; size: number; mtimeMs: number } | { link: string } | { text: string })

const searchPath = ['/usr/local/bin', '/usr/bin', '/bin', '/usr/sbin', '/sbin']
const skippedPython =
  /(^|\/)(__pycache__|test|tests|idlelib|tkinter|turtledemo|lib2to3|ensurepip|distutils|pydoc_data|config-[^/]*|dist-packages)(\/|$)/

/** Makes the image when the engine lacks it; answers its name, which changes with its contents. */
export async function ensureBaseImage(runtime: Runtime, busybox: string): Promise<{ ref: string; built: boolean }> {
  const entries = await imageEntries(busybox)
  const list = entries.map(
    (entry) =>
      `${entry.path} ${entry.mode} ${'file' in entry ? `${entry.size} ${entry.mtimeMs}` : 'link' in entry ? entry.link : entry.text}`,
  )
  const ref = `flow402/base:1-${createHash('sha256').update(list.join('\n')).digest('hex').slice(0, 12)}`
  if (await runtime.hasImage(ref)) return { ref, built: false }
  const tar = pack()
  const filled = fill(tar, entries)
  await Promise.all([
    filled,
    runtime.importImage(tar, ref, ['ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 HOME=/workspace']),
  ])
  return { ref, built: true }
}

async function fill(tar: ReturnType<typeof pack>, entries: Entry[]): Promise<void> {
  const mtime = new Date(0)
  for (const entry of entries) {
    if ('file' in entry)
      await pipeline(createReadStream(entry.file), tar.entry({ name: entry.path, mode: entry.mode, size: entry.size, mtime }))
    else if ('link' in entry) tar.entry({ name: entry.path, type: 'symlink', linkname: entry.link, mtime })
    else if (entry.path.endsWith('/')) tar.entry({ name: entry.path, type: 'directory', mode: entry.mode, mtime })
    else tar.entry({ name: entry.path, mode: entry.mode, mtime }, entry.text)
  }
  tar.finalize()
}

async function imageEntries(busybox: string): Promise<Entry[]> {
  const entries = new Map<string, Entry>()
  const add = (entry: Entry) => void (entries.has(entry.path) || entries.set(entry.path, entry))
  const addFile = (path: string, file: string) => {
    const { size, mtimeMs, mode } = statSync(file)
    add({ path, file, size, mtimeMs: Math.floor(mtimeMs), mode: mode & 0o755 })
  }

  for (const folder of [
    'usr',
    'usr/bin',
    'usr/sbin',
    'usr/lib',
    'usr/lib64',
    'etc',
    'etc/ssl',
    'dev',
    'proc',
    'sys',
    'run',
    'var',
    'tmp',
    'root',
    'home',
    'opt',
  ]) {
    add({ path: `${folder}/`, mode: folder === 'tmp' ? 0o1777 : 0o755, text: '' })
  }
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) add({ path: folder, link: `usr/${folder}`, mode: 0o777 })
  add({ path: 'workspace/', mode: 0o755, text: '' })
  add({ path: '.flow402/', mode: 0o755, text: '' })
  add({ path: 'etc/passwd', mode: 0o644, text: 'root:x:0:0:root:/workspace:/bin/bash\nnobody:x:65534:65534:nobody:/:/bin/false\n' })
  add({ path: 'etc/group', mode: 0o644, text: 'root:x:0:\nnogroup:x:65534:\n' })
  add({ path: 'etc/nsswitch.conf', mode: 0o644, text: 'passwd: files\ngroup: files\nhosts: files dns\n' })
  add({ path: 'etc/os-release', mode: 0o644, text: 'NAME="Flow402 base"\nID=flow402\nPRETTY_NAME="Flow402 base image"\n' })
  add({ path: 'etc/profile', mode: 0o644, text: "export PS1='\\w \\$ '\n" })
  add({ path: 'etc/bash.bashrc', mode: 0o644, text: "PS1='\\w \\$ '\n" })

  const needLibraries: string[] = []
  const program = (name: string, file: string) => {
    addFile(`usr/bin/${name}`, file)
    needLibraries.push(file)
  }
  program('busybox', busybox)
  program('node', realpathSync(process.execPath))
  for (const name of ['bash', 'curl', 'openssl']) {
    const file = searchPath.map((folder) => join(folder, name)).find((path) => existsSync(path))
    if (file) program(name, realpathSync(file))
  }
  const python = existsSync('/usr/bin/python3') ? realpathSync('/usr/bin/python3') : null
  const pythonLibrary = python && `/usr/lib/${basename(python)}`
  if (python && pythonLibrary && existsSync(join(pythonLibrary, 'os.py'))) {
    program(basename(python), python)
    add({ path: 'usr/bin/python3', link: basename(python), mode: 0o777 })
    for (const file of walk(pythonLibrary)) {
      if (skippedPython.test(file.slice(pythonLibrary.length)) || !existsSync(file)) continue
      addFile(file.slice(1), file)
      if (file.endsWith('.so')) needLibraries.push(file)
    }
  }
  for (const file of await sharedLibraries(needLibraries)) addFile(inUsr(file), realpathSync(file))

  for (const kind of ['x/xterm', 'x/xterm-256color', 'l/linux', 'v/vt100', 'd/dumb']) {
    const file = ['/usr/share/terminfo', '/lib/terminfo', '/etc/terminfo']
      .map((folder) => join(folder, kind))
      .find((path) => existsSync(path))
    if (file) addFile(`usr/lib/terminfo/${kind}`, realpathSync(file))
  }
  for (const file of ['/etc/ssl/certs/ca-certificates.crt', '/etc/ssl/openssl.cnf'])
    if (existsSync(file)) addFile(file.slice(1), realpathSync(file))
  if (existsSync('/usr/lib/ssl') && lstatSync('/usr/lib/ssl').isDirectory()) {
    for (const name of readdirSync('/usr/lib/ssl')) {
      const path = `/usr/lib/ssl/${name}`
      if (lstatSync(path).isSymbolicLink()) add({ path: path.slice(1), link: readlinkSync(path), mode: 0o777 })
    }
  }

  const { stdout } = await run(busybox, ['--list'])
  for (const applet of stdout.split('\n').filter(Boolean)) add({ path: `usr/bin/${applet}`, link: 'busybox', mode: 0o777 })
  return withFolders([...entries.values()])
}

/** Puts the missing parent folders before each entry. */
function withFolders(entries: Entry[]): Entry[] {
  const known = new Set<string>(entries.filter((entry) => entry.path.endsWith('/')).map((entry) => entry.path))
  const result: Entry[] = []
  for (const entry of entries) {
    const missing: string[] = []
    for (let folder = dirname(entry.path.replace(/\/$/, '')); folder !== '.' && !known.has(`${folder}/`); folder = dirname(folder)) {
      known.add(`${folder}/`)
      missing.unshift(`${folder}/`)
    }
    result.push(...missing.map((path) => ({ path, mode: 0o755, text: '' })), entry)
  }
  return result
}

/** Paths of /lib as they are in a merged /usr. */
function inUsr(file: string): string {
  return file.replace(/^\/(usr\/)?/, 'usr/')
}

function* walk(folder: string): Generator<string> {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(path)
    else yield path
  }
}

/** What the dynamic loader would load for these programs; static ones have none. */
async function sharedLibraries(programs: string[]): Promise<Set<string>> {
  const found = new Set<string>()
  const { stdout } = await run('ldd', programs, { maxBuffer: 16 * 1024 * 1024 }).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }))
  for (const line of stdout.split('\n')) {
    const path = /(?:=> )?(\/[^ :]+) \(0x/.exec(line)?.[1]
    if (path) found.add(path)
  }
  return found
}

/** A static busybox of this machine, or null. */
export function findStaticBusybox(): string | null {
  return ['/bin/busybox', '/usr/bin/busybox'].find((path) => existsSync(path) && isStatic(path)) ?? null
}

/** Whether an ELF file names no interpreter (program header type PT_INTERP = 3), so that it runs in any image. */
function isStatic(path: string): boolean {
  const elf = readFileSync(path)
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf.readUInt8(4) !== 2) return false
  const table = Number(elf.readBigUInt64LE(32))
  const size = elf.readUInt16LE(54)
  const count = elf.readUInt16LE(56)
  for (let index = 0; index < count; index++) if (elf.readUInt32LE(table + index * size) === 3) return false
  return true
}
