// Checks: everything that can be known without running the market, all at once, one line each. npm run check.
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { cloneDir } from './state.ts'

/** One check: a program of node_modules/.bin and its arguments. */
export type Check = { name: string; program: string; args: string[] }

const sources = [
  'bench',
  'db',
  'lib',
  'api',
  'gateway',
  'clock',
  'app',
  'components',
  'packages',
  'rust-lib',
  'scripts',
  '__tests__',
  'server.ts',
  'next.config.ts',
]

/** The slow ones first, so that they share the time. */
export const checks: Check[] = [
  { name: 'types', program: 'tsc', args: ['--noEmit', '-p', 'tsconfig.json'] },
  { name: 'truths', program: 'vitest', args: ['run', '--project', 'rooms', '__tests__/truths.test.ts', '--silent'] },
  { name: 'arrows', program: 'depcruise', args: ['--config', '.dependency-cruiser.mjs', ...sources] },
  { name: 'unused', program: 'knip', args: ['--no-config-hints'] },
  { name: 'style', program: 'biome', args: ['ci', '--colors=off'] },
]

/** Runs one check from the root of the clone. `output` is everything it said. */
export function runCheck({ program, args }: Check): Promise<{ ok: boolean; output: string; seconds: number }> {
  const startedAt = performance.now()
  const env = {
    ...process.env,
    NO_COLOR: '1',
    FORCE_COLOR: undefined,
    PATH: `${join(cloneDir, 'node_modules', '.bin')}:${process.env.PATH ?? ''}`,
  }
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: cloneDir, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('error', (error) => resolve({ ok: false, output: error.message, seconds: 0 }))
    child.on('close', (code) => resolve({ ok: code === 0, output, seconds: (performance.now() - startedAt) / 1000 }))
  })
}

/** Runs every check, as many at once as there are cores, and says of each how it went. Answers the names of those that failed. */
async function runChecks(): Promise<string[]> {
  const failed: string[] = []
  const waiting = [...checks]
  const worker = async () => {
    for (let check = waiting.shift(); check; check = waiting.shift()) {
      const { ok, output, seconds } = await runCheck(check)
      console.log(`${ok ? 'ok  ' : 'FAIL'}  ${check.name.padEnd(8)} ${seconds.toFixed(1).padStart(5)} s`)
      if (ok) continue
      failed.push(check.name)
      console.log(output.trim())
    }
  }
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker))
  return failed
}

if (import.meta.main) {
  const failed = await runChecks()
  console.log(failed.length === 0 ? 'Every check holds.' : `Not right: ${failed.join(', ')}`)
  process.exit(failed.length === 0 ? 0 : 1)
}
