// Tests: installs what they need where that is possible, runs every test, and ends with one line of numbers. npm test [filter].
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
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

type Counts = { passed: number; failed: number }
/** What is read of Vitest's JSON report. */
type JsonReport = { testResults: { name: string; status: string; assertionResults: { status: string }[] }[] }

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
  finish({ passed: 0, failed: 1 })
}

/** Runs one Vitest project. A file that could not be run counts as one failure, and so does a skipped test unless a filter was given. */
async function runProject(project: 'rooms' | 'house', filter: string[]): Promise<Counts> {
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
  const counts = existsSync(report)
    ? countResults(JSON.parse(readFileSync(report, 'utf8')) as JsonReport, filter.length > 0)
    : { passed: 0, failed: 0 }
  rmSync(report, { force: true })
  // It may fail outside of any test: a worker that died, a rejection that nobody caught.
  return code !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts
}

function countResults(report: JsonReport, isFiltered: boolean): Counts {
  const counts = { passed: 0, failed: 0 }
  for (const { name, status, assertionResults } of report.testResults) {
    const of = (wanted: string) => assertionResults.filter((result) => result.status === wanted).length
    const skipped = assertionResults.length - of('passed') - of('failed')
    if (skipped > 0 && !isFiltered) console.error(`${name}: ${skipped} skipped, which counts as failed`)
    const failed = of('failed') + (isFiltered ? 0 : skipped)
    counts.passed += of('passed')
    counts.failed += failed === 0 && status === 'failed' ? 1 : failed
  }
  return counts
}

/** The last line of every run. No test at all is a failure. */
function finish({ passed, failed }: Counts): never {
  const shown = passed + failed === 0 ? { passed, failed: 1 } : { passed, failed }
  if (passed + failed === 0) console.error('No test was found.')
  console.log(`${shown.passed} passed, ${shown.failed} failed`)
  process.exit(shown.failed === 0 ? 0 : 1)
}

const filter = process.argv.slice(2)
requirePrograms()
const rooms = await runProject('rooms', filter)
const house = await runProject('house', filter)
finish({ passed: rooms.passed + house.passed, failed: rooms.failed + house.failed })
