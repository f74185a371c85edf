// Tests: installs what they need where that is possible, runs every test, and ends with one line of numbers. npm test [filter].
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { delimiter, join, relative } from 'node:path'
import { cloneDir, stateDir } from './state.ts'

/** A program that the tests of the whole house run, and the Debian package that brings it. */
const needed: { program: string; debianPackage: string }[] = [
  { program: 'dockerd', debianPackage: 'docker.io' },
  { program: 'busybox', debianPackage: 'busybox-static' },
  { program: 'tini', debianPackage: 'tini' },
  { program: 'ip', debianPackage: 'iproute2' },
  { program: 'iptables', debianPackage: 'iptables' },
  { program: 'mkfs.ext4', debianPackage: 'e2fsprogs' },
  { program: 'chromium', debianPackage: 'chromium' },
]

/** `failures` names each failed test, with the first line of what it said. */
type Outcome = { passed: number; failures: string[] }
/** What is read of Vitest's JSON report. `message` of a file is why it could not be run. */
type TestResult = { status: string; fullName: string; failureMessages?: string[] | null }
type JsonReport = { testResults: { name: string; status: string; message?: string; assertionResults: TestResult[] }[] }

const systemFolders = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']
const path = [join(cloneDir, 'node_modules', '.bin'), ...(process.env.PATH ?? '').split(delimiter), ...systemFolders].filter(Boolean)

const isHere = (program: string) => path.some((folder) => existsSync(join(folder, program)))

/** Installs what is missing, or ends with what to install. */
function requirePrograms(): void {
  const missing = needed.filter(({ program }) => !isHere(program)).map(({ debianPackage }) => debianPackage)
  if (missing.length === 0) return
  if (process.getuid?.() === 0 && isHere('apt-get')) {
    console.log(`Installing ${missing.join(' ')} ...`)
    const env = { ...process.env, PATH: path.join(delimiter), DEBIAN_FRONTEND: 'noninteractive' }
    for (const args of [
      ['update', '-q'],
      ['install', '-y', '-q', '--no-install-recommends', ...missing],
    ])
      spawnSync('apt-get', args, { env, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const still = needed.filter(({ program }) => !isHere(program))
  if (still.length === 0) return
  console.error(`The tests run the real programs, and these are missing: ${still.map(({ program }) => program).join(', ')}.`)
  console.error(`On Debian, as root: apt-get install ${still.map(({ debianPackage }) => debianPackage).join(' ')}`)
  finish({ passed: 0, failures: ['a program is missing'] })
}

/** Runs one Vitest project. A file that could not be run counts as one failure, and so does a skipped test unless a filter was given. */
async function runProject(project: 'rooms' | 'house', filter: string[]): Promise<Outcome> {
  const report = stateDir('test-reports', `${project}-${process.pid}.json`)
  mkdirSync(stateDir('test-reports'), { recursive: true })
  const vitest = join(cloneDir, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const args = [vitest, 'run', '--project', project, '--passWithNoTests', ...reporters, ...filter]
  const child = spawn(process.execPath, args, {
    cwd: cloneDir,
    env: { ...process.env, PATH: path.join(delimiter) },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  const code = await new Promise<number>((resolve) => child.on('close', (status) => resolve(status ?? 1)))
  const outcome = existsSync(report)
    ? readOutcome(JSON.parse(readFileSync(report, 'utf8')) as JsonReport, filter.length > 0)
    : { passed: 0, failures: [] }
  rmSync(report, { force: true })
  if (code === 0 || outcome.failures.length > 0) return outcome
  return { ...outcome, failures: [`${project}: outside of any test; a worker died, or nobody caught a rejection`] }
}

function readOutcome(report: JsonReport, isFiltered: boolean): Outcome {
  let passed = 0
  const failures: string[] = []
  for (const { name, status, message, assertionResults } of report.testResults) {
    const file = relative(cloneDir, name)
    const before = failures.length
    for (const { status: outcome, fullName, failureMessages } of assertionResults) {
      if (outcome === 'passed') passed += 1
      else if (outcome === 'failed') failures.push(`${file}: ${fullName}: ${firstLine(failureMessages?.[0])}`)
      else if (!isFiltered) failures.push(`${file}: ${fullName}: skipped`)
    }
    if (status === 'failed' && failures.length === before) failures.push(`${file}: ${firstLine(message)}`)
  }
  return { passed, failures }
}

const firstLine = (text = '') => text.split('\n', 1)[0]?.slice(0, 300)

/** Ends with what failed and one line of numbers, so that the end of a long log tells all. No test at all is a failure. */
function finish({ passed, failures }: Outcome): never {
  const told = passed + failures.length === 0 ? ['no test was found'] : failures
  for (const each of told) console.log(`FAILED ${each}`)
  console.log(`${passed} passed, ${told.length} failed`)
  process.exit(told.length === 0 ? 0 : 1)
}

const filter = process.argv.slice(2)
requirePrograms()
const rooms = await runProject('rooms', filter)
const house = await runProject('house', filter)
finish({ passed: rooms.passed + house.passed, failures: [...rooms.failures, ...house.failures] })
