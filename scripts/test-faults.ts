// Faults: runs the fault tests and prints one line per fault of the list with what was observed. npm run test:faults [numbers]
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { faults } from '../__tests__/support/faults.ts'
import { cloneDir, stateDir } from './state.ts'

type Result = { title: string; status: string; duration?: number; failureMessages: string[]; meta: { outcome?: string } }
/** What is read of Vitest's JSON report. */
type JsonReport = { testResults: { name: string; message: string; status: string; assertionResults: Result[] }[] }

const titlePattern = /^fault #(\d+) |^shown: /

/** Runs the tests of the named faults, all of them without a name; answers what Vitest reports. */
async function runFaults(numbers: number[]): Promise<JsonReport> {
  const file = stateDir('test-reports', `faults-${process.pid}.json`)
  mkdirSync(stateDir('test-reports'), { recursive: true })
  const vitest = join(cloneDir, 'node_modules', 'vitest', 'vitest.mjs')
  const pattern = numbers.length === 0 ? '^(fault #|shown: )' : `^fault #(${numbers.join('|')}) `
  const args = ['run', '--project', 'house', '--passWithNoTests', '-t', pattern, '__tests__/faults']
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`]
  const child = spawn(process.execPath, [vitest, ...args, ...reporters], { cwd: cloneDir, stdio: ['ignore', 'inherit', 'inherit'] })
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => child.kill(signal))
  await new Promise((resolve) => child.on('close', resolve))
  if (!existsSync(file)) return { testResults: [] }
  const report = JSON.parse(readFileSync(file, 'utf8')) as JsonReport
  rmSync(file)
  return report
}

/** The line of one fault and whether it is held. */
function lineOf(title: string, result: Result | undefined): { line: string; isHeld: boolean } {
  if (!result) return { line: `${title}: NO TEST`, isHeld: false }
  if (result.status === 'passed' && result.meta.outcome) return { line: `${title}: ${result.meta.outcome}`, isHeld: true }
  const why = result.failureMessages[0]?.split('\n')[0] ?? `it was ${result.status}`
  return { line: `${title}: FAILED: ${result.status === 'passed' ? 'it says nothing of what it observed' : why}`, isHeld: false }
}

const numbers = process.argv.slice(2).map(Number)
const unknown = numbers.filter((number) => !(number in faults))
if (unknown.length > 0) {
  console.error(`usage: npm run test:faults [numbers], each one of ${Object.keys(faults).join(' ')}`)
  process.exit(2)
}
const report = await runFaults(numbers)
const results = report.testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ title }) => titlePattern.test(title))
const wanted = Object.entries(faults).filter(([number]) => numbers.length === 0 || numbers.includes(Number(number)))
const ran = results.filter(({ status }) => status !== 'skipped')
const titles = [
  ...wanted.map(([number, name]) => `fault #${number} ${name}`),
  ...ran.map(({ title }) => title).filter((title) => title.startsWith('shown: ')),
]
const lines = titles.map((title) =>
  lineOf(
    title,
    ran.find((result) => result.title === title),
  ),
)
console.log('')
for (const { line } of lines) console.log(line)
const failed = lines.filter(({ isHeld }) => !isHeld).length
// A file may fail outside of any of its tests.
const broken = failed === 0 ? report.testResults.filter(({ status }) => status === 'failed') : []
for (const { name, message } of broken) console.log(`${name}: ${message}`)
console.log(`${lines.length - failed} passed, ${failed + broken.length} failed`)
process.exit(failed + broken.length === 0 ? 0 : 1)
