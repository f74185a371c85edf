// The bootstrap: runs on any Node from 20.9 with nothing installed. It installs what package-lock.json names, when that is missing or
// has changed, and then runs the program with the Node of node_modules: node scripts/start.mjs <file.ts | name of a program> [args]
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const modules = join(root, 'node_modules')
const isWindows = process.platform === 'win32'
const parent = process.ppid

// An empty HOME makes npm and others write into the working directory; without it they ask the system.
if (process.env.HOME === '') delete process.env.HOME
process.env.NEXT_TELEMETRY_DISABLED = '1'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 9)) {
  console.error(`Node ${process.versions.node} is too old: install Node 20.9 or newer (https://nodejs.org) and run this again.`)
  process.exit(1)
}

const [program, ...args] = process.argv.slice(2)
if (!program) {
  console.error('usage: node scripts/start.mjs <file.ts | program> [args]')
  process.exit(2)
}

await installWhenNeeded()
await runProgram()

async function installWhenNeeded() {
  const lockFile = join(root, 'package-lock.json')
  const stampFile = join(modules, '.flow402-installed')
  const wanted = createHash('sha256').update(readFileSync(lockFile)).digest('hex')
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) return
  const installed = join(modules, '.package-lock.json')
  // Somebody ran npm themselves: what it left is younger than the lock file.
  const isCurrent = () =>
    existsSync(nodeOfModules()) &&
    ((existsSync(stampFile) && readFileSync(stampFile, 'utf8') === wanted) ||
      (existsSync(installed) && statSync(installed).mtimeMs >= statSync(lockFile).mtimeMs - 5000))
  if (!isCurrent()) {
    const unlock = await takeTurn()
    try {
      // Another command may have installed while this one waited.
      if (!isCurrent()) await install()
    } finally {
      unlock()
    }
  }
  writeFileSync(stampFile, wanted)
}

/** Two commands started at once in a fresh clone must not both install. Answers the way to let go. */
async function takeTurn() {
  const file = join(root, '.flow402', 'installing')
  mkdirSync(join(root, '.flow402'), { recursive: true })
  for (;;) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' })
      process.on('exit', () => rmSync(file, { force: true }))
      return () => rmSync(file, { force: true })
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
    const holder = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
    if (holder > 0 && !isAlive(holder)) rmSync(file, { force: true })
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

async function install() {
  const logFolder = join(root, '.flow402', 'logs')
  mkdirSync(logFolder, { recursive: true })
  const logFile = join(logFolder, 'install.log')
  const log = openSync(logFile, 'w')
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm']
  const began = Date.now()
  const seconds = () => `${((Date.now() - began) / 1000).toFixed(1)} s`
  const draw = (line, end) => process.stdout.write(process.stdout.isTTY ? `\r\x1b[2K${line}${end}` : `${line}\n`)
  draw('… packages: npm ci', '')
  const turning = process.stdout.isTTY ? setInterval(() => draw(`… packages: npm ci ${seconds()}`, ''), 100) : undefined
  let current
  let isStopped = false
  const stop = () => {
    isStopped = true
    current?.kill('SIGTERM')
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, stop)
  const runNpm = () =>
    new Promise((resolve) => {
      current = spawn(
        npm[0],
        [...npm.slice(1), 'ci', '--no-audit', '--no-fund', '--loglevel=warn', '--include=dev', '--include=optional'],
        {
          cwd: root,
          stdio: ['ignore', log, log],
          shell: isWindows && npm.length === 1,
          // Some environments switch off dev packages; Node itself is one of them here.
          env: { ...process.env, NODE_ENV: 'development' },
        },
      )
      current.on('error', () => resolve(127))
      current.on('exit', (exitCode) => resolve(exitCode ?? 1))
    })
  // Once more when it failed: a program that was using the old packages may have been in its way.
  const code = (await runNpm()) && (isStopped ? 130 : await runNpm())
  for (const signal of signals) process.off(signal, stop)
  clearInterval(turning)
  closeSync(log)
  if (isStopped) process.exit(130)
  if (code === 0 && existsSync(nodeOfModules())) return draw(`✓ packages: installed as package-lock.json says  ${seconds()}`, '\n')
  draw(`✗ packages: npm ci failed (exit ${code})  ${seconds()}`, '\n')
  console.error(readFileSync(logFile, 'utf8').trim().split('\n').slice(-20).join('\n'))
  console.error(`The whole log is ${logFile}. Without a network, point npm at a registry that can be reached: npm config set registry URL`)
  process.exit(1)
}

function nodeOfModules() {
  return join(modules, 'node', 'bin', isWindows ? 'node.exe' : 'node')
}

async function runProgram() {
  const isScript = /\.(ts|mjs|js)$/.test(program)
  const path = `${join(modules, '.bin')}${delimiter}${process.env.PATH ?? ''}`
  const env = { ...process.env, PATH: path }
  // React and Next behave as in production unless somebody says otherwise.
  if (program === 'server.ts' || program === 'next') env.NODE_ENV ??= 'production'
  const [command, before] = isScript ? [nodeOfModules(), [join(root, program)]] : [join(modules, '.bin', program), []]
  const child = spawn(command, [...before, ...args], {
    cwd: root,
    env,
    // The channel tells a script that this process was killed, so that it can end what it started.
    stdio: isScript ? ['inherit', 'inherit', 'inherit', 'ipc'] : 'inherit',
    shell: isWindows && !isScript,
  })
  // Ctrl-C in a terminal reaches the child by itself; a signal sent to this process alone is passed on.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  // npm passes a signal to the shell between us, and that shell dies of it without a word: an orphan of npm ends as if it had heard.
  if (process.env.npm_lifecycle_event) {
    setInterval(() => {
      if (process.ppid !== parent) child.kill('SIGTERM')
    }, 250).unref()
  }
  child.on('error', (error) => {
    console.error(error.message)
    process.exit(127)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? (constants.signals[signal] ?? 0) : 0)))
}
